"""Which identifiers one field holds - a column, a tag, the names of files -, by its name and by its values."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from chiasm.identifiers import checksums
from chiasm.identifiers.field_names import announced, is_bare, years_of_age
from chiasm.identifiers.patterns import found_in

FEW = 5  # different values below which nothing is said of a column as a whole
WHOLE = 0.95  # share of values by which a rule of the whole column holds
UNIQUE = 0.9  # share of different values of a code
OLDEST = 130  # years that nobody lives to: more is another unit
CODE_LENGTH = 40  # of a code; what is longer is a text or a sequence
DUMMY = re.compile(
    r"(?i)(?:x(?:[ _^-]*x)*|[-_.^ ~*#?0]+|n/?a|nan|none|null|unknown|unk|unspecified|not (?:available|recorded|known|"
    r"specified)|missing|"
    r"(?:anon|anonym\w*|deid\w*|de-?identified|removed|redacted|withheld|masked|pseudonym\w*)[\W_\d]*|no name|"
    r"nobody|test|other|"
    r"startdate x x x x|default)"
)
CHECKED: tuple[tuple[str, str, Callable[[str], bool]], ...] = (  # one check digit says little of one number
    ("record", r"\d{10}", checksums.nhs),
    ("plan", r"[A-Z]\d{9}", checksums.kvnr),
    ("plan", r"[1-9][A-Z][A-Z0-9]\d[A-Z][A-Z0-9]\d[A-Z]{2}\d{2}", checksums.mbi),
    ("licence", r"[12]\d{9}", checksums.npi),
)
WORD_OF_NAME = (
    r"(?:(?:van|von|de|der|den|da|di|la|le|al|el|bin|Mc|O')[ ]?)*[^\W\d_][^\W\d_'\u2019.-]*(?:['\u2019.-][^\W\d_]+)*\.?"
)
NAME = re.compile(rf"{WORD_OF_NAME}(?:(?:, ?| |\^|=){WORD_OF_NAME})*\^*")
LAST_FIRST = re.compile(r"[^\W\d_][\w'\u2019-]+(?:, |\^)[^\W\d_][\w'\u2019-]+(?:[ ^][^\W\d_][\w.'\u2019-]*)*\^*")
CODE = re.compile(r"(?=[^\d]*\d)[A-Za-z0-9][A-Za-z0-9_.:/#-]*")
PICTURE = re.compile(r"(?i).*\.(?:jpe?g|png|heic|tiff?|bmp|gif|webp)$")
DIGITS = re.compile(r"\d")
APART = re.compile(r"_|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")  # where the parts of a code meet
DAY_WITHIN = re.compile(r"(?<!\d)(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)")
COMPACT_DAY = re.compile(r"(?:1[89]\d{2}|20\d{2})(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?:[T ]?\d{2,6}.*)?")
DAY = re.compile(  # a whole value that is a day, perhaps with a time
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})|\d{4}-\d{2}|"
    r"\d{1,2}[- ]?[A-Za-z]{3,9}\.?[- ,]*\d{2,4}|"
    r"[A-Za-z]{3,9}\.? \d{1,2},? \d{4})(?:[T ]+\d{1,2}:\d{2}.*)?"
)


@dataclass
class Field:
    """One field and its values: in which `place`, of which modality and file, how it is called, and in which rows.

    `values` are texts and never empty; `rows` is the row of each in the patients' or its own table, 0 if it has none.
    `known` is the kind that a standard gives the field, as DICOM does its tags. `own` is True for what identifies the
    patients within the cohort, of which every value differs and must.
    """

    place: str
    name: str
    path: str | None = None
    modality: str | None = None
    known: str | None = None
    own: bool = False
    shown: str = ""  # the name to show, where that is another
    values: list[str] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)


@dataclass
class Seen:
    """What was found of one kind in a field: the positions of the values, and why it is thought so."""

    why: str
    at: list[int]


def kinds_in(own: Field, names: Callable[[Sequence[str]], list[bool]] | None = None) -> dict[str, Seen]:
    """Return every kind of identifier that a field holds, with the positions of its values and the first reason.

    Args:
        names: tells for each text whether a model finds somebody's name in it; None: there is no model.
    """
    filled = [at for at, value in enumerate(own.values) if not DUMMY.fullmatch(value.strip())]
    seen: dict[str, Seen] = {}

    def note(kind: str, why: str, at: Sequence[int]) -> None:
        if len(at):
            seen.setdefault(kind, Seen(why, [])).at.extend(at)

    if own.known is not None:
        note(own.known, "what the field is for", filled)
    kind = announced(own.name) if own.place in NAMED_PLACES else None
    if kind is not None and kind != own.known and not (own.own and kind in ("record", "other", "name")):
        fit = values_fit(kind, [own.values[at] for at in filled], alone=own.place != "column")
        if is_bare(own.name):  # what is called a name and nothing more may be anything's: two words are somebody's
            fit = [
                holds and re.search(r"\w[ ,^=]+\w", own.values[at]) is not None
                for at, holds in zip(filled, fit, strict=True)
            ]
        note(kind, "its name and its values", [at for at, holds in zip(filled, fit, strict=True) if holds])
    if own.place == "column":
        note("date", "an age over 89", _too_old(own, filled))
    for kind, why, those in _as_a_whole(own, filled):
        if kind not in seen:
            note(kind, why, those)
    positions: dict[str, list[int]] = defaultdict(list)
    for at in filled:
        positions[own.values[at]].append(at)
    for text, those in positions.items():
        spoken = APART.sub(" ", text) if own.place in ("id", "path") else text
        for kind, why in {kind: why for kind, why, _ in found_in(spoken)}.items():
            note(kind, why, those if not (own.own and kind == "other") else ())
    differ = own.place != "column" or len(positions) > len(filled) / 2  # levels are drugs and diagnoses, not people
    if names is not None and own.place != "id" and differ:
        texts = [text for text in positions if " " in text or own.place == "path"]
        for text, holds in zip(texts, names(texts), strict=True):
            note("name", "a language model", positions[text] if holds else [])
    return {kind: Seen(found.why, sorted(set(found.at))) for kind, found in seen.items()}


NAMED_PLACES = ("column", "header", "properties")  # where a field has a name that says what it is for


def values_fit(kind: str, values: Sequence[str], alone: bool = False) -> list[bool]:
    """`(n,)` True where a value is what a field of this name would hold: a name has letters, a number has digits.

    Args:
        alone: a single value may count, as of a header; else codes must differ between patients.
    """
    different = len(set(values))
    alike = not alone and (different < UNIQUE * len(values) or different < 2)
    if kind == "name":
        fit = [NAME.fullmatch(value.strip()) is not None and len(value.strip()) > 1 for value in values]
        return fit if sum(fit) > len(fit) / 2 and (alone or different >= FEW) else [False] * len(fit)
    if kind == "place":
        words = [bool(re.search(r"[^\W\d_]{3,}", value)) or bool(re.fullmatch(r"\d{5}(?:-\d{4})?", value.strip())) or
                 bool(re.fullmatch(r"-?\d{1,3}\.\d{2,}", value.strip())) for value in values]  # fmt: skip
        return words if alone or different > 1 else [False] * len(words)
    if kind == "date":
        return [bool(DAY.fullmatch(value.strip()) or COMPACT_DAY.fullmatch(value.strip())) for value in values]
    if kind in ("phone", "fax"):
        return [
            sum(sign.isdigit() for sign in value) >= 6 and not re.search(r"[^\W\d_]{4,}|\d\.\d+$", value)
            for value in values
        ]
    if kind == "photo":
        return [PICTURE.fullmatch(value.strip()) is not None or "://" in value or len(value) > 1000 for value in values]
    if kind in ("email", "url", "ip"):
        return [False] * len(values)  # their shape tells
    if alike:
        return [False] * len(values)
    if kind == "device":
        return [re.search(r"\d{3}", value) is not None and not _is_measured(value) for value in values]
    if kind == "other":
        return [CODE.fullmatch(value.strip()) is not None and not _is_measured(value) for value in values]
    return [
        DIGITS.search(value) is not None and len(value.strip()) >= 4 and not _is_measured(value) for value in values
    ]


def _is_measured(value: str) -> bool:
    """Tell a number with a fraction, which counts or measures and names nobody."""
    return re.fullmatch(r"[+-]?\d*\.\d+(?:[eE][+-]?\d+)?", value.strip()) is not None and not value.strip().endswith(
        ".0"
    )


def _as_a_whole(own: Field, filled: Sequence[int]) -> Iterator[tuple[str, str, list[int]]]:
    """Yield what only many values together say: numbers that all have a check digit, days, codes that all differ."""
    if own.place not in ("column", "id") or len(filled) < FEW:
        return
    values = [own.values[at].strip() for at in filled]
    different = set(values)
    if len(different) < FEW:
        return
    for kind, shape, holds in CHECKED:
        if all(re.fullmatch(shape, value) and holds(value) for value in different):
            yield kind, "check digits of all values", list(filled)
    days = [at for at in filled if DAY.fullmatch(own.values[at].strip())]
    compact = [at for at in filled if COMPACT_DAY.fullmatch(own.values[at].strip())]
    if len(days) > WHOLE * len(filled) and own.place == "column":
        yield "date", "its values", days
    if len(compact) > WHOLE * len(filled):
        yield "date", "its values", compact
    named = [at for at in filled if LAST_FIRST.fullmatch(own.values[at].strip())]
    if len(named) > WHOLE * len(filled) and len(different) > UNIQUE * len(filled):
        yield "name", "its values", named
    if own.place == "id":
        within = [at for at in filled if DAY_WITHIN.search(own.values[at])]
        if len(within) > WHOLE * len(filled):
            yield "date", "a day within the code", within
        yield from _words_that_differ(own, filled)
    if own.own:
        return
    codes = [
        value
        for value in different
        if len(value) <= CODE_LENGTH and CODE.fullmatch(value) and re.search("[A-Za-z]", value)
    ]
    if len(codes) > WHOLE * len(different) and len(different) > WHOLE * len(filled) and len(filled) >= 2 * FEW:
        yield "other", "its values differ between patients", list(filled)


def _words_that_differ(own: Field, filled: Sequence[int]) -> Iterator[tuple[str, str, list[int]]]:
    """Yield a name where half of the codes or more hold a word that few others hold: `case-smith`, `case-jones`."""
    words = {at: {word for word in re.split(r"[\W\d_]+", own.values[at].casefold()) if _is_word(word)} for at in filled}
    number = Counter(word for own_words in words.values() for word in own_words)
    rare = [
        at for at, own_words in words.items() if any(number[word] <= max(1, len(filled) // 20) for word in own_words)
    ]
    if len(rare) >= len(filled) / 2:
        yield "name", "words that differ between codes", rare


def _is_word(text: str) -> bool:
    """Tell a part of a code that may be a word: four letters and more, a vowel and another, no hexadecimal number."""
    return (
        len(text) >= 4
        and bool(re.search("[aeiouy]", text))
        and bool(re.search("[^aeiouy]", text))
        and bool(re.search("[g-z]", text))
    )


def _too_old(own: Field, filled: Sequence[int]) -> list[int]:
    """Return where an age is 90 or more; where none is more than 90 years, 90 is the one group that the rule allows."""
    units = years_of_age(own.name)
    if units is None:
        return []
    ages = {}
    for at in filled:
        try:
            age = float(own.values[at]) / units
        except ValueError:
            continue
        if math.isfinite(age) and 90 <= math.floor(age) <= OLDEST:
            ages[at] = age
    return list(ages) if any(age >= 90 + 1 / units for age in ages.values()) else []
