"""Reader of NIfTI: one file, or a folder of one patient's contrasts, as a volume oriented like axial DICOM slices."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from os.path import commonprefix
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.guard import file_of, files_of, guarded
from chiasm.readers.reading import LIMITS, Floats, Item, Limits, ReadError, Volume, check_values
from chiasm.readers.registry import missing

NOUN, FIX = "a NIfTI volume", "write it again as .nii.gz"
GZIP = b"\x1f\x8b"
SUFFIXES = (".nii", ".nii.gz")
LARGEST_EXTENSION = 1 << 24  # bytes between the header and the voxels
SLACK = 1 << 20  # bytes after the voxels that a gzip may hold
PIECE = 1 << 20
UNITS = {1: 1000.0, 2: 1.0, 3: 0.001}  # metre, mm, micron -> mm
SEPARATORS = "_-. "


class VolumeReader:
    """Reader of a `Volume`: `(C, D, H, W)` float32, voxels scaled by `scl_slope` and `scl_inter`.

    Axes are turned to the nearest patient axes, by the sform, else the qform, without resampling: d runs from foot to
    head, h from front to back, w from the patient's right to the left. Axial DICOM slices lie the same way, so a scan
    is the same array from either format (nibabel's canonical RAS+, first two axes reversed, in the order S, P, L).

    Channels: a 4-D file has one for each volume, named "0", "1" ...; a folder has one for each `.nii` or `.nii.gz`, by
    name, without the prefix that all names share up to a separator (`p7_t1`, `p7_t2` are `t1`, `t2`), or that a single
    one shares with its folder. They must have one shape and lie within half a voxel of each other.

    NaN (the background that many programs leave outside a mask) becomes the smallest finite value of its channel;
    infinities are refused. `unit` is "", since NIfTI does not say. `spacing` is in mm, from the zooms and `xyzt_units`.
    """

    kind = "volume"
    version = "1"

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note from the headers if the orientation is unknown. A truncated `.nii.gz` is only noticed by `read`."""
        with guarded(NOUN, FIX):
            headers = [_header(file, limits) for file in _files(item, limits)]
            check_values((sum(header.size for header in headers),), limits)
            unknown = sum(not header.oriented for header in headers)
        which = f" of {unknown} of {len(headers)} files" if len(headers) > 1 else ""
        return (f"the header{which} does not say how the volume lies in the patient",) if unknown else ()

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
            parts, channels = [], []
            for place in sorted(range(len(files)), key=lambda place: names[place]):
                part = _voxels(files[place], headers[place])
                several = [str(k) for k in range(len(part))]
                name = names[place]
                channels += several if one else [name] if len(part) == 1 else [f"{name}.{k}" for k in several]
                parts.append(part)
            volume = Volume(np.concatenate(parts), tuple(channels), headers[0].spacing)
        return volume


@dataclass(frozen=True)
class _Header:
    """Header of one file: `shape` (X, Y, Z) and `volumes` as stored; `spacing` along D, H, W after turning."""

    nifti: Any
    shape: tuple[int, int, int]
    volumes: int
    affine: NDArray[np.float64]
    orientation: NDArray[np.float64]  # (3, 2): patient axis of each axis of the file, and its sign
    spacing: tuple[float, float, float]
    oriented: bool
    end: int  # end of the voxels in the (unpacked) file

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=object)) * self.volumes


def _files(item: Item, limits: Limits) -> list[Path]:
    if isinstance(item, Path) and item.is_dir():
        found = [file for file in files_of(item, limits) if file.name.lower().endswith(SUFFIXES)]
        if not found:
            raise ReadError("the folder holds no .nii or .nii.gz file", "write each contrast as one")
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


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _header(path: Path, limits: Limits) -> _Header:
    """Read the header of one file and check its announced size, for an unpacked file against the file too."""
    try:
        import nibabel
    except ImportError:
        raise missing("nibabel", "imaging", "NIfTI volumes") from None
    with _open(path) as stream:
        start = stream.read(540)
        packed = isinstance(stream, gzip.GzipFile)
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
        raise ReadError("the file is truncated: it is shorter than its header announces", "copy it again")
    return _Header(nifti, shape, volumes, *_place(nifti), end)


