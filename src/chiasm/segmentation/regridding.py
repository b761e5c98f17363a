"""Resample the volumes of a patient onto the grid of one of them, so that a network may draw in them together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.encoding.mask_places import Place, apart, image_place
from chiasm.readers import LIMITS, ReadError, reader_for
from chiasm.readers.image.generated import note_of
from chiasm.readers.image.volume import UNPLACED
from chiasm.readers.reading import Floats, Volume, check_values

KINDS = ("volume", "dicom")
NO_PLACE = "its header does not say where it lies in the patient"


@dataclass(frozen=True, eq=False)
class Moved:
    """A volume on another grid: `values` (C, D, H, W) float32, and the share of the grid that the volume covers."""

    values: Floats
    covered: float


def lies_on(own: Place, grid: Place) -> bool:
    """True if two grids have one shape and their corners lie less than half a voxel apart."""
    sides = [1.0] if grid.affine is None else np.linalg.norm(grid.affine[:3, :3], axis=0).tolist()
    return own.shape == grid.shape and apart(own, grid.affine, min(sides)) < 1


def moved(values: Floats, own: Place, grid: Place) -> Moved:
    """Resample a volume onto another grid by what lies at the same place in the patient.

    The voxel `i` of the grid has the number that linear interpolation finds in the volume at
    `inverse(own.affine) @ grid.affine @ i`. Where a step of the grid is k > 1 times as long as a voxel of the volume,
    that axis is smoothed first by a Gaussian of deviation `sqrt((k^2 - 1) / (8 ln 2))` voxels, so that nothing finer
    than the grid is left to alias: the kernel by which a voxel of width 1 becomes one of width k, both Gaussians of
    that full width at half maximum (Cardoso et al., Scale factor point spread function matching, MICCAI 2015). A place
    outside of the volume, beyond the outer half of its border voxels, has the volume's least number.

    Args:
        values: (C, D, H, W).
        own: where the volume lies; its shape is (D, H, W).
        grid: where the answer lies.

    Raises:
        Unsupported: one of the two has no place in the patient, or they have no place in common.
        ReadError: there would be more values than are read.
    """
    if own.affine is None or grid.affine is None:
        raise Unsupported(NO_PLACE)
    from scipy.ndimage import affine_transform, gaussian_filter1d  # type: ignore[import-untyped]

    step = np.asarray(np.linalg.solve(own.affine, grid.affine), np.float64)
    inside = covered_by(step, own.shape, grid.shape)
    if not inside.any():
        raise Unsupported("it has no place in common with the grid: is it of another patient, or another part of him?")
    check_values((len(values), *grid.shape), LIMITS, "crop the image on whose grid it is brought")
    longer = np.abs(step[:3, :3]).max(axis=1)  # in voxels of the volume, along each of its axes
    out = np.empty((len(values), *grid.shape), dtype=np.float32)
    for place, channel in enumerate(values):
        smooth = channel
        for axis, k in enumerate(longer.tolist()):
            if k > 1 and own.shape[axis] > 1:
                smooth = gaussian_filter1d(smooth, math.sqrt((k * k - 1) / (8 * math.log(2))), axis, mode="nearest")
        out[place] = affine_transform(smooth, step[:3, :3], step[:3, 3], grid.shape, order=1, mode="nearest")
        out[place][~inside] = channel.min()
    return Moved(out, float(inside.mean()))


def covered_by(step: NDArray[np.float64], shape: tuple[int, ...], grid: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which voxels of a grid lie in a volume of that shape, whose voxel `step @ i` is at the grid's voxel `i`."""
    along = np.ix_(*(np.arange(side) for side in grid))
    inside = np.ones(grid, dtype=bool)
    for axis in range(3):
        at = step[axis, 3] + sum(step[axis, other] * own for other, own in enumerate(along))
        inside &= (at >= -0.5 - 1e-6) & (at <= shape[axis] - 0.5 + 1e-6)
    return inside


def placed_of(item: Path, kind: str) -> Place:
    """Where a volume lies in the patient, by its header.

    Raises:
        Unsupported: it does not say so: what programs put in its place, as the middle of the voxels, is nowhere; or it
            says that its voxels were generated.
        ReadError: it cannot be read.
    """
    place, notes = image_place(item, kind), reader_for(kind).inspect(item, LIMITS)
    if place is None or place.affine is None or any(note.endswith(UNPLACED) for note in notes):
        raise Unsupported(NO_PLACE)
    if note_of("voxels") in notes:
        raise Unsupported("its voxels were generated, as its header says: take the scan itself")
    return place


def read_placed(item: Path, kind: str) -> tuple[Volume, Place]:
    """Read a volume and where it lies.

    Raises:
        Unsupported: as for `placed_of`.
        ReadError: it cannot be read.
    """
    place = placed_of(item, kind)
    volume = reader_for(kind).read(item, LIMITS)
    if not isinstance(volume, Volume) or volume.values.shape[1:] != place.shape:
        raise ReadError("its voxels do not lie as its header says", "write it again as NIfTI")
    return volume, place


def write_placed(path: Path, values: Floats, place: Place) -> None:
    """Write a volume (C, D, H, W) as NIfTI: axes to the right, the front and the head, millimetres, channels last."""
    import nibabel

    _, h, w = place.shape
    assert place.affine is not None
    turned = np.array([[0, 0, 1, 0], [0, -1, 0, h - 1], [-1, 0, 0, w - 1], [0, 0, 0, 1]], dtype=np.float64)
    stored = values.transpose(3, 2, 1, 0)[::-1, ::-1]
    affine = place.affine @ turned
    made: Any = nibabel.Nifti1Image(stored[..., 0] if len(values) == 1 else stored, affine)  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")
    made.header["descrip"] = b"resampled onto the grid of another image"
    made.set_sform(affine, code=1)
    made.set_qform(affine, code=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(made, path)
