"""Questions made of a table: for each patient what stands in its columns, numbers as low, middle or high."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import label_text

THIRDS = ("low", "middle", "high")
FEW = 10  # different numbers that are said as they are


@dataclass(frozen=True)
class Facts:
    """Questions about columns of tables, each with the row of the patient who is asked.

    Args:
        rows: (Q,) patients.
        questions: Q texts.
        answers: of each question what it may be answered with.
        right: (Q,) number of the right one.
    """

    rows: NDArray[np.int_]
    questions: list[str]
    answers: list[tuple[str, ...]]
    right: NDArray[np.int_]


def facts_of(frame: pd.DataFrame, rows: NDArray[np.int_]) -> Facts:
    """Ask each patient for every column of a table: `what is <column>?`; an empty cell is not asked for.

    A column of one answer, or of more different words than there are questions to a quarter of the patients, is left
    out.

    Args:
        frame: the columns of training patients.
        rows: (n,) the patients' rows in the cohort.
    """
    asked: list[str] = []
    given: list[tuple[str, ...]] = []
    who: list[int] = []
    right: list[int] = []
    for column in sorted(map(str, frame.columns)):
        said = in_words(frame[column])
        known = sorted({own for own in said if own is not None}, key=lambda own: (_order(own), own))
        if not 2 <= len(known) <= max(2, min(26, len(frame) // 4)):
            continue
        for row, own in zip(rows.tolist(), said, strict=True):
            if own is not None:
                who.append(row)
                asked.append(f"what is {column.replace('_', ' ')}?")
                given.append(tuple(known))
                right.append(known.index(own))
    return Facts(np.array(who, dtype=int), asked, given, np.array(right, dtype=int))


def in_words(column: pd.Series) -> Sequence[str | None]:
    """Say the cells of a column: words as they are, numbers of many values by thirds; None where empty."""
    if column.dtype.kind not in "fiub":
        return [None if own is None else str(own) for own in label_text(column).tolist()]
    values = column.to_numpy(np.float64)
    known = values[np.isfinite(values)]
    if len(np.unique(known)) <= FEW:
        return [f"{own:.12g}" if np.isfinite(own) else None for own in values.tolist()]
    edges = np.quantile(known, [1 / 3, 2 / 3])
    return [
        THIRDS[int(np.searchsorted(edges, own, side="left"))] if np.isfinite(own) else None for own in values.tolist()
    ]


def _order(word: str) -> int:
    return THIRDS.index(word) if word in THIRDS else 0
