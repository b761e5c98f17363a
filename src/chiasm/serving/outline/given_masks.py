"""A mask that somebody has already: read of a file, held against the image that is open, and corrected there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.mask_files import TO_RAS, place_of, placed, read_masks
from chiasm.readers import LIMITS
from chiasm.readers.image.dicom import series_of
from chiasm.readers.image.dicom_series import affine_of
from chiasm.serving.faults import refused
from chiasm.serving.outline.drawing import SERIES, codes_of
from chiasm.serving.outline.kept import Kept, on_disk
from chiasm.serving.outline.sessions import Open
from chiasm.targets.label_maps import LabelMap
from chiasm.targets.mask_cells import ReadMap

APART = 0.5
"""Of a voxel, by which a mask may lie beside its image."""


def given_mask(own: Open, files: Kept, scratch: Path) -> LabelMap:
    """The map that a file holds, of the model's labels by its codes.

    Raises:
        Refused: 422, it is no label map, of another shape, lies elsewhere, or has a code that the model does not know.
    """
    if len(files) != 1:
        raise refused(422, "no-mask", "a mask is one file: .nii.gz, .png, or .dcm of a DICOM SEG")
    with on_disk({"mask": files, own.first: own.files[own.first]}, scratch) as paths:
        (found,) = read_masks(None, [str(paths["mask"])], ())
        place = None if own.pictures[own.first].flat else place_of_image(paths[own.first], own)
    if not isinstance(found, ReadMap):
        raise refused(422, "no-mask", "the file is no label map: send .nii.gz or .png of codes, or .dcm of a DICOM SEG")
    runs = found.runs
    if (1, *runs.shape)[-3:] != own.outline.codes.shape:
        said, wanted = (" x ".join(f"{side:,}" for side in shape) for shape in (runs.shape, own.outline.codes.shape))
        raise refused(422, "other-shape", f"the mask is {said} and the image {wanted}: send the one that lies on it")
    if place is not None and found.affine is not None and _apart(place[0], place[1], found.affine) > APART:
        raise refused(422, "other-place", "the mask does not lie where the image does: send the one that lies on it")
    codes = codes_of(own.loaded)
    label = {code: place for place, code in enumerate(codes)}
    known = np.array([label.get(int(code) + 1, -1) for code in np.unique(runs.label)], dtype=np.int64)
    if (known < 0).any():
        listed = ", ".join(map(str, codes))
        raise refused(
            422, "unknown-label", f"the mask has a code that the model does not know: its labels are {listed}"
        )
    return replace(runs, label=known[np.searchsorted(np.unique(runs.label), runs.label)])


def place_of_image(path: Path, own: Open) -> tuple[Sequence[int], NDArray[np.float64]] | None:
    """Shape and affine of the image that is open, as masks have them; None where its file does not say them."""
    if own.loaded.reads[own.first].kind != SERIES:
        return place_of(path)
    series = series_of(path, LIMITS)
    affine, first = affine_of(series), series.slices[0].header
    if affine is None:
        return None
    return placed((first.columns, first.rows, len(series.slices)), TO_RAS @ affine[:, [2, 1, 0, 3]])


def _apart(shape: Sequence[int], one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """How far the corners of two grids lie apart at most, in the shortest side of a voxel."""
    corners = np.array([[*corner, 1] for corner in np.ndindex(2, 2, 2)]) * [*[side - 1 for side in shape], 1]
    apart = np.abs(corners @ (one - other).T).max()
    return float(apart / np.sqrt((one[:3, :3] ** 2).sum(axis=0)).min())
