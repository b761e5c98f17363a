"""A series of frames in its file, put onto the finer grid of a static scan by what it measured of k-space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.errors import Unsupported
from chiasm.generation.kspace import cropped, image_of, kept_places, spectrum
from chiasm.generation.marks import mark_nifti
from chiasm.generation.scans import NIFTI, Scan, finer_affine
from chiasm.readers.guard import guarded
from chiasm.readers.image.generated import mark_text
from chiasm.readers.image.volume import FIX, NOUN, VolumeReader
from chiasm.readers.reading import ReadError

Floats = NDArray[np.float32]
FEWEST = 2
NEAR = 0.05  # of a voxel of the static scan, between where it lies and where the series says that it should
MOST_VALUES = 1 << 27


@dataclass(frozen=True)
class Frames:
    """A series in its file's axes.

    Attributes:
        values: `(F, X, Y, Z)`.
        whole: None where values are fractions; else the type of whole numbers that the file has.
        affine: `(4, 4)` from voxels to the file's unit.
        codes: sform, qform and units of the header.
        apart: from a frame to the next, in the file's unit of time.
    """

    values: Floats
    whole: np.dtype[Any] | None
    affine: NDArray[np.float64]
    codes: tuple[int, int, int]
    apart: float


def read_frames(path: Path) -> Frames:
    """Read a 4-D NIfTI file of two frames or more.

    Raises:
        Unsupported: another format; one frame; voxels that were generated, or of one value.
        ReadError: it cannot be read, or has values that are no finite number.
    """
    import nibabel

    if not path.is_file():
        raise FileNotFoundError(2, "is no file: name a series of frames (.nii.gz)", str(path))
    if not path.name.lower().endswith(NIFTI):
        raise Unsupported(f"a series of frames is a 4-D file, .nii.gz or .nii, and not '{path.name}'")
    VolumeReader().inspect(path)
    with guarded(NOUN, FIX):
        stored: Any = nibabel.load(path)
        shape = stored.shape
        if len(shape) != 4 or shape[3] < FEWEST:
            raise Unsupported("the file holds one volume and no frames: leave --static away to make it finer")
        values = np.moveaxis(np.asarray(stored.dataobj, dtype=np.float32), 3, 0)
    if mark_text(path) is not None:
        raise Unsupported("the file's header says that it was generated, and what is between such voxels says nothing")
    if wrong := int((~np.isfinite(values)).sum()):
        raise ReadError(f"{wrong:,} of {values.size:,} voxels are no finite number", "fill them in with the background")
    if values.min() == values.max():
        raise Unsupported("the series has one value everywhere, and there is nothing to see between its voxels")
    header = stored.header
    kind, plain = stored.get_data_dtype(), stored.dataobj.slope == 1 and stored.dataobj.inter == 0
    codes = (int(header["sform_code"]), int(header["qform_code"]), int(header["xyzt_units"]))
    whole = np.dtype(kind) if kind.kind in "iu" and kind.itemsize < 8 and plain else None
    affine = np.asarray(stored.affine, np.float64)
    return Frames(np.ascontiguousarray(values), whole, affine, codes, float(header.get_zooms()[3]))


def on_grid_of(series: Frames, static: Scan, share: float | None) -> tuple[Tensor, Tensor]:
    """Frames `(F, *sides)` on the grid of a static scan, and the places of its k-space that they measured.

    A coarser series of the same field of view fills the middle of the k-space of the finer grid, its outer faces where
    those of the static scan are; one on the same grid has `share` of it.

    Raises:
        ValueError: the same grid and no share, or a coarser one and a share.
        Unsupported: the static scan is coarser along an axis, or of another field of view; too many voxels.
    """
    shape, coarse = static.values.shape, series.values.shape[1:]
    if len(shape) != 3 or static.affine is None:
        raise Unsupported("a series of volumes is told with a static scan that is a volume (.nii.gz)")
    if any(own < few for own, few in zip(shape, coarse, strict=True)):
        raise Unsupported(
            f"the static scan has {_sides(shape)} voxels and a frame {_sides(coarse)}: give a scan that is finer"
        )
    if np.prod((len(series.values), *shape), dtype=object) > MOST_VALUES:
        raise Unsupported(f"{len(series.values):,} frames of {_sides(shape)} voxels are too many: give a part of them")
    told = finer_affine(series.affine, coarse, shape)
    corners = np.array([[x, y, z, 1] for x in (0, shape[0]) for y in (0, shape[1]) for z in (0, shape[2])], float)
    least = float(np.linalg.norm(static.affine[:3, :3], axis=0).min())
    if np.abs((told - static.affine) @ corners.T).max() > NEAR * least:
        raise Unsupported("the static scan has another field of view than the series: resample it onto the series' own")
    frames = torch.from_numpy(series.values)
    if shape == coarse:
        if share is None:
            raise ValueError("frames and static scan have one grid: say which share of k-space was measured (--share)")
        kept = kept_places(shape, share)
        return cropped(frames, kept), kept
    if share is not None:
        raise ValueError("a coarser series says by its grid what it measured of k-space: leave --share away")
    return filled_up(frames, shape), kept_of(shape, coarse)


def kept_of(shape: Sequence[int], coarse: Sequence[int]) -> Tensor:
    """Places of the k-space of a grid that a coarser one of the same field of view has, with k always -k."""
    kept = torch.ones(tuple(shape), dtype=torch.bool)
    for axis, (side, few) in enumerate(zip(shape, coarse, strict=True)):
        far = (torch.fft.fftfreq(side) * side).round().abs()
        within = far <= (few - 1) // 2 if few < side else torch.ones_like(far, dtype=torch.bool)
        kept &= within.view(*[-1 if own == axis else 1 for own in range(len(shape))])
    return kept


def filled_up(frames: Tensor, shape: Sequence[int]) -> Tensor:
    """Frames `(F, *coarse)` on a finer grid of the same field of view, with zeros in the k-space that is not theirs.

    Outer faces stay, so that the middle of the first voxel moves by `(step - 1) / 2` finer ones along each axis.
    """
    coarse, axes = frames.shape[1:], len(shape)
    k = spectrum(frames, axes) * float(np.sqrt(np.prod(shape) / np.prod(coarse)))
    whole = torch.zeros((len(frames), *shape), dtype=k.dtype)
    lines = []
    for axis, (side, few) in enumerate(zip(shape, coarse, strict=True)):
        own = torch.arange(few) if few == side else torch.arange(-((few - 1) // 2), (few - 1) // 2 + 1)
        turn = torch.exp(-2j * torch.pi * own * (side / few - 1) / 2 / side)
        k = k.index_select(axis + 1, own % few) * turn.view(*[-1 if at == axis else 1 for at in range(axes)])
        lines.append(own % side)
    places: list[Tensor] = list(torch.meshgrid(*lines, indexing="ij"))
    whole.movedim(0, -1)[tuple(places)] = k.movedim(0, -1)
    return image_of(whole, axes)


def require_series(path: Path) -> None:
    """Raise `Unsupported` where a file's name does not suit a series."""
    if not path.name.lower().endswith(NIFTI):
        raise Unsupported(f"a series of frames is written as {' or '.join(NIFTI)}, not as '{path.name}'")


def write_frames(path: Path, values: Floats, of: Frames, static: Scan, mark: Mapping[str, Any]) -> None:
    """Write frames `(F, X, Y, Z)` where the static scan lies, with a mark in the header."""
    import nibabel

    require_series(path)
    assert static.affine is not None
    if of.whole is not None:
        limits = np.iinfo(of.whole)
        values = np.rint(values).clip(limits.min, limits.max).astype(of.whole)
    made: Any = nibabel.Nifti1Image(np.moveaxis(values, 0, 3), static.affine)  # type: ignore[no-untyped-call]
    sform, qform, units = of.codes
    made.set_sform(static.affine, code=sform)
    made.set_qform(static.affine, code=qform)
    made.header["xyzt_units"] = units
    made.header["pixdim"][4] = of.apart
    mark_nifti(made, mark)
    nibabel.save(made, path)


def _sides(shape: Sequence[int]) -> str:
    return " x ".join(f"{side:,}" for side in shape)
