"""The cells of a target of label maps: what was read of each file, with what is wrong in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.targets.cells import Cells
from chiasm.targets.channel_cells import Unread
from chiasm.targets.label_maps import LabelMap, LabelMaps, as_text, map_of, of_text

Bools = NDArray[np.bool_]
ANISOTROPIC = 5.0
"""Times that a voxel may be longer along one axis than along another before it is told."""
NOT_USED = "a patient without is neither trained on nor tested"
FIX = "name a .nii.gz or .png file of whole numbers, 0 where there is no label"


@dataclass(frozen=True, eq=False)
class ReadMap:
    """A label map as a file has it.

    Args:
        runs: the map, whose labels are codes of the file less one.
        affine: (4, 4) where it lies in the patient; None where the file does not say it.
    """

    runs: LabelMap
    affine: NDArray[np.float64] | None = None


def read_maps(
    cells: Cells, column: str, labels: Sequence[str], codes: Sequence[int], tolerance: float
) -> tuple[LabelMaps, NDArray[np.float64], Bools]:
    """Read the label map of every patient, how much there is of each label, `(B, K)`, and who has any known, `(B,)`.

    What is wrong is noted, once for each thing: what could not be read, codes that are not declared, maps of two axes
    among ones of three. Maps without a label, of one slice and of long voxels are told of and used.
    """
    raw = cells.patients[column].tolist()
    drawn = [as_map(own, labels, codes) for own in raw]
    reasons: dict[Unread, list[int]] = {}
    for row, own in enumerate(drawn):
        if isinstance(own, Unread):
            reasons.setdefault(own, []).append(row)
    for reason, rows in reasons.items():
        cells.note(f"column '{column}' {reason.what}", reason.fix, _among(rows, len(raw)))
    empty = np.array([own is None for own in drawn], dtype=bool)
    cells.note(f"column '{column}' is missing", f"fill it in; {NOT_USED}", empty, "warning")
    if empty.any():
        cells.missing.append(cells.findings[-1])
    read = [own if isinstance(own, ReadMap) else None for own in drawn]
    axes = np.array([0 if own is None else len(own.runs.shape) for own in read], dtype=int)
    usual = int(np.bincount(axes[axes > 0]).argmax()) if (axes > 0).any() else 0
    other = (axes > 0) & (axes != usual)
    what = f"column '{column}' names a label map of another number of axes than most"
    cells.note(what, "keep images and volumes in cohorts of their own", other)
    known = (axes > 0) & ~other
    place = np.zeros(max(codes) + 1, dtype=np.int64) - 1
    place[list(codes)] = np.arange(len(codes))
    strange = known & np.array([own is not None and _strange(own.runs, place) for own in read], dtype=bool)
    what = f"column '{column}' names a label map with a code that [target] does not declare"
    cells.note(what, "add its label, with its code in `codes`, or write 0 there", strange)
    known &= ~strange
    sound = [own.runs if own is not None and fine else None for own, fine in zip(read, known, strict=True)]
    maps = [None if own is None else replace(own, label=place[own.label + 1]) for own in sound]
    _tell(cells, column, maps)
    texts, affines = np.full(len(raw), "", dtype=object), np.full(len(raw), None, dtype=object)
    value = np.full((len(raw), len(labels)), np.nan)
    for row, (runs, had) in enumerate(zip(maps, read, strict=True)):
        if runs is not None and had is not None:
            texts[row], affines[row], value[row] = as_text(runs, labels), had.affine, runs.volumes(len(labels))
    return LabelMaps(texts, tuple(labels), tolerance, affines), value, known


def as_map(cell: object, labels: Sequence[str], codes: Sequence[int]) -> ReadMap | Unread | None:
    """A cell as a label map: what was read of a file, an array of codes, or the text of a prediction; None if empty."""
    if cell is None or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return None
    if isinstance(cell, ReadMap | Unread):
        return cell
    if isinstance(cell, np.ndarray) and cell.ndim in (2, 3) and cell.size and cell.dtype.kind in "biu":
        return ReadMap(map_of(cell.astype(np.int64))) if int(cell.min()) >= 0 else _unread()
    if not isinstance(cell, str):
        return _unread()
    try:
        names = list(json.loads(cell)["runs"])
        if any(name not in labels for name in names):
            return Unread("holds a label that [target] does not declare", "add it to `labels`, or take it out")
        own = of_text(cell, labels)
    except (ValueError, TypeError, KeyError, RecursionError):
        return _unread()
    return ReadMap(replace(own, label=np.array(codes, dtype=np.int64)[own.label] - 1))


def _unread() -> Unread:
    return Unread("holds something other than a path or a label map", FIX)


def _tell(cells: Cells, column: str, maps: Sequence[LabelMap | None]) -> None:
    """Tell of maps without a label, of one slice, and of voxels much longer along one axis."""
    notes = (
        ("names a label map without a label", "allowed: nothing is to be found there",
         [own is not None and not len(own.start) for own in maps]),
        ("names a volume of one slice", "allowed: a slice is learned as a volume one voxel deep",
         [own is not None and len(own.shape) == 3 and min(own.shape) == 1 for own in maps]),
        (f"names a label map whose voxels are over {ANISOTROPIC:g} times longer along one axis than along another",
         "allowed: distances are in millimetres; resample images and label maps alike if slices are too far apart",
         [own is not None and max(own.spacing) > ANISOTROPIC * min(own.spacing) for own in maps]),
    )  # fmt: skip
    for what, fix, found in notes:
        cells.note(f"column '{column}' {what}", fix, np.array(found, dtype=bool), "warning")


def _strange(own: LabelMap, place: NDArray[np.int64]) -> bool:
    """Return whether a map has a code that is not declared."""
    codes = own.label + 1
    return bool((codes >= len(place)).any() or (place[np.minimum(codes, len(place) - 1)] < 0).any())


def _among(rows: Sequence[int], many: int) -> Bools:
    found = np.zeros(many, dtype=bool)
    found[list(rows)] = True
    return found
