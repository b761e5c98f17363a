"""The options that each patient may be answered with: their texts, and their features where a model has made them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import label_text

MOST_OPTIONS = 26
"""Options of a patient: as many as there are letters."""


@dataclass(frozen=True, eq=False, repr=False)
class Options:
    """Options of B patients, each with his own, in the order in which the manifest gives them.

    Args:
        texts: (B,) a tuple of texts for each patient, empty where none could be read.
        most: K, the most options of a patient of the whole cohort; a subset keeps it, so that its columns stay.
        values: (B, K, E) features of each option, zero where a patient has fewer; None before a model has made them.
        prior: (E,) what the options alone say, as weights of their features; None before a model has learned it.
    """

    texts: NDArray[np.object_]
    most: int
    values: NDArray[np.float64] | None = None
    prior: NDArray[np.float64] | None = None

    def __repr__(self) -> str:
        return f"Options of {len(self.texts):,} patients, {self.most} at most"

    @property
    def sizes(self) -> NDArray[np.int_]:
        """(B,) number of options of each patient."""
        return np.array([len(own) for own in self.texts.tolist()], dtype=int)

    @property
    def inside(self) -> NDArray[np.bool_]:
        """(B, K) True where a patient has an option of this place."""
        return np.asarray(np.arange(self.most) < self.sizes[:, None])

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Options:
        """Select the options of some patients; `rows` are integers or a mask."""
        return replace(self, texts=self.texts[rows], values=None if self.values is None else self.values[rows])


def joined_options(several: list[Options]) -> Options:
    """The options of several cohorts, one cohort after another, as texts alone."""
    return Options(np.concatenate([own.texts for own in several]), max(own.most for own in several))


def options_in_columns(frame: pd.DataFrame, columns: tuple[str, ...]) -> tuple[list[tuple[str, ...]], list[bool]]:
    """Read options that stand in a column each: those of each patient, and whether an empty cell stands before one."""
    cells = np.stack([label_text(frame[name]) for name in columns], axis=1) if columns else np.empty((len(frame), 0))
    texts, gaps = [], []
    for row in cells.tolist():
        given = [place for place, text in enumerate(row) if text is not None]
        texts.append(tuple(str(row[place]) for place in given))
        gaps.append(bool(given) and given[-1] + 1 > len(given))
    return texts, gaps


def options_in_lists(cells: pd.Series) -> tuple[list[tuple[str, ...]], list[bool]]:
    """Read options that are a JSON list in one column: those of each patient, and whether a cell is no such list.

    A list of texts and numbers is read, or a JSON object whose values are these, in its order, as `{"A": "...", ...}`;
    a cell that holds a list or an array already, as of a Parquet file, is taken as it is.
    """
    texts, wrong = [], []
    for cell in cells.tolist():
        found = _listed(cell)
        texts.append(found or ())
        wrong.append(found is None)
    return texts, wrong


def _listed(cell: Any) -> tuple[str, ...] | None:
    """The options of a cell; empty for an empty cell, None for one that is no list of texts."""
    if isinstance(cell, np.ndarray):
        cell = cell.tolist()
    if isinstance(cell, str):
        if not cell.strip():
            return ()
        try:
            cell = json.loads(cell)
        except (ValueError, RecursionError):
            return None
    elif cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return ()
    if isinstance(cell, dict):
        cell = list(cell.values())
    if not isinstance(cell, list | tuple):
        return None
    plain = [_option(own) for own in cell]
    return None if None in plain else tuple(str(own) for own in plain)


def _option(value: Any) -> str | None:
    """An option as text, empty for null; None for what is neither a text nor a number."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(int(value)) if float(value).is_integer() else repr(value)
    return value.strip() if isinstance(value, str) else None
