"""Check that label maps lie on the images that a cohort names: their shape and, of volumes, where in the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError, Problem
from chiasm.cohort.contour_files import place_of_series
from chiasm.cohort.mask_files import TO_RAS, place_of, placed
from chiasm.encoding.box_sizes import of_rows, size_of

APART = 0.01
"""Millimetres by which corners of an image and its label map may differ before it is told."""
KINDS, GRID = ("image", "volume", "dicom"), "grid"


@dataclass(frozen=True, eq=False)
class Place:
    """Where an image lies: its `shape`, and its `affine` (4, 4) to millimetres, None of a picture."""

    shape: tuple[int, ...]
    affine: NDArray[np.float64] | None


def mask_place_problems(cohort: Cohort) -> list[Problem]:
    """List label maps of another shape than their image, and those that lie elsewhere: errors from half a voxel on.

    All is read of headers; an image whose header cannot be read is told of elsewhere, and what says no place, as MGH
    and MINC, is held against its map when a model is fitted, by its shape alone. In a cohort of several images a
    patient has one that fits; those that are kept as grids, in which a model draws together, lie on one grid.
    """
    outcome, names = cohort.outcome, [name for name in cohort.modalities if cohort.kinds[name] in KINDS]
    if outcome is None or outcome.maps is None or not names:
        return []
    maps, found, seen = outcome.maps, np.full((len(names), len(cohort)), np.nan), image_places(cohort, names)
    for place, name in enumerate(names):
        for row, own in seen[name].items():
            if outcome.known[row]:
                drawn = maps.of(row)
                same = own.shape == drawn.shape
                found[place, row] = apart(own, maps.affines[row], min(drawn.spacing)) if same else np.inf
    some = np.isfinite(found).any(axis=0) | np.isinf(found).any(axis=0)
    least = np.where(np.isnan(found), np.inf, found).min(axis=0)
    told = []
    for wrong, what, fix in (
        (some & np.isinf(least), "label maps have another shape than their image", "name the map that was drawn on it"),
        (some & np.isfinite(least) & (least >= 1), "label maps lie elsewhere in the patient than their image, by half "
         "a voxel or more", "name the map that was drawn on it, or resample it to the image"),
    ):  # fmt: skip
        if wrong.any():
            told.append(of_rows(cohort, wrong, what, fix, "error"))
    moved = some & (least > 0) & (least < 1)
    if moved.any():
        what = f"label maps lie over {APART:g} mm, and less than half a voxel, from their image"
        told.append(of_rows(cohort, moved, what, "right if a program rounded the header", "warning"))
    together = [name for name in names if cohort.encoders.get(name, "").startswith(GRID)]
    return [*told, *contrasts_apart(cohort, {name: seen[name] for name in together})]


def require_one_grid(cohort: Cohort, names: Sequence[str]) -> None:
    """Refuse images of a patient in these modalities that do not lie on one grid, as far as their headers say it.

    Raises:
        CohortError: some do not; it names their rows.
    """
    together = [name for name in sorted(names) if cohort.kinds[name] in KINDS]
    wrong = contrasts_apart(cohort, image_places(cohort, together)) if len(together) > 1 else []
    if wrong:
        raise CohortError(wrong)


def image_places(cohort: Cohort, names: Sequence[str]) -> dict[str, dict[int, Place]]:
    """Where images lie: modality to the place of a patient's image by his row, where its header says one."""
    places = dict[str, dict[int, Place]]()
    for name in names:
        raw = cohort.raw(name)
        each = ((row, image_place(raw[k], cohort.kinds[name])) for k, row in enumerate(cohort.rows_of(name).tolist()))
        places[name] = {row: own for row, own in each if own is not None}
    return places


def contrasts_apart(cohort: Cohort, seen: Mapping[str, Mapping[int, Place]]) -> list[Problem]:
    """List images of a patient that lie on another grid than his first.

    Args:
        seen: modality that is kept as a grid to where the image of a patient lies, by his row.
    """
    together, told = sorted(seen), list[Problem]()
    for place, name in enumerate(together[1:], 1):
        wrong, of = np.zeros(len(cohort), dtype=bool), set[str]()
        for row, own in seen[name].items():
            first = next((other for other in together[:place] if row in seen[other]), None)
            if first is None:
                continue
            like = seen[first][row]
            sides = [1.0] if like.affine is None else np.linalg.norm(like.affine[:3, :3], axis=0).tolist()
            wrong[row] = own.shape != like.shape or apart(own, like.affine, min(sides)) >= 1
            if wrong[row]:
                of.add(first)
        if wrong.any():
            what = f"images in '{name}' lie on another grid than those in {' and '.join(sorted(of))}"
            fix = "register them, bring them onto one grid by `chiasm regrid`, or leave one modality out"
            told.append(replace(of_rows(cohort, wrong, what, fix, "error"), modality=name))
    return told


def image_place(item: object, kind: str) -> Place | None:
    """Where an image lies, by its header; None for a folder of volumes, and for what does not say it."""
    if not isinstance(item, Path | str):
        return None
    if kind == "dicom":
        series = place_of_series(Path(item))
        placed_ = None if series is None else placed(series.shape, TO_RAS @ series.affine)
        return None if placed_ is None else Place(*placed_)
    if Path(item).is_dir():
        return None
    if kind != "volume":
        size = size_of(item)
        return None if size is None else Place((int(size[1]), int(size[0])), None)
    found = place_of(Path(item))
    return None if found is None else Place(*found)


def apart(image: Place, affine: NDArray[np.float64] | None, voxel: float) -> float:
    """How far corners lie from those of a label map, in halves of its shortest voxel side; 0 up to `APART`."""
    if image.affine is None or affine is None:
        return 0.0
    ends = [(0, side - 1) for side in image.shape]
    corners = np.array([[*own, 1] for own in product(*ends)], dtype=np.float64)
    most = float(np.abs(corners @ (image.affine - affine).T).max())
    return 0.0 if most <= APART else most / (voxel / 2)
