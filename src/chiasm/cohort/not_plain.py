"""What stands in a column of numbers beside plain ones, and what to do about each: by kind and count, never quoted."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.notation import DECIMAL_COMMA, PLAIN, are_about, are_dates, are_marks

BOUND = re.compile(r"\s*([<>≤≥]=?|[=]<|[=]>)\s*[0-9.,+-].*", re.DOTALL)
ADVICE = {
    "a bound, as in <5": "write the number that it is to count as, such as the bound or half of it",
    "a decimal comma": 'say decimal = "," in the manifest, or decimal="," to read_csv',
    "a unit, a % or another sign beside the number": "write the number alone, in one unit",
    "a usual sign of a missing value": 'empty the cell, or say missing = ["-", "ND"] in the manifest, or na_values to '
    "read_csv",
    "a date": "write a number, such as days",
    "a word": "correct it; or name it in missing or na_values; or, if the column holds codes, name that in categories",
}
"""Kind of a cell that is no plain number, and what to do about it; a cell counts for the first that it is."""


def advice_on(texts: Sequence[str], sizes: NDArray[np.int_]) -> str:
    """Say of how many cells that are no plain number what they are, and what to do.

    Args:
        texts: the different texts of a column.
        sizes: (n,) number of cells that hold each.
    """
    plain, about, dates, marks = (
        np.array([bool(PLAIN.fullmatch(text)) for text in texts], dtype=bool),
        are_about(texts),
        are_dates(texts),
        are_marks(texts),
    )
    commas = np.array([bool(DECIMAL_COMMA.fullmatch(text.strip())) for text in texts], dtype=bool)
    bounds = np.array([bool(BOUND.fullmatch(text)) for text in texts], dtype=bool)
    rest = ~plain
    said = []
    for (what, fix), own in zip(
        ADVICE.items(), (bounds, commas, about & ~dates, marks, dates, np.ones(len(texts), dtype=bool)), strict=True
    ):
        number = int(sizes[own & rest].sum())
        rest &= ~own
        if number:
            said.append(f"{number:,} with {what}: {fix}")
    return "; ".join(said)
