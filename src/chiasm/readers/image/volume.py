"""Reader of NIfTI, MGH and MINC: a file, or a folder of a patient's contrasts, as a volume that lies as DICOM does."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.hdf5_chunks import inflates_beyond
from chiasm.cohort.hdf5_heaps import has_damaged_heap
from chiasm.limits import BOMB_VOXELS
from chiasm.readers.guard import file_of, files_of, guarded
from chiasm.readers.image.generated import LARGEST_EXTENSION, mark_text, note_of
from chiasm.readers.image.voxels import TRUNCATED, Stored, opened, read_array, read_stored
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, Volume, check_packed, check_values
from chiasm.readers.registry import missing
from chiasm.room import room

UNPLACED = "does not say how the volume lies in the patient"
NOUN, FIX = "a volume", "write it again as .nii.gz"
SUFFIXES = (".nii", ".nii.gz", ".mgh", ".mgz", ".mnc")
UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # metre, mm, micron -> mm
SEPARATORS = "_-. "
MGH = b"\0\0\0\1"
HDF5 = b"\x89HDF\r\n\x1a\n"
MINC = (b"CDF\1", b"CDF\2", HDF5)
SAME_SIZE = 1e-3  # relative difference of a voxel size from the affine's that rounding explains
SQUARE = 0.02  # cosine of the angle of two axes, about one degree from a right one


class VolumeReader:
    """Reader of a `Volume`: `(C, D, H, W)` float32, voxels scaled by `scl_slope` and `scl_inter`.

    Axes are turned to the nearest patient axes, by the sform, else the qform, without resampling: d runs from foot to
    head, h from front to back, w from the patient's right to the left. DICOM series lie the same way, so a scan is the
    same array from either format (nibabel's canonical RAS+, first two axes reversed, in the order S, P, L). MGH and MGZ
    of FreeSurfer and MINC 1 and 2 are read so too, through nibabel.

    Channels: a 4-D file has one for each volume, named "0", "1" ...; a folder has one for each file of these kinds, by
    name, without the prefix that all names share up to a separator (`p7_t1`, `p7_t2` are `t1`, `t2`), or that a single
    one shares with its folder. They must have one shape and lie within half a voxel of each other.

    NaN (the background that many programs leave outside a mask) becomes the smallest finite value of its channel;
    infinities are refused. `unit` is "", since NIfTI does not say. `spacing` is in mm (by `xyzt_units`): the voxel
    sizes of the affine that is used.
    """

    kind = "volume"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note from the headers an orientation that is unknown, and voxel sizes or axes that do not fit it.

        A truncated `.nii.gz` is only noticed by `read`.
        """
        with guarded(NOUN, FIX):
            headers = [_header(file, limits) for file in _files(item, limits)]
            check_values((sum(header.size for header in headers),), limits)
            unknown = sum(not header.oriented for header in headers)
        which = f" of {unknown} of {len(headers)} files" if len(headers) > 1 else ""
        notes = [f"the header{which} {UNPLACED}"] if unknown else []
        return (*notes, *dict.fromkeys(note for header in headers for note in header.notes))

    def read(self, item: Item, limits: Limits = LIMITS) -> Volume:
        """Read the volume.

        Raises:
            ReadError: not NIfTI, damaged, over a limit, not real numbers, contrasts that do not lie on one another.
            Unsupported: nibabel is missing.
        """
        with guarded(NOUN, FIX):
            files = _files(item, limits)
            headers = [_header(file, limits) for file in files]
            check_values((sum(header.size for header in headers),), limits)
            one = isinstance(item, Path) and item.is_file()
            names = [""] if one else _names(files)
            _one_grid(headers)
            values = room((sum(header.volumes for header in headers), *headers[0].turned))
            channels: list[str] = []
            for place in sorted(range(len(files)), key=lambda place: names[place]):
                own, name = headers[place].volumes, names[place]
                _voxels(files[place], headers[place], values[len(channels) : len(channels) + own])
                several = [str(k) for k in range(own)]
                channels += several if one else [name] if own == 1 else [f"{name}.{k}" for k in several]
            volume = Volume(values, tuple(channels), headers[0].spacing)
        return volume


@dataclass(frozen=True)
class _Header:
    """Header of one file: `shape` (X, Y, Z) and `volumes` as stored; `spacing` along D, H, W after turning."""

    shape: tuple[int, int, int]
    volumes: int
    affine: NDArray[np.float64]
    orientation: NDArray[np.float64]  # (3, 2): patient axis of each axis of the file, and its sign
    spacing: tuple[float, float, float]
    oriented: bool
    stored: Stored | Callable[[], Any]  # or an image of nibabel
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.volumes

    @property
    def turned(self) -> tuple[int, int, int]:
        """Lengths of D, H, W: those of the axes of the file that run along the patient's z, y, x."""
        d, h, w = (self.shape[int(np.flatnonzero(self.orientation[:, 0] == axis)[0])] for axis in (2, 1, 0))
        return d, h, w


def _files(item: Item, limits: Limits) -> list[Path]:
    if isinstance(item, Path) and item.is_dir():
        found = [file for file in files_of(item, limits) if file.name.lower().endswith(SUFFIXES)]
        if not found:
            raise ReadError("the folder holds no .nii, .nii.gz, .mgz or .mnc file", "write each contrast as one")
        return found
    return [file_of(item, limits)]


def _names(files: Sequence[Path]) -> list[str]:
    """Name the contrasts without the patient: drop the prefix that all share, or that one shares with its folder."""
    stems = [file.name[: -len(".nii.gz")] if file.name.lower().endswith(".gz") else file.stem for file in files]
    alike = stems if len(stems) > 1 else [stems[0], files[0].parent.name + "_"]
    shared = commonprefix(alike)  # noqa: RUF071 (names, not paths)
    cut = max(shared.rfind(mark) for mark in SEPARATORS) + 1
    names = [stem[cut:] or stem for stem in stems]
    if len(set(names)) < len(names):
        raise ReadError("two files of the folder are the same contrast", "keep one of them")
    return names


def _header(path: Path, limits: Limits) -> _Header:
    """Read the header of one file and check its announced size, for an unpacked file against the file too."""
    try:
        import nibabel
    except ImportError:
        raise missing("nibabel", "imaging", "NIfTI volumes") from None
    with opened(path) as stream:
        start = stream.read(540)
        packed = isinstance(stream, gzip.GzipFile)
    if start.startswith(MINC):
        return _minc(path, start, limits)
    if start.startswith(MGH) and b"n+" not in (start[344:346], start[4:6]):
        return _mgh(path, start, limits, packed)
    kinds = {b"n+1\0": (nibabel.Nifti1Header, 348), b"n+2\0": (nibabel.Nifti2Header, 540)}
    magic = start[344:348] if start[344:348] in kinds else start[4:8]
    if start[344:348] == b"ni1\0" or start[4:8] == b"ni2\0":
        raise ReadError("the header lies apart from its voxels (.hdr and .img)", FIX)
    if magic not in kinds:
        raise ReadError("the file is not NIfTI, whatever its name", FIX)
    made, length = kinds[magic]
    nifti: Any = made.from_fileobj(BytesIO(start[:length]))  # type: ignore[no-untyped-call]
    shape, volumes = _shape(nifti.get_data_shape())
    check_values((*shape, volumes), limits)
    dtype = nifti.get_data_dtype()
    if dtype.kind not in "iuf":
        raise ReadError("the voxels are colours or complex numbers", "write one real number a voxel")
    offset = int(nifti["vox_offset"])
    if not length <= offset <= length + LARGEST_EXTENSION:
        raise ReadError("the header places the voxels where they cannot be", FIX)
    end = offset + int(np.prod(shape, dtype=object)) * volumes * dtype.itemsize
    if not packed and path.stat().st_size < end:
        raise ReadError(*TRUNCATED)
    check_packed((*shape, volumes), dtype.itemsize, path.stat().st_size, BOMB_VOXELS)
    affine = np.asarray(nifti.get_best_affine(), dtype=np.float64)
    unit = UNITS.get(int(nifti["xyzt_units"]) & 7, 1.0)
    zooms = (*map(float, nifti.get_zooms()[:3]), 1.0, 1.0)[:3]
    slope, inter = nifti.get_slope_inter()
    oriented = bool(int(nifti["sform_code"]) or int(nifti["qform_code"]))
    stored = Stored(dtype, offset, float(slope or 1), float(inter or 0))
    header = _placed(shape, volumes, affine, zooms, unit, oriented, stored)
    if mark_text(path) is not None:
        return replace(header, notes=(*header.notes, note_of("voxels")))
    return header


def _mgh(path: Path, start: bytes, limits: Limits, packed: bool) -> _Header:
    """Read the header of FreeSurfer's format; what follows its voxels is not read."""
    from nibabel.freesurfer.mghformat import DATA_OFFSET, MGHHeader

    header: Any = MGHHeader.from_fileobj(BytesIO(start))  # type: ignore[no-untyped-call]
    shape, volumes = _shape(header.get_data_shape())
    check_values((*shape, volumes), limits)
    dtype = header.get_data_dtype()
    end = DATA_OFFSET + int(np.prod(shape, dtype=object)) * volumes * dtype.itemsize
    if not packed and path.stat().st_size < end:
        raise ReadError(*TRUNCATED)
    check_packed((*shape, volumes), dtype.itemsize, path.stat().st_size, BOMB_VOXELS)
    affine = np.asarray(header.get_affine(), dtype=np.float64)
    zooms = (*map(float, header.get_zooms()[:3]), 1.0, 1.0)[:3]
    stored = Stored(dtype, DATA_OFFSET)
    return _placed(shape, volumes, affine, zooms, 1.0, int(header["goodRASFlag"]) == 1, stored)


def _minc(path: Path, start: bytes, limits: Limits) -> _Header:
    """Read the header of MINC 1 (netCDF) or 2 (HDF5, without links to other files)."""
    import nibabel

    if start.startswith(HDF5):
        try:
            import h5py  # type: ignore[import-untyped]
        except ImportError:
            raise missing("h5py", "imaging", "volumes in MINC 2") from None
        if has_damaged_heap(path):
            raise ReadError("the file is damaged, and is not read as a volume", FIX)
        with h5py.File(path, "r") as file:
            place = file
            for name in ("minc-2.0", "image", "0", "image"):
                if not isinstance(place.get(name, getlink=True), h5py.HardLink):
                    raise ReadError("the HDF5 file holds no MINC volume, or a link to it", FIX)
                place = place[name]
            if place.external or place.is_virtual:
                raise ReadError("the voxels lie in another file, which is not opened", FIX)
            check_values(place.shape, limits)
            check_packed(place.shape, place.dtype.itemsize, path.stat().st_size)
            if inflates_beyond(place):
                raise ReadError("a chunk of the voxels unpacks to more than its shape announces", FIX)
    made: Any = nibabel.Minc2Image if start.startswith(HDF5) else nibabel.Minc1Image
    image = made.from_filename(path)
    shape, volumes = _shape(image.shape)
    check_values((*shape, volumes), limits)
    zooms = (*map(float, image.header.get_zooms()[:3]), 1.0, 1.0)[:3]
    affine = np.asarray(image.affine, dtype=np.float64)
    return _placed(shape, volumes, affine, zooms, 1.0, True, lambda: image)


def _shape(found: tuple[int, ...]) -> tuple[tuple[int, int, int], int]:
    shape = (*map(int, found), 1, 1, 1)[: max(3, len(found))]
    rest = [length for length in shape[3:] if length != 1]
    if len(rest) > 1:
        raise ReadError(f"the volume has {3 + len(rest)} axes", "write it with four at most: x, y, z and channel")
    return (shape[0], shape[1], shape[2]), rest[0] if rest else 1


def _placed(
    shape: tuple[int, int, int],
    volumes: int,
    affine: NDArray[np.float64],
    zooms: tuple[float, ...],
    unit: float,
    oriented: bool,
    stored: Stored | Callable[[], Any],
) -> _Header:
    """Find orientation and spacing (D, H, W) of the affine, and where the header's own voxel sizes are others."""
    from nibabel.orientations import io_orientation

    orientation = np.full((3, 2), np.nan)
    sizes = np.full(3, np.nan)
    if np.isfinite(affine).all():
        orientation = io_orientation(affine)  # type: ignore[no-untyped-call]
        sizes = np.sqrt((affine[:3, :3] ** 2).sum(axis=0))
    if not np.isfinite(orientation).all() or not (sizes > 0).all() or not np.isfinite(zooms).all():
        raise ReadError("the header's affine or voxel size is not usable", "write sform and zooms again")
    notes = []
    if np.allclose(sizes, zooms, rtol=SAME_SIZE):
        sizes = np.array(zooms)
    else:
        notes.append("the voxel sizes of the header are not those of its affine, which is used")
    angles = np.abs((affine[:3, :3] / np.sqrt((affine[:3, :3] ** 2).sum(axis=0))).T @ affine[:3, :3]) / sizes
    if (angles - np.diag(np.diag(angles)) > SQUARE).any():
        notes.append("the axes of the volume are not at right angles, and are stacked as if they were")
    x, y, z = (float(sizes[int(np.flatnonzero(orientation[:, 0] == axis)[0])]) * unit for axis in range(3))
    return _Header(shape, volumes, affine, orientation, (z, y, x), oriented, stored, tuple(notes))


def _one_grid(headers: Sequence[_Header]) -> None:
    """Refuse contrasts whose corners lie more than half a voxel from those of the first."""
    first = headers[0]
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [*first.shape, 1]
    for header in headers[1:]:
        if header.shape != first.shape:
            raise ReadError("the contrasts differ in shape", "register and resample them to one grid")
        apart = np.abs(corners @ (header.affine - first.affine).T).max()
        if apart > np.sqrt((first.affine[:3, :3] ** 2).sum(axis=0)).min() / 2:
            raise ReadError("the contrasts do not lie in the same place", "register and resample them to one grid")


def _voxels(path: Path, header: _Header, values: Floats) -> None:
    """Read the voxels of one file into `(C, D, H, W)`."""
    if isinstance(header.stored, Stored):
        read_stored(path, header.stored, header.shape, header.orientation, values)
    else:
        read_array(header.stored(), header.shape, header.orientation, values)
