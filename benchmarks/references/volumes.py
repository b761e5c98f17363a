"""NIfTI, MGH and MINC by nibabel, turned to the patient's axes by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations, product
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform

from references.compared import Case, Found, files_below

TURNED = "axes turned to S, P, L by nibabel; NaN is the smallest value"
UNITS = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 1e-3}
TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8")


def volume_cases(folders: Sequence[Path], work: Path) -> Iterator[Case]:
    """Every file of nibabel, then what nibabel writes in every type, byte order, packing, direction and unit."""
    for folder in folders:
        for name, path in files_below(folder, ".nii", ".nii.gz", ".mgh", ".mgz", ".mnc"):
            own = "MINC" if path.suffix == ".mnc" else "MGH" if path.suffix in (".mgh", ".mgz") else "NIfTI"
            yield Case(own, name, "volume", path, lambda path=path: volume(path), convention=TURNED)
    rng = np.random.default_rng(0)
    work.mkdir(parents=True, exist_ok=True)
    written = 0
    for kind, order, packed in product(TYPES, "<>", ("", ".gz")):
        image = nibabel.Nifti1Image(_voxels(rng, kind), np.diag([-2.0, 3.0, 1.5, 1.0]), dtype=np.dtype(kind))
        image = nibabel.Nifti1Image(image.dataobj, image.affine, image.header.as_byteswapped(order))
        yield _written(
            image, work, f"{kind}, {order}, {packed or 'plain'}", f".nii{packed}", "NIfTI", written := written + 1
        )
    for axes, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, axes] * np.array(signs) * (2.0, 3.0, 1.5)
        image = nibabel.Nifti1Image(_voxels(rng, "i2"), affine)
        yield _written(image, work, f"axes {axes} {signs}", ".nii", "NIfTI", written := written + 1)
    for unit, slope, made in product(UNITS, (None, 0.5), (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        image = made(_voxels(rng, "i2"), np.diag([2.0, 3.0, 1.5, 1.0]))
        image.header.set_xyzt_units(unit)
        if slope:
            image.header.set_slope_inter(slope, -7.25)
        yield _written(image, work, f"{unit}, {slope}, {made.__name__}", ".nii.gz", "NIfTI", written := written + 1)
    image = nibabel.Nifti1Image(np.where(_voxels(rng, "f4") > 90, np.nan, 1).astype("f4"), np.eye(4))
    yield _written(image, work, "NaN", ".nii", "NIfTI", written := written + 1)
    for kind, packed, shape in product(("u1", "i2", "i4", "f4"), (".mgh", ".mgz"), ((4, 5, 6), (4, 5, 6, 3))):
        affine = np.array([[0, 0, 2.0, 1], [-3.0, 0, 0, 2], [0, 1.5, 0, 3], [0, 0, 0, 1]])
        image = nibabel.MGHImage(_voxels(rng, kind, shape), affine)
        yield _written(image, work, f"{kind}, {shape}", packed, "MGH", written := written + 1)


def _voxels(rng: np.random.Generator, kind: str, shape: tuple[int, ...] = (4, 5, 6, 2)) -> np.ndarray:
    return rng.integers(0, 100, shape).astype(kind)


def _written(image: Any, work: Path, name: str, suffix: str, row: str, number: int) -> Case:
    path = work / f"{number}{suffix}"
    nibabel.save(image, path)
    return Case(row, f"written: {name}", "volume", path, lambda: volume(path), convention=TURNED)


def volume(path: Path) -> Found:
    """The voxels as nibabel scales and turns them, and the voxel sizes of its affine in mm."""
    image: Any = nibabel.load(path)
    turn = ornt_transform(io_orientation(image.affine), axcodes2ornt(("S", "P", "L")))
    data = np.asarray(image.get_fdata(dtype=np.float64))
    data = data.reshape((*data.shape[:3], -1)) if data.ndim > 3 else data[..., None]
    values = np.stack([apply_orientation(data[..., k], turn) for k in range(data.shape[3])])
    values = np.stack([np.where(np.isnan(part), np.nanmin(part), part) for part in values])
    turned = image.as_reoriented(turn) if hasattr(image, "as_reoriented") else image
    unit = image.header.get_xyzt_units()[0] if hasattr(image.header, "get_xyzt_units") else "mm"
    sizes = np.sqrt((turned.affine[:3, :3] ** 2).sum(axis=0)) * UNITS[unit]
    return {"values": values, "spacing": tuple(map(float, sizes))}
