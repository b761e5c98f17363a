"""The options that each patient may be answered with: their texts, and their features where a model has made them."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import label_text, written

MOST_OPTIONS = 26
"""Options of a patient: as many as there are letters."""

MARK = re.compile(r"(.*?)([a-z]|[0-9]{1,4})", re.IGNORECASE | re.DOTALL)  # of a key, as A, 1, opa or Option 1


@dataclass(frozen=True, eq=False, repr=False)
class Options:
    """Options of B patients, each with his own, in the order in which the manifest gives them.

    Args:
        texts: (B,) a tuple of texts for each patient, empty where none could be read.
        most: K, the most options of a patient of the whole cohort; a subset keeps it, so that its columns stay.
        values: (B, K, E) features of each option, zero where a patient has fewer; None before a model has made them.
        prior: (E,) what the options of these patients alone say, as weights of their features; None where nothing has
            learned it of these, as of a subset.
        units: (B,) numbers of who is kept together; None: each is apart.
    """

    texts: NDArray[np.object_]
    most: int
    values: NDArray[np.float64] | None = None
    prior: NDArray[np.float64] | None = None
    units: NDArray[np.int_] | None = None

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
        """Select the options of some patients; `rows` are integers or a mask. What all said alone is not theirs."""
        values = None if self.values is None else self.values[rows]
        units = None if self.units is None else self.units[rows]
        return replace(self, texts=self.texts[rows], values=values, units=units, prior=None)


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

    A list of texts and numbers is read, or a JSON object whose values are these, as `{"A": "...", ...}`: by the letters
    or numbers that its keys are or end in, which must be the first ones, and by its order where they are other words. A
    cell that holds a list or an array already, as of a Parquet file, is taken as it is.
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
            cell = json.loads(cell, object_pairs_hook=_once)
        except (ValueError, RecursionError):
            return None
    elif cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return ()
    if isinstance(cell, dict):
        cell = _by_marks({str(key).strip("().: "): own for key, own in cell.items()}, len(cell))
    if not isinstance(cell, list | tuple):
        return None
    plain = [_option(own) for own in cell]
    return None if None in plain else tuple(str(own) for own in plain)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object; ValueError where a key stands twice, of which one would be lost."""
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a key stands twice")
    return held


def _by_marks(held: dict[str, Any], number: int) -> list[Any] | None:
    """The values by the letters or numbers of their keys, by which an answer may name them; None if these lack one.

    Args:
        held: the values by their keys.
        number: how many there are, which is more where keys differ in brackets and spaces alone.
    """
    if len(held) < number:
        return None
    marks = [MARK.fullmatch(key) for key in held]
    before = {own[1] if own else None for own in marks}
    if number < 2 or (len(before) > 1 and "" not in before) or before == {None}:
        return list(held.values())
    said = [own[2].upper() if own and len(before) == 1 else "" for own in marks]
    places = [int(own) if own.isdigit() else ord(own) - ord("A") if own else -1 for own in said]
    first = 1 if all(own.isdigit() for own in said) and 0 not in places else 0
    if len({own.isdigit() for own in said}) > 1 or sorted(places) != list(range(first, first + number)):
        return None
    return [own for _, own in sorted(zip(places, held.values(), strict=True), key=lambda pair: pair[0])]


def _option(value: Any) -> str | None:
    """An option as text, empty for null; None for what is neither a text nor a number."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return None if np.isinf(value) else str(int(value)) if value.is_integer() else repr(value)
    return written(value) if isinstance(value, int | str) else None