def _shape(found: tuple[int, ...]) -> tuple[tuple[int, int, int], int]:
    shape = (*map(int, found), 1, 1, 1)[: max(3, len(found))]
    rest = [length for length in shape[3:] if length != 1]
    if len(rest) > 1:
        raise ReadError(f"the volume has {3 + len(rest)} axes", "write it with four at most: x, y, z and channel")
    return (shape[0], shape[1], shape[2]), rest[0] if rest else 1


def _place(nifti: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[float, float, float], bool]:
    """Read affine, orientation, spacing (D, H, W), and whether the header gives an orientation."""
    from nibabel.orientations import io_orientation

    affine = np.asarray(nifti.get_best_affine(), dtype=np.float64)
    unit = UNITS.get(int(nifti["xyzt_units"]) & 7, 1.0)
    orientation = np.full((3, 2), np.nan)
    if np.isfinite(affine).all():
        orientation = io_orientation(affine)  # type: ignore[no-untyped-call]
    zooms = (*map(float, nifti.get_zooms()[:3]), 1.0, 1.0)[:3]
    if not np.isfinite(orientation).all() or not all(np.isfinite(zoom) and zoom > 0 for zoom in zooms):
        raise ReadError("the header's affine or voxel size is not usable", "write sform and zooms again")
    x, y, z = (zooms[int(np.flatnonzero(orientation[:, 0] == axis)[0])] * unit for axis in range(3))
    return affine, orientation, (z, y, x), bool(int(nifti["sform_code"]) or int(nifti["qform_code"]))


def _one_grid(headers: Sequence[_Header]) -> None:
    """Refuse contrasts whose corners lie more than half a voxel from those of the first."""
    first = headers[0]
    corners = np.array([[x, y, z, 1] for x in (0, 1) for y in (0, 1) for z in (0, 1)]) * [*first.shape, 1]
    for header in headers[1:]:
        if header.shape != first.shape:
            raise ReadError("the contrasts differ in shape", "register and resample them to one grid")
        apart = np.abs(corners @ (header.affine - first.affine).T).max()
        if apart > min(map(float, first.nifti.get_zooms()[:3])) / 2:
            raise ReadError("the contrasts do not lie in the same place", "register and resample them to one grid")


def _voxels(path: Path, header: _Header) -> Floats:
    """Read the voxels of one file as `(C, D, H, W)`."""
    from nibabel.orientations import apply_orientation

    dtype, start = header.nifti.get_data_dtype(), int(header.nifti["vox_offset"])
    with _open(path) as stream:
        if isinstance(stream, gzip.GzipFile):
            stored = np.frombuffer(_unpack(stream, header.end), dtype, header.size, start)
        else:
            stored = np.fromfile(path, dtype, header.size, offset=start)
    slope, inter = header.nifti.get_slope_inter()
    parts = []
    for volume in stored.reshape((header.volumes, -1)):
        scaled = volume.astype(np.float64) * float(slope or 1) + float(inter or 0)
        turned: Any = apply_orientation(scaled.reshape(header.shape, order="F"), header.orientation)  # type: ignore[no-untyped-call]
        parts.append(_finite(turned[::-1, ::-1].transpose(2, 1, 0)))  # R, A, S -> S, P, L
    return np.stack(parts)


def _finite(voxels: NDArray[np.float64]) -> Floats:
    """Convert to float32, with the smallest number in place of NaN."""
    values = np.ascontiguousarray(voxels, dtype=np.float32)
    unknown = np.isnan(values)
    if np.isinf(values).any() or unknown.all():
        raise ReadError("the voxels are infinite, or none is a number", "write finite numbers")
    if unknown.any():
        values[unknown] = np.nanmin(values)
    return values


def _unpack(stream: BinaryIO, end: int) -> bytearray:
    """Unpack a gzip, which must end where the header says, within `SLACK` bytes; its checksum is verified."""
    content = bytearray()
    while piece := stream.read(PIECE):
        content += piece
        if len(content) > end + SLACK:
            raise ReadError("the file unpacks to more than its header announces", FIX)
    if len(content) < end:
        raise ReadError("the file is truncated: it unpacks to less than its header announces", "copy it again")
    return content
