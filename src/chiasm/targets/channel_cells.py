"""The cells of a response: a column for each channel, or an array in each cell, with what is wrong in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import Cells
from chiasm.targets.reach import EXTREME, is_extreme

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MOST_CHANNELS = 50_000
NOT_USED = "an item without is neither trained on nor tested"


@dataclass(frozen=True)
class Unread:
    """A response that could not be read: `what` is wrong, after the name of its column, and the `fix`."""

    what: str
    fix: str


def of_columns(cells: Cells, columns: Sequence[str], prefix: str) -> tuple[Floats, Bools]:
    """Read a column for each channel: (B, V), NaN where unknown, and (B,) who has a number for every channel."""
    if not columns:
        nobody = np.zeros(len(cells.patients), dtype=bool)
        cells.note(f"no column starts with '{prefix}'", "name the start of the channels' columns", ~nobody)
        return np.zeros((len(nobody), 0)), nobody
    given, whole = cells.patients[list(columns)], f"a column '{prefix}...'"
    value = given.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64, na_value=np.nan).copy()
    value = value.reshape(len(given), len(columns))
    blank = given.isna() | given.map(lambda cell: isinstance(cell, str) and not cell.strip())
    empty = blank.to_numpy(dtype=bool).reshape(value.shape)
    cells.note(f"{whole} is empty", f"fill it in; {NOT_USED}", _any(empty), "warning")
    wrong = np.isnan(value) & ~empty
    cells.note(f"{whole} is not a number", "write a number, with a point for decimals", _any(wrong))
    cells.note(f"{whole} is infinite", "correct or empty the cell", _any(np.isinf(value)))
    extreme = _any(is_extreme(value))
    cells.note(f"{whole} {EXTREME}", "correct or empty the cell", extreme)
    known = np.isfinite(value).all(axis=1) & ~extreme
    if _too_many(cells, len(columns)):
        return value[:, :0], np.zeros_like(known)
    return np.where(known[:, None], value, np.nan), np.asarray(known)


def of_arrays(cells: Cells, column: str) -> tuple[Floats, Bools, Floats | None]:
    """Read an array in each cell, channels, or repetitions by channels.

    Returns:
        (B, V) means over repetitions, NaN where unknown; (B,) which items are known, those of the usual number of
        channels; and (B, R, V) the repetitions, NaN where an item has fewer, or None where none has two.
    """
    raw = cells.patients[column].tolist()
    _note_unread(cells, column, raw)
    arrays, whole = [as_repetitions(value) for value in raw], f"column '{column}'"
    given = np.array([array is not None for array in arrays], dtype=bool)
    cells.note(f"{whole} is missing", f"fill it in; {NOT_USED}", ~given, "warning")
    if (~given).any():
        cells.missing.append(cells.findings[-1])
    sizes = np.array([0 if array is None else array.shape[1] for array in arrays], dtype=int)
    unread = np.array([isinstance(value, Unread) for value in raw], dtype=bool)
    formed = given & (sizes > 0)
    fix = "give numbers of one axis, channels, or of two, repetitions by channels"
    cells.note(f"{whole} holds no array of channels", fix, given & ~formed & ~unread)
    width = int(np.bincount(sizes[formed]).argmax()) if formed.any() else 0
    if _too_many(cells, width):
        return np.zeros((len(raw), 0)), np.zeros(len(raw), dtype=bool), None
    other = formed & (sizes != width)
    what = f"{whole} has another number of channels than the {width:,} of most items"
    cells.note(what, "give every item the same channels, in one order", other)
    held = [own if own is not None and fits else None for own, fits in zip(arrays, formed & ~other, strict=True)]
    broken = np.array([own is not None and not bool(np.isfinite(own).all()) for own in held], dtype=bool)
    fix = "leave the channel out of every item, or empty the item's cell"
    cells.note(f"{whole} holds a NaN or an infinity", fix, broken)
    extreme = np.array([own is not None and bool(is_extreme(own).any()) for own in held], dtype=bool)
    cells.note(f"{whole} holds a number that {EXTREME}", "correct it, or write it in another unit", extreme & ~broken)
    return _together([None if bad else own for own, bad in zip(held, broken | extreme, strict=True)], width)


def _together(arrays: Sequence[Floats | None], width: int) -> tuple[Floats, Bools, Floats | None]:
    """Means, known items and repetitions of arrays (R, V) of one width, None where an item is unknown."""
    value, known = np.full((len(arrays), width), np.nan), np.zeros(len(arrays), dtype=bool)
    deep = max((len(own) for own in arrays if own is not None), default=1)
    repeats = np.full((len(arrays), deep, width), np.nan) if deep > 1 else None
    for row, own in enumerate(arrays):
        if own is not None:
            value[row], known[row] = own.mean(axis=0), True
            if repeats is not None:
                repeats[row, : len(own)] = own
    return value, known, repeats


def as_repetitions(value: object) -> Floats | None:
    """A cell as repetitions by channels `(R, V)`; None where it is empty, `(0, 0)` where it is no such array."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return None
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return np.zeros((0, 0))
    return np.atleast_2d(array) if array.ndim in (1, 2) and array.size else np.zeros((0, 0))


def _any(cells: Bools) -> Bools:
    """(B,) True for items of which one cell is."""
    return np.asarray(cells.any(axis=1), dtype=bool)


def _note_unread(cells: Cells, column: str, raw: Sequence[object]) -> None:
    """Note the files that could not be read, each reason once with its rows."""
    reasons: dict[Unread, list[int]] = {}
    for row, value in enumerate(raw):
        if isinstance(value, Unread):
            reasons.setdefault(value, []).append(row)
    for reason, rows in reasons.items():
        wrong = np.zeros(len(raw), dtype=bool)
        wrong[rows] = True
        cells.note(f"column '{column}' {reason.what}", reason.fix, wrong)


def _too_many(cells: Cells, width: int) -> bool:
    if width <= MOST_CHANNELS:
        return False
    what = f"the response has {width:,} channels, more than the {MOST_CHANNELS:,} that are read"
    cells.note(what, "take a region, or components", np.ones(len(cells.patients), dtype=bool))
    return True
