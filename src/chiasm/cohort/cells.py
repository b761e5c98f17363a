"""Cells of any table as text, or as the numbers and words that they are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.notation import numbers
from chiasm.targets.cells import written


def as_text(values: pd.Series | pd.Index) -> NDArray[np.str_]:
    """Convert identifiers to text, "" where missing: `007` stays `007`, the number 7.0 becomes `7`."""
    text = as_cells(values)
    return text.astype(str) if len(text) else np.empty(0, dtype="<U1")


def as_cells(values: pd.Series | pd.Index) -> NDArray[np.object_]:
    """Convert cells as `as_text` does, but to objects: one note may be a thousand times longer than the others."""
    missing = np.asarray(values.isna())
    cells = np.empty(len(values), dtype=object)
    cells[:] = [
        "" if absent else str(int(value)) if isinstance(value, float) and value.is_integer() else written(value)
        for value, absent in zip(values.tolist(), missing, strict=True)
    ]
    return cells


def index_hours(column: pd.Series[Any]) -> NDArray[np.float64]:
    """(n,) hours from a column, NaN where a cell is not a number."""
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))


def tidy(frame: pd.DataFrame, categories: Collection[str] = ()) -> pd.DataFrame:
    """Convert numbers and booleans to float64, everything else and `categories` to text, and blank text to missing.

    A column is one of numbers where every filled cell is a number, whatever holds it (objects, text, decimals,
    categories of numbers): one file may write as words what another has as numbers.
    """
    if all(kind == np.float64 for kind in frame.dtypes) and all(isinstance(name, str) for name in frame.columns):
        return frame
    plain: dict[str, NDArray[np.float64] | NDArray[np.object_]] = {}
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        read = None if str(name) in categories else _numbers(column)
        if read is not None:
            plain[str(name)] = read
        else:
            cells = as_cells(column)
            plain[str(name)] = np.where(cells == "", np.nan, cells)
    return pd.DataFrame(plain, index=frame.index)


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """Read a column `(n,)` as numbers, NaN where empty; None if it holds something else."""
    kind = column.dtype
    if kind.kind in "iufb" and not isinstance(kind, pd.CategoricalDtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return None if kind.kind in "cmM" else numbers(column)
