"""Rows of a table that many patients share to the last digit: often what was written where nothing was measured."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.sources import ColumnSource
from chiasm.errors import Problem, count, warning

LOOKED_AT = 64  # columns of a wide table in which equal rows are looked for; the rest is compared for these alone
MEASURED = 20  # different values that a column of measurements has at least
FEWEST, SHARE = 5, 0.02  # patients, and of all who have the modality


def same_rows(source: ColumnSource, frame: pd.DataFrame, rows: NDArray[np.int_]) -> list[Problem]:
    """Warn where patients share one row of numbers although two columns or more hold measurements.

    A column of measurements has 20 different values or more, so that tables of words, codes and mutations, in which
    patients are alike for good reasons, are passed over. Sharing begins with 5 patients and 2 % of those who have it.
    """
    numeric = [k for k, kind in enumerate(frame.dtypes) if str(kind) not in ("object", "str", "category", "bool")]
    some = frame.iloc[:, numeric[:LOOKED_AT]].iloc[rows].to_numpy(dtype=np.float64)
    measured = [k for k in range(some.shape[1]) if len(np.unique(some[~np.isnan(some[:, k]), k])) >= MEASURED]
    if len(measured) < 2:
        return []
    whole = np.flatnonzero(~np.isnan(some).any(axis=1))
    most = _largest_group(some[whole])
    if len(most) >= FEWEST and len(numeric) > LOOKED_AT:
        most = most[_largest_group(frame.iloc[:, numeric].iloc[rows[whole[most]]].to_numpy(dtype=np.float64))]
    if len(most) < max(FEWEST, SHARE * len(rows)):
        return []
    what = f"{count(len(most), 'patient')} have the very same row of {count(len(numeric), 'number')}"
    fix = "if it stands for what was not measured, as zeros or -1 do, leave out the rows: absent is no value"
    return [warning(what, fix, path=source.path, modality=source.modality, finding="same-rows")]


def _largest_group(values: NDArray[np.float64]) -> NDArray[np.int_]:
    """Places of the largest group of rows `(n, F)` that are equal in every column."""
    if not len(values):
        return np.zeros(0, dtype=int)
    order = np.lexsort(values.T)
    new = np.concatenate([[True], (values[order[1:]] != values[order[:-1]]).any(axis=1)])
    group = np.cumsum(new) - 1
    return np.sort(order[group == np.bincount(group).argmax()])
