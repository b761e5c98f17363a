"""What an answer in words means: one of the options, or why it is none. Nothing is silently right or wrong.

Read in this order, on text in Unicode's compatibility form (a full-width letter is a letter):

1. nothing but a letter, or a letter with a bracket, point or colon before more text;
2. the text of an option and nothing else, or an option's text before a mark of punctuation;
3. "the answer is B", "option (B)", the last of them where the same letter is said again;
4. the texts of options that stand in the answer as whole words, a longer one before a shorter one within it;
5. capital letters that stand alone, but for `I` and the article `A`.

A letter after "not" is none. What names two options, a letter that does not exist, or a letter before the text of
another option, is no answer; options of equal text are one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chiasm.bench.item import LETTERS

LONGEST = 4_000
"""Characters of an answer that is read."""
WAYS = {
    "answered": "names one option",
    "empty": "is empty",
    "too long": f"has over {LONGEST:,} characters",
    "several": "names several options",
    "contradiction": "has the letter of one option before the text of another",
    "no such letter": "names a letter that no option has",
    "other script": "is in another script than the options, and names none",
    "no option": "names no option",
    "tied": "gives two options the same score, the highest",
    "not a number": "gives a score that is no finite number, or another number of scores than options",
    "crashed": "was not given: the candidate failed",
    "silent": "was not given in time",
}
"""How an answer was read, with what is said of it."""

_LETTER = r"(?<![^\W_])([A-Za-z])(?![^\W\d_])"
_ALONE = re.compile(r"[\W_]*([A-Za-z])[\W_]*")
_LEADING = re.compile(r"[\W_]*([A-Za-z])\s*(?:[\).:\]】、]|\n)\s*(.*)", re.DOTALL)
_SAID = re.compile(
    r"(?:answer|option|choice)\b(?:\s+(?:is|would\s+be|should\s+be))?\s*[:=]?\s*(?:option\s+)?"
    r"[\(\[*\"'“]*([A-Z]|[a-z](?=[\)\]*\"'”.,;]|$))(?![A-Za-z])",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:not|never|isn['’]t|neither|nor|rather than|instead of)\s+(?:option\s+|answer\s+)?[\(\[]?([A-Z])\b", re.I
)
_CAPITAL = re.compile(r"(?<![A-Za-z])\(?([A-Z])\)?(?![A-Za-z'’])")
_ARTICLE = re.compile(r"\bA\s+[a-z]")


@dataclass(frozen=True)
class Read:
    """An answer as it was read: the position of an option, from 0, or None, and the way, a key of `WAYS`."""

    position: int | None
    way: str


def read_text(text: str | None, options: Sequence[str]) -> Read:
    """Read which of the options an answer in words names.

    Args:
        text: what the candidate said.
        options: the texts it could choose from, in the order in which it was shown them.
    """
    if text is None or not text.strip():
        return Read(None, "empty")
    if len(text) > LONGEST:
        return Read(None, "too long")
    plain = unicodedata.normalize("NFKC", text).strip()
    texts = [folded(option) for option in options]
    if (found := _ALONE.fullmatch(plain)) is not None:
        whole = [k for k, option in enumerate(texts) if option == folded(plain)]
        return Read(whole[0], "answered") if whole else _lettered(found[1], texts)
    if (found := _LEADING.fullmatch(plain)) is not None:
        return _led(found[1], found[2], texts)
    if (own := _by_text(plain, texts)) is not None:
        return own
    denied = {letter.upper() for letter in _DENIED.findall(plain)}
    said = [letter.upper() for letter in _SAID.findall(plain)]
    if kept := [letter for letter in said if letter not in denied]:
        return _one_of(kept, texts)
    if named := _named(folded(plain), texts):
        return Read(min(named), "answered") if _alike(named, texts) else Read(None, "several")
    letters = [letter for letter in _CAPITAL.findall(_ARTICLE.sub(" ", plain)) if letter not in {"I", *denied}]
    if letters:
        return _one_of(letters, texts)
    return Read(None, "other script" if _foreign(plain, options) else "no option")


def read_scores(scores: Sequence[float], options: Sequence[str]) -> Read:
    """Read which option has the highest of the scores, one for each; options of equal text are one."""
    if len(scores) != len(options) or not all(math.isfinite(score) for score in scores):
        return Read(None, "not a number")
    best = max(scores)
    first = [k for k, score in enumerate(scores) if score == best]
    texts = [folded(option) for option in options]
    return Read(first[0], "answered") if _alike(first, texts) else Read(None, "tied")


def folded(text: str) -> str:
    """Text for comparing: compatibility form, one case, single blanks, no marks at its ends."""
    plain = " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    bare = re.sub(r"^[\s\"'“”*.,;:!?()\[\]]+|[\s\"'“”*.,;:!?()\[\]]+$", "", plain)
    return bare or plain


def _lettered(letter: str, texts: Sequence[str]) -> Read:
    place = LETTERS.index(letter.upper())
    return Read(place, "answered") if place < len(texts) else Read(None, "no such letter")


def _led(letter: str, rest: str, texts: Sequence[str]) -> Read:
    """Read a letter before more text, which may be that of another option, or name a letter of its own."""
    read = _lettered(letter, texts)
    if read.position is None:
        return read
    own = folded(rest)
    others = {k for k, option in enumerate(texts) if option == own}
    if others and texts[read.position] != own:
        return Read(None, "contradiction")
    said = {found.upper() for found in _SAID.findall(rest)} | set(re.findall(r"(?:^|\n)\s*\(?([A-Z])[\).:]", rest))
    return Read(None, "several") if said - {letter.upper()} else read


def _by_text(plain: str, texts: Sequence[str]) -> Read | None:
    """Read an answer that is an option's text, or begins with it before a mark."""
    own = folded(plain)
    if whole := [k for k, option in enumerate(texts) if option == own]:
        return Read(whole[0], "answered")
    begins = [k for k, option in enumerate(texts) if re.match(rf"{re.escape(option)}\s*[.,;:!\n]", own)]
    if not begins:
        return None
    longest = max(len(texts[k]) for k in begins)
    return Read(next(k for k in begins if len(texts[k]) == longest), "answered")


def _named(own: str, texts: Sequence[str]) -> list[int]:
    """List the options whose text stands in the answer as whole words; one within a longer one is none."""
    rest, found = own, list[int]()
    for option in sorted(set(texts), key=len, reverse=True):
        pattern = rf"(?<!\w){re.escape(option)}(?!\w)" if option.isascii() else re.escape(option)
        if len(option) > 1 and re.search(pattern, rest):
            rest = re.sub(pattern, " \0 ", rest)
            found += [k for k, text in enumerate(texts) if text == option]
    return found


def _one_of(letters: Iterable[str], texts: Sequence[str]) -> Read:
    own = sorted(set(letters))
    if len(own) == 1:
        return _lettered(own[0], texts)
    places = [LETTERS.index(letter) for letter in own]
    if all(place < len(texts) for place in places) and _alike(places, texts):
        return Read(places[0], "answered")
    return Read(None, "several")


def _alike(places: Sequence[int], texts: Sequence[str]) -> bool:
    return len({texts[place] for place in places}) == 1


def _foreign(text: str, options: Sequence[str]) -> bool:
    """Return whether most letters are of another script than those of the options."""

    def latin(letters: str) -> float:
        own = [sign for sign in letters if sign.isalpha()]
        return sum(unicodedata.name(sign, "").startswith("LATIN") for sign in own) / len(own) if own else 1.0

    return latin(text) < 0.5 <= latin("".join(options)) or latin("".join(options)) < 0.5 <= latin(text)
