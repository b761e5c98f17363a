"""How a column names the right option: by its text, its letter, or its number from 0 or from 1."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

TEXT, LETTER, FROM_0, FROM_1 = "text", "letter", "from 0", "from 1"
Read = Callable[[str, tuple[str, ...]], int]
NONE = -1
NEARLY, BY_CHANCE = 0.9, 0.5  # shares of the answers that a way reads


def _by_text(answer: str, options: tuple[str, ...]) -> int:
    return options.index(answer) if options.count(answer) == 1 else NONE


def _by_letter(answer: str, options: tuple[str, ...]) -> int:
    letter = answer.strip("().").upper()
    place = ord(letter) - ord("A") if len(letter) == 1 and letter.isascii() and letter.isalpha() else NONE
    return place if place < len(options) else NONE


def _by_number(first: int) -> Read:
    def read(answer: str, options: tuple[str, ...]) -> int:
        if not (answer.isascii() and answer.isdigit() and len(answer) < 4):
            return NONE
        place = int(answer) - first
        return place if 0 <= place < len(options) else NONE

    return read


READINGS: dict[str, Read] = {TEXT: _by_text, LETTER: _by_letter, FROM_0: _by_number(0), FROM_1: _by_number(1)}
"""The ways to name an option, by the word for `answers` in `[target]`."""


def places(answers: Sequence[object], options: Sequence[tuple[str, ...]], way: str) -> NDArray[np.int_]:
    """(B,) place of the right option from 0, read in one way; -1 where there is no answer, or none of the options."""
    read = READINGS[way]
    pairs = zip(answers, options, strict=True)
    return np.array([NONE if own is None else read(str(own), among) for own, among in pairs], dtype=int)


def way_of(answers: Sequence[object], options: Sequence[tuple[str, ...]]) -> tuple[str, list[str]]:
    """Find the one way in which a column names the right options; return it, or "" with the ways that may be meant.

    A way may be meant if it reads more than nine in ten answers: what it cannot read is a fault of these cells. The
    text may be meant from one in two on, since an answer is seldom the text of one of the patient's own options by
    chance. The way that reads most is taken, if all others that may be meant read the same option wherever both read
    one.
    """
    given = np.array([own is not None and len(among) > 0 for own, among in zip(answers, options, strict=True)])
    if not given.any():
        return TEXT, []
    read = {way: places(answers, options, way)[given] for way in READINGS}
    share = {way: float((found >= 0).mean()) for way, found in read.items()}
    best = max(share, key=lambda way: share[way])  # the first of those that read as many
    if share[best] <= NEARLY:
        return "", []
    rivals = [way for way, own in share.items() if own > (BY_CHANCE if way == TEXT else NEARLY)]
    return (best, []) if all(_agree(read[best], read[way]) for way in rivals) else ("", rivals)


def _agree(one: NDArray[np.int_], other: NDArray[np.int_]) -> bool:
    """True where two ways read the same options of all patients of whom both read one."""
    both = (one >= 0) & (other >= 0)
    return bool((one[both] == other[both]).all())
