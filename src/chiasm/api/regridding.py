"""Public function that brings the volumes of each patient of a cohort onto one grid."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from chiasm import progress
from chiasm.artifact.whole import whole_folder
from chiasm.cohort import Cohort, CohortError, Problem, Unsupported, open_cohort
from chiasm.encoding.mask_places import Place, image_place, image_places
from chiasm.readers import ReadError
from chiasm.segmentation.regridding import KINDS, lies_on, moved, placed_of, read_placed, write_placed

LITTLE = 0.5
"""Share of a grid below which it is told that a volume covers little of it."""


@dataclass(frozen=True)
class Regridded:
    """What was written: for each modality how many volumes, and the lines that name them in the manifest.

    Attributes:
        written: modality to how many volumes.
        lines: what `[modalities.NAME]` says from now on; empty where all lay on one grid already.
        little: how many of the volumes cover less than half of their grid.
    """

    written: dict[str, int]
    lines: str
    little: int


def regrid(cohort: str | os.PathLike[str], out: str | os.PathLike[str] = "on-one-grid") -> Regridded:
    """Resample the volumes of each patient onto one grid, and write them to a folder beside the manifest.

    The grid is that of his label map where he has one, else that of his first volume, modalities in the order of their
    names. A modality of which every patient's volume lies on his grid is left as it is; of the others all are written,
    as `out/MODALITY/ID.nii.gz`, and Hounsfield units of a DICOM series as plain numbers. Nothing is registered: what
    lies at the same millimetres of the scanner is taken for the same place, so that scans between which a patient moved
    have to be registered first.

    Args:
        cohort: the manifest of a cohort of volumes or DICOM series.
        out: a new folder within the manifest's own.

    Raises:
        Unsupported: there are no volumes, or `out` lies elsewhere.
        CohortError: a volume cannot be read, does not say where it lies, or has no place in common with its grid; it
            names the rows, and nothing is written.
    """
    manifest = Path(cohort)
    opened = open_cohort(manifest)
    home = manifest.resolve().parent
    folder = (home / out).resolve()
    if not folder.is_relative_to(home) or folder == home:
        raise Unsupported("a manifest names files of its own folder: choose an --out within it")
    names = sorted(name for name in opened.modalities if opened.kinds[name] in KINDS)
    if not names:
        raise Unsupported("what is brought onto one grid are volumes and DICOM series, and the cohort has none")
    places = image_places(opened, names)
    grids = _grids(opened, names, places)
    off = [name for name in names if not _all_fit(places[name], grids, opened.rows_of(name).tolist())]
    if not off:
        return Regridded({}, "", 0)
    little, wrong, written = 0, list[Problem](), {name: len(opened.rows_of(name)) for name in off}
    with whole_folder(folder) as staging, progress.followed("Resampling", None) as told:
        work = [(name, k, row) for name in off for k, row in enumerate(opened.rows_of(name).tolist())]
        for done, (name, k, row) in enumerate(work):
            told(done, len(work))
            out_file = staging / name / f"{opened.ids[row]}.nii.gz"
            try:
                covered = _written(Path(opened.raw(name)[k]), opened.kinds[name], grids.get(row), out_file)
                little += covered < LITTLE
            except ReadError as error:
                wrong.append(_problem(opened, row, name, error.what, error.fix))
            except Unsupported as error:
                wrong.append(_problem(opened, row, name, str(error), "mend its header, or leave it out"))
        told(len(work), len(work))
        if wrong:
            raise CohortError(wrong)
    below = folder.relative_to(home).as_posix()
    lines = [f'[modalities.{name}]\nkind = "volume"\npath = "{below}/{name}/{{id}}.nii.gz"' for name in off]
    return Regridded(written, "\n".join(lines), little)


@contextmanager
def on_grid_of(paths: Mapping[str, Path], kinds: Mapping[str, str], grid: str) -> Iterator[dict[str, Path]]:
    """Yield the images of one patient on the grid of one of them, in files that are gone afterwards.

    Args:
        paths: modality to his image.
        kinds: modality to its kind.
        grid: the modality on whose grid the others are brought.

    Raises:
        Unsupported: it is not named, another is no volume in a file, or they have no place in common.
        ReadError: a volume cannot be read.
    """
    if grid not in paths:
        raise Unsupported(f"'{grid}', to whose grid images are to be brought, is none of {', '.join(sorted(paths))}")
    try:
        place = placed_of(paths[grid], kinds[grid])
    except Unsupported as error:
        raise Unsupported(f"the image in {grid}, to whose grid others are to be brought: {error}") from None
    with TemporaryDirectory(prefix="chiasm-grid-") as folder:
        found = dict(paths)
        for name, path in paths.items():
            own = image_place(path, kinds[name])
            if name == grid or (own is not None and lies_on(own, place)):
                continue
            if kinds[name] != "volume":
                raise Unsupported(f"the image in {name} is a series: name it as the grid, or convert it to NIfTI")
            try:
                _written(path, kinds[name], place, Path(folder) / f"{name}.nii.gz")
            except Unsupported as error:
                raise Unsupported(f"the image in {name}: {error}") from None
            found[name] = Path(folder) / f"{name}.nii.gz"
        yield found


def _grids(cohort: Cohort, names: list[str], places: Mapping[str, Mapping[int, Place]]) -> dict[int, Place]:
    """The grid of each patient by his row: his label map's, where it says where it lies, else his first volume's."""
    grids = dict[int, Place]()
    for name in reversed(names):
        grids |= places[name]
    outcome = cohort.outcome
    if outcome is not None and outcome.maps is not None:
        for row in np.flatnonzero(outcome.known).tolist():
            if outcome.maps.affines[row] is not None:
                grids[row] = Place(outcome.maps.of(row).shape, outcome.maps.affines[row])
    return grids


def _all_fit(places: Mapping[int, Place], grids: Mapping[int, Place], rows: list[int]) -> bool:
    """True if the volume of every one of these patients says where it lies, which is on his grid."""
    return all(row in places and row in grids and lies_on(places[row], grids[row]) for row in rows)


def _written(path: Path, kind: str, grid: Place | None, out: Path) -> float:
    """Write a volume on a grid, and return the share of the grid that it covers."""
    volume, own = read_placed(path, kind)
    if grid is None:
        raise Unsupported("its patient has no grid to bring it to")
    found = moved(volume.values, own, grid)
    write_placed(out, found.values, grid)
    return found.covered


def _problem(cohort: Cohort, row: int, modality: str, what: str, fix: str) -> Problem:
    return Problem("error", int(cohort.file_rows[row]), modality, cohort.path, what, fix, "unreadable-source")
