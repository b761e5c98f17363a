"""Turn columns of levels (words or codes) into numbers: the mean label of the others with the same level."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.leaks.rank_scores import Question

MOST_CODED = 200  # most columns of a table in which whole numbers are taken for codes as well
LEAST_LEVELS = 3  # of whole numbers: two levels are already ordered

Array = NDArray[np.float64]


def level_columns(frame: pd.DataFrame) -> tuple[NDArray[np.int_], list[str]]:
    """(n, L) level of each row, -1 where empty, for columns of text and, in narrow tables, of whole numbers.

    A column counts if its levels have at least two rows each on average.
    """
    found, names = [], []
    texts = [str(kind) == "object" for kind in frame.dtypes]
    for position in [k for k, is_text in enumerate(texts) if is_text or frame.shape[1] <= MOST_CODED]:
        column, name = frame.iloc[:, position], frame.columns[position]
        text = texts[position]
        if not text:
            some = column.dropna().to_numpy(dtype=np.float64)
            if not (np.isfinite(some) & (some == np.round(some))).all():
                continue
        codes, levels = pd.factorize(column)
        if (2 if text else LEAST_LEVELS) <= len(levels) <= (codes >= 0).sum() / 2:
            found.append(codes)
            names.append(str(name))
    shape = (len(frame), 0)
    return (np.stack(found, axis=1) if found else np.zeros(shape, dtype=int)), names


def of_the_others(levels: NDArray[np.int_], question: Question) -> Array:
    """(n, L) mean label, or rank of the time, of the other patients with the same level; NaN if there are none.

    With the patient left out, a level of a single class keeps that class, and an uninformative level points against
    the patient's own label: only the direction of the label counts.
    """
    label = question.label
    if question.event is not None:
        label = np.asarray(pd.Series(label).rank(), dtype=np.float64)
    found = np.full(levels.shape, np.nan)
    for k in range(levels.shape[1]):
        codes = levels[:, k]
        filled = codes >= 0
        sums = np.bincount(codes[filled], label[filled])
        counts = np.bincount(codes[filled])
        others = counts[codes[filled]] - 1
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = (sums[codes[filled]] - label[filled]) / others
        found[filled, k] = np.where(others > 0, np.round(mean, 12), np.nan)
    return found
