"""Identifiers that almost meet: the rule under which a modality's would be the patients', and for how many."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, count, error

INVISIBLE = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]")
FEWEST_NUMBERS = 10  # patients who would meet by their numbers alone, before that is more than a coincidence
STRANGERS = 20_000  # more of them are not compared
LISTED = 100_000  # files of a folder that are looked at
Rule = Callable[[str], str]


def _whole(text: str) -> str:
    return re.sub(r"(?<=[0-9])\.0+$", "", text)


def _endings(text: str) -> str:
    return re.sub(r"(\.[A-Za-z][A-Za-z0-9]{0,5}){1,2}$", "", text)


PLAIN_RULES: tuple[tuple[str, Rule], ...] = (
    (
        "without spaces, no-break and invisible ones too",
        lambda t: INVISIBLE.sub("", t),
    ),
    ("in one Unicode form (NFC)", lambda t: unicodedata.normalize("NFC", t)),
    ("in one width of letters and digits (NFKC)", lambda t: unicodedata.normalize("NFKC", t)),
    ("in one case", str.casefold),
    ("as whole numbers, 7 for 7.0", _whole),
    ("without leading zeros", lambda t: re.sub(r"(?<![0-9])0+(?=[0-9])", "", t)),
    ("with one sign for . - _ / and spaces", lambda t: re.sub(r"[-._/\\\s\u2010-\u2015]+", "-", t)),
    ("without quotation marks", lambda t: t.strip("'\"`\u2018\u2019\u201c\u201d")),
    ("without signs between letters and digits", lambda t: re.sub(r"[^\w]|_", "", t)),
    ("without the ending of a file", _endings),
)
BY_NUMBER = "without the words before the number"


def _shortened(text: str) -> list[str]:
    """The text, and what stands before each of its separators, the longest first: `X-01A`, `X`."""
    cuts = [match.start() for match in re.finditer(r"[-._/: ]", text)]
    return [text, *(text[:cut] for cut in reversed(cuts) if cut)]


def rule_of_meeting(ids: Collection[str], keys: Collection[str]) -> tuple[str, int] | None:
    """Find the rule under which most of the patients `ids` would meet one of the `keys`; None if no rule helps any.

    The words say how both are to be written. Of rules that help equally many, the first and simplest is taken.
    """
    own, other = {str(text) for text in ids}, {str(text) for text in keys}
    tried = [(words, _met([rule], own, other)) for words, rule in PLAIN_RULES]
    together = [rule for _, rule in PLAIN_RULES[:7]]
    tried.append(
        ("in one case and Unicode form, without spaces, leading zeros and decimals", _met(together, own, other))
    )
    for words, rule in (
        ("without what follows a separator, as a sample's number follows a patient's", None),
        *PLAIN_RULES[:7],
    ):
        how = words if rule is None else f"without what follows a separator, and {words}"
        folded = {rule(text) if rule else text: text for text in own}
        met = {folded[part] for text in other for part in _shortened(rule(text) if rule else text) if part in folded}
        tried.append((how, len(met)))
        folded_keys = {rule(text) if rule else text for text in other}
        back = [text for text in own if any(part in folded_keys for part in _shortened(rule(text) if rule else text))]
        tried.append((how, len(back)))
    tried.append((BY_NUMBER, _met_by_number(own, other)))
    words, most = max(tried, key=lambda pair: pair[1])
    return (words, most) if most else None


def _met(rules: Sequence[Rule], ids: Collection[str], keys: Collection[str]) -> int:
    def folded(text: str) -> str:
        for rule in rules:
            text = rule(text)
        return text

    found = {folded(text) for text in keys} - {""}
    return sum(folded(text) in found for text in ids)


def _met_by_number(ids: Collection[str], keys: Collection[str]) -> int:
    """Number of patients who would meet by their numbers; 0 where a side has several words before them, or few meet."""
    words = [{re.match(r"[^0-9]*", text)[0] for text in side} for side in (ids, keys)]  # type: ignore[index]
    if any(len(own) != 1 for own in words):
        return 0
    met = _met([lambda text: re.sub(r"^[^0-9]+(?=[0-9])", "", text)], ids, keys)
    return met if met >= FEWEST_NUMBERS else 0


def counts_rows(keys: NDArray[np.str_]) -> bool:
    """Tell whether identifiers only count rows, 0 to n - 1 or 1 to n, as those of a frame that was given no index."""
    whole = {str(number) for number in range(len(keys) + 1)}
    return len(keys) > 1 and set(keys.tolist()) <= whole and len(set(keys.tolist())) == len(keys)


def meets_nobody(
    ids: NDArray[np.str_],
    keys: NDArray[np.str_],
    modality: str,
    path: str | None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> Problem | None:
    """Return the error for identifiers of which none is a patient's, although a rule would make them meet; else None.

    Args:
        columns: other columns of the table, as text, in which the identifiers may stand.
    """
    if not len(keys) or not len(ids):
        return None
    what = f"none of its {count(len(keys), 'identifier')} is a patient's"
    own = set(ids.tolist())
    holding = {name: len(own.intersection(map(str, texts))) for name, texts in (columns or {}).items()}
    best = max(holding, key=lambda name: holding[name], default="")
    if best and holding[best]:
        way = "make it the index, by set_index" if path is None else "name it as the identifier, or join by `on`"
        fix = f"column '{best}' holds those of {count(holding[best], 'patient')}: {way}"
        return error(what, fix, path=path, modality=modality, finding="identifiers-meet-nobody")
    rule = rule_of_meeting(own, keys.tolist())
    likely = rule is not None and rule[1] > min(len(own), len(keys)) / 2
    if path is None and counts_rows(keys) != counts_rows(ids) and not likely:
        side = "its own" if counts_rows(keys) else "the patients'"
        fix = f"{side} only count rows: make the column of identifiers the index, by set_index"
        return error(what, fix, path=path, modality=modality, finding="identifiers-meet-nobody")
    if rule is None or not likely:  # some would meet by chance
        return None
    fix = f"they would be those of {count(rule[1], 'patient')} {rule[0]}: write them alike"
    return error(what, fix, path=path, modality=modality, finding="identifiers-meet-nobody")


def advice_on_strangers(ids: NDArray[np.str_], met: NDArray[np.bool_], strangers: Sequence[str]) -> str:
    """Words on the rule under which strangers would be patients who met nothing, or "" if there is none."""
    some = list(dict.fromkeys(strangers))
    rule = rule_of_meeting(ids[~met].tolist(), some) if 0 < len(some) <= STRANGERS and not met.all() else None
    return "" if rule is None else f"; {count(rule[1], 'patient')} more would meet {rule[0]}"


def columns_as_text(frame: pd.DataFrame) -> dict[str, list[str]]:
    """Columns of words or whole numbers of a frame as text, in which identifiers may stand."""
    found = {}
    for position, name in enumerate(map(str, frame.columns[:50])):
        column = frame.iloc[:, position]
        if column.dtype.kind in "Oiu" or str(column.dtype).startswith("string"):
            found[name] = [str(value).strip() for value in column.tolist()]
    return found


def names_in(folder: Path, template: str) -> list[str]:
    """Identifiers of the files where a template looks for them, as in `ecg/{id}.csv`; [] for one with folders in it."""
    name = PurePosixPath(template)
    if "{id}" in str(name.parent) or "{id}" not in name.name:
        return []
    pattern = re.escape(name.name).replace(re.escape("{id}"), "(.+)", 1).replace(re.escape("{id}"), ".+")
    try:
        entries = [entry.name for entry, _ in zip((folder / name.parent).iterdir(), range(LISTED), strict=False)]
    except OSError:
        return []
    matches = [re.fullmatch(pattern + r"(\.hea)?", entry) for entry in entries]
    return sorted({match[1] for match in matches if match})
