"""Rows of a table that are read as empty, because the patients of a sealed test set stand in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

EXACT = 2**53  # whole numbers beyond are not held exactly by a float


def without_rows(
    frame: pd.DataFrame,
    rows: NDArray[np.int_],
    again: Callable[[list[str], NDArray[np.int_]], pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Return the frame with these rows empty in every column; the rows themselves stay, so that row numbers do.

    Args:
        rows: positions in the frame; none of them: the frame comes back as it is.
        again: reads columns of text anew without these rows, since one word there makes words of a column of numbers.
    """
    if not len(rows):
        return frame
    hidden = np.zeros(len(frame), dtype=bool)
    hidden[rows] = True
    if all(kind.kind == "f" for kind in frame.dtypes):  # an omics block of many columns
        values = frame.to_numpy(copy=True)
        values[hidden] = np.nan
        return pd.DataFrame(values, index=frame.index, columns=frame.columns)
    columns = {position: _without(frame.iloc[:, position], hidden) for position in range(frame.shape[1])}
    mixed = [
        position
        for position, column in columns.items()
        if column.dtype == object and frame.iloc[rows, position].notna().any()
    ]
    if again is not None and mixed:
        read = again([str(frame.columns[position]) for position in mixed], rows).iloc[: len(frame)]
        for position in mixed:
            name = str(frame.columns[position])
            columns[position] = read[name] if name in read else columns[position]
    found = pd.concat(list(columns.values()), axis=1) if columns else frame
    return found.set_axis(frame.columns, axis=1)


def _without(column: pd.Series, hidden: NDArray[np.bool_]) -> pd.Series:
    """Return a column with the hidden rows missing, every other value as it was."""
    if column.dtype.kind in "iu" and not isinstance(column.dtype, pd.CategoricalDtype):
        seen = column[~hidden]
        if len(seen) and seen.notna().all() and max(abs(int(seen.min())), abs(int(seen.max()))) > EXACT:
            return column.astype(object).mask(hidden, np.nan)
    return column.mask(hidden)
