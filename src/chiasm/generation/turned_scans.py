"""A volume in the axes of its file, turned as volumes are learnt from, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.generation.scans import Scan, read_scan, require_numbers
from chiasm.readers.image.volume import SUFFIXES, VolumeReader

Floats = NDArray[np.float32]
NEAR = 1e-3  # of a unit of the file, between the places of a volume and of its mask


def is_volume(path: Path) -> bool:
    """Whether a path names a volume, by its ending, or a folder."""
    return path.is_dir() or path.name.lower().endswith(SUFFIXES)


def read_turned(path: Path) -> tuple[Scan, Floats]:
    """Read a volume: as its file has it, and `(D, H, W)` from foot to head, front to back, right to left.

    Raises:
        Unsupported: a DICOM folder; several volumes; voxels that were generated, or of one value.
        ReadError: it cannot be read, or has values that are no finite number.
    """
    if path.is_dir():
        raise Unsupported("a DICOM series is not edited as such: convert it to NIfTI (.nii.gz)")
    scan = read_scan(path)
    require_numbers(scan.values)
    turned = turned_as_read(scan.values, scan)
    if not np.array_equal(turned, VolumeReader().read(path).values[0]):
        raise Unsupported("the volume lies in a way that cannot be turned back: write it again as .nii.gz")
    return scan, turned


def turned_as_read(values: NDArray[Any], scan: Scan) -> Floats:
    """Values `(X, Y, Z)` in the axes of a scan's file as `(D, H, W)`."""
    from nibabel.orientations import apply_orientation, io_orientation

    assert scan.affine is not None
    upright = apply_orientation(values, io_orientation(scan.affine))  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(upright[::-1, ::-1, :].transpose(2, 1, 0), np.float32)


def turned_back(values: Floats, scan: Scan) -> Floats:
    """Values `(D, H, W)` in the axes `(X, Y, Z)` of a scan's file."""
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

    assert scan.affine is not None
    upright = values.transpose(2, 1, 0)[::-1, ::-1, :]
    plain = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
    way = ornt_transform(plain, io_orientation(scan.affine))  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(apply_orientation(upright, way), np.float32)  # type: ignore[no-untyped-call]


def read_mask(path: Path, scan: Scan) -> NDArray[np.bool_]:
    """Read which voxels `(D, H, W)` of a volume are edited, of a volume of the same shape and place.

    Raises:
        ValueError: it has another shape, or lies elsewhere.
        ReadError: it cannot be read.
    """
    if not is_volume(path):
        raise ValueError(f"'{path.name}' is no volume: a volume is edited within a mask that is one (.nii.gz)")
    mask = read_scan(path)
    if mask.values.shape != scan.values.shape:
        raise ValueError(
            f"the mask has {' x '.join(map(str, mask.values.shape))} voxels and the volume "
            f"{' x '.join(map(str, scan.values.shape))}: give one of its size"
        )
    assert mask.affine is not None and scan.affine is not None
    if not np.allclose(mask.affine, scan.affine, atol=NEAR):
        raise ValueError("the mask lies elsewhere than the volume: bring it onto the volume's grid")
    marked: NDArray[np.bool_] = turned_as_read(mask.values, scan) != 0
    return marked
