"""The cells of a target of boxes: what was read of each file, with what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import Cells
from chiasm.targets.channel_cells import Unread
from chiasm.targets.marked import MOST_BOXES, NO_BOXES, BoxesOfOne, Marked

Bools = NDArray[np.bool_]

OUTSIDE = 0.5
"""Share of a box that may lie outside of its image, whose rest is kept; one that lies further out is no box of it."""
SLACK = 1e-9
NOT_USED = "a patient without is neither trained on nor tested"


@dataclass(frozen=True, eq=False)
class Drawn:
    """Boxes as a file has them.

    Args:
        names: label of each, or its number among the labels, counted from 0.
        corners: (n, 4) left, top, right and bottom, in shares of the image.
        size: width and height of the image in pixels; NaN where the file does not say it.
    """

    names: tuple[str | int, ...]
    corners: NDArray[np.float64]
    size: tuple[float, float] = (float("nan"), float("nan"))


def read_marked(cells: Cells, column: str, labels: Sequence[str]) -> tuple[Marked, Bools]:
    """Read the boxes of every patient, and who has any known, `(B,)`; an image without a box is known.

    What is wrong is noted, once for each thing: what could not be read, labels that are not declared, boxes outside of
    the image. Of boxes that reach over its edge the part inside is kept, and those without an area are left out; both
    are told.
    """
    raw = cells.patients[column].tolist()
    drawn = [as_drawn(own) for own in raw]
    reasons: dict[Unread, list[int]] = {}
    for row, own in enumerate(drawn):
        if isinstance(own, Unread):
            reasons.setdefault(own, []).append(row)
    for reason, rows in reasons.items():
        cells.note(f"column '{column}' {reason.what}", reason.fix, _among(rows, len(raw)))
    unread = np.array([isinstance(own, Unread) for own in drawn], dtype=bool)
    empty = np.array([own is None for own in drawn], dtype=bool)
    cells.note(f"column '{column}' is missing", f"fill it in; {NOT_USED}", empty, "warning")
    if empty.any():
        cells.missing.append(cells.findings[-1])
    sound = [own if isinstance(own, Drawn) else Drawn((), np.zeros((0, 4))) for own in drawn]
    place: dict[str | int, int] = {name: k for k, name in enumerate(labels)} | {k: k for k in range(len(labels))}
    faults: tuple[tuple[str, str, Callable[[Drawn], bool]], ...] = (
        ("holds a label that [target] does not declare", "add it to `labels`, or take its boxes out",
         lambda own: any(name not in place for name in own.names)),
        (f"holds more than {MOST_BOXES:,} boxes of one image", "keep those that count",
         lambda own: len(own.names) > MOST_BOXES),
        ("holds a box that is not finite, or whose right or bottom lies before its left or top",
         "write left, top, right, bottom", lambda own: not _ordered(own.corners)),
        ("holds a box outside of its image", "it was drawn on an image of another size: name the right file",
         lambda own: bool((_outside(own.corners) > OUTSIDE).any())),
    )  # fmt: skip
    wrong = unread.copy()
    for what, fix, fault in faults:
        here = np.array([not bad and fault(own) for bad, own in zip(wrong, sound, strict=True)], dtype=bool)
        cells.note(f"column '{column}' {what}", fix, here)
        wrong |= here
    known = ~wrong & ~empty
    over = known & np.array([bool((_outside(own.corners) > SLACK).any()) for own in sound])
    cells.note(
        f"column '{column}' holds boxes that reach over the image's edge", "only what is inside counts", over, "warning"
    )
    flat = known & np.array([bool(_flat(own.corners).any()) for own in sound])
    cells.note(f"column '{column}' holds boxes without an area", "they are left out: draw them anew", flat, "warning")
    each = np.empty(len(raw), dtype=object)
    each[:] = [_kept(own, place) if fine else NO_BOXES for own, fine in zip(sound, known, strict=True)]
    bare = known & np.array([not len(own) for own in each], dtype=bool)
    cells.note(
        f"column '{column}' names an image without a box", "allowed: nothing is to be found there", bare, "warning"
    )
    return Marked(each, tuple(labels), np.array([own.size for own in sound], np.float64).reshape(-1, 2)), known


def as_drawn(cell: object) -> Drawn | Unread | None:
    """A cell as boxes: what was read of a file, or a list of `[label, left, top, right, bottom]` in shares of an image.

    A list may be JSON, and have the score of a prediction after the label; None for an empty cell.
    """
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, Drawn | Unread):
        return cell
    given = cell.tolist() if isinstance(cell, np.ndarray) else cell
    try:
        rows = json.loads(given) if isinstance(given, str) else given
        plain = [list(own) for own in rows]  # type: ignore[union-attr]
        names = tuple(own[0] if isinstance(own[0], int) else str(own[0]) for own in plain)
        corners = np.array([own[-4:] for own in plain], dtype=np.float64).reshape(-1, 4)
        if any(len(own) not in (5, 6) for own in plain):
            raise ValueError
    except (ValueError, TypeError, IndexError, RecursionError):
        what = "holds something other than a path or a list of [label, left, top, right, bottom]"
        return Unread(what, 'write boxes in shares of the image, as [["cell", 0.1, 0.1, 0.2, 0.3]]')
    return Drawn(names, corners)


def _among(rows: Sequence[int], many: int) -> Bools:
    found = np.zeros(many, dtype=bool)
    found[list(rows)] = True
    return found


def _ordered(corners: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(corners).all() and (corners[:, 2:] >= corners[:, :2]).all())


def _outside(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) share of each box that lies outside of the image; of one without an area, 1 if it lies outside."""
    size = corners[:, 2:] - corners[:, :2]
    inside = np.clip(corners, 0.0, 1.0)
    kept = inside[:, 2:] - inside[:, :2]
    side = np.where(size > 0, 1 - kept / np.where(size > 0, size, 1.0), (inside != corners)[:, :2])
    return np.asarray(1 - np.clip(1 - side, 0.0, 1.0).prod(axis=1))


def _flat(corners: NDArray[np.float64]) -> Bools:
    return np.asarray((corners[:, 2:] - corners[:, :2] <= 0).any(axis=1))


def _kept(own: Drawn, place: dict[str | int, int]) -> BoxesOfOne:
    inside = np.clip(own.corners, 0.0, 1.0)
    kept = ~_flat(inside)
    label = np.array([place[name] for name in own.names], dtype=int)[kept]
    return BoxesOfOne.of(label, inside[kept], None)
