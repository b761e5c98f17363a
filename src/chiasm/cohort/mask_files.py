"""Read the files of label maps, one an image: NIfTI, DICOM SEG or RTSTRUCT, or PNG, recognised by their name's end."""

from __future__ import annotations

import gzip
import struct
import warnings
import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.cell_files import read_named
from chiasm.cohort.contour_files import NO_SERIES, NOT_A_SERIES, of_contours, place_of_series
from chiasm.cohort.places import inside
from chiasm.errors import CohortError, Unsupported
from chiasm.limits import BOMB_VOXELS, MASK_BYTES, is_packed_nothing
from chiasm.targets.channel_cells import Unread
from chiasm.targets.label_maps import MOST_VOXELS, map_of
from chiasm.targets.mask_cells import ReadMap

NIFTI, PNG, SEG = (".nii", ".gz"), ".png", ".dcm"
RTSS = "1.2.840.10008.5.1.4.1.1.481.3"
ON_SERIES = 1e-2  # of a voxel, and of a direction, by which a segmentation may be off its series
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and the back
HIGHEST = 1 << 30  # code that is read
MILLIMETRES = {1: 1000.0, 3: 0.001}
OTHER_FORMAT = "write it as .nii.gz, or as .png for an image"
WHOLE = "write whole numbers, 0 where there is no label"


def read_masks(
    folder: Path | None,
    cells: Sequence[object],
    spacing: Sequence[float],
    codes: Mapping[str, int] | None = None,
    series: Sequence[object] = (),
) -> NDArray[np.object_]:
    """Read the label map of every cell that is a path; arrays, and JSON from `{` on, stay; empty ones are None.

    Maps are kept as runs: of all patients' arrays one is in memory at a time.

    Args:
        folder: what paths are relative to, and must not leave; None where whoever made the cohort gave them.
        spacing: millimetres a pixel along rows and columns, for .png files; empty: not known.
        codes: of each label, for contours, whose regions are named.
        series: (n,) folder of the DICOM series on which each label map lies; empty: none is named.

    Returns:
        (n,) objects: `ReadMap`, None, or an `Unread` that says what is wrong with a file.
    """
    found = np.full(len(cells), None, dtype=object)
    for place, cell in enumerate(cells):
        name = str(cell).strip() if isinstance(cell, str | Path) else ""
        if not name or name.startswith("{"):
            found[place] = None if isinstance(cell, str) and not name else cell
            continue
        on = str(series[place]).strip() if len(series) and isinstance(series[place], str | Path) else ""
        found[place] = read_named(
            folder, name, (*NIFTI, PNG, SEG), OTHER_FORMAT, MASK_BYTES,
            partial(_read, spacing=spacing, codes=codes or {}, folder=folder, series=on),
        )  # fmt: skip
    return found


def _read(
    path: Path, spacing: Sequence[float], codes: Mapping[str, int], folder: Path | None, series: str
) -> ReadMap | Unread:
    ending = path.suffix.lower()
    try:
        if ending == SEG:
            return _of_dicom(path, codes, folder, series)
        return _of_png(path, spacing) if ending == PNG else _of_nifti(path)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, SyntaxError, EOFError, zlib.error) as fault:
        _ = fault
    except (gzip.BadGzipFile, OSError) as fault:
        if isinstance(fault, FileNotFoundError | PermissionError):
            raise
    return Unread(f"names a {ending} file that is damaged, or no label map", "write it again")


def _of_png(path: Path, spacing: Sequence[float]) -> ReadMap | Unread:
    """A picture of one channel: places in its palette, or grey values, are the codes."""
    from PIL import Image

    too_large = Unread("names a .png file of more pixels than are read", "cut it into parts")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # which comes before Pillow's own limit
            opened = Image.open(path, formats=("PNG",))
    except Image.DecompressionBombError:
        return too_large
    with opened as picture:
        if picture.width * picture.height > MOST_VOXELS:
            return too_large
        if picture.mode not in ("1", "L", "P", "I", "I;16"):
            return Unread("names a .png file of colours without a palette", "write the code of each pixel as its grey")
        codes = np.asarray(picture).astype(np.int64)
    return ReadMap(map_of(codes, spacing or None))


def _of_dicom(path: Path, codes: Mapping[str, int], folder: Path | None, series: str) -> ReadMap | Unread:
    """Contours, or a segmentation whose numbers of segments are the codes, on the grid of a series where one is named.

    A segmentation of no named series lies from its first slice to its last.
    """
    try:
        import highdicom
    except ImportError:
        raise Unsupported("label maps in DICOM need highdicom: pip install 'chiasm[hospital]'") from None
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what pydicom finds odd of a file that is read all the same
            contours = dcmread(path, stop_before_pixels=True, specific_tags=["SOPClassUID"]).get("SOPClassUID") == RTSS
            on = place_of_series(Path(series) if folder is None else inside(folder, series)) if series else None
            if on is None and (contours or series):
                return NOT_A_SERIES if series else NO_SERIES
            if contours and on is not None:
                drawn = of_contours(dcmread(path), codes, on)
                return drawn if isinstance(drawn, Unread) else turned(drawn, TO_RAS @ on.affine)
            made: Any = highdicom.seg.segread(path)
            place = made.get_volume_geometry()  # slices that are left out between its frames among them
            sizes = [() if place is None else place.spatial_shape, () if on is None else on.shape]
            size = 0 if place is None else max(int(np.prod(own, dtype=object)) for own in sizes)
            if size > MOST_VOXELS or is_packed_nothing(size, 1, 8 * path.stat().st_size, BOMB_VOXELS):
                return Unread("names a label map of more voxels than are read", "crop it, and its image alike")
            volume = made.get_volume(combine_segments=True)
            if on is not None:
                grid = highdicom.VolumeGeometry(on.affine, on.shape, "PATIENT")
                volume = volume.match_geometry(grid, tol=ON_SERIES)
    except CohortError as fault:
        return Unread(f"names a series of which {fault.problems[0].what}", fault.problems[0].fix)
    except (InvalidDicomError, RuntimeError, AttributeError, struct.error):  # segments that overlap, no one volume
        fix = "write segments that do not overlap, on slices of equal distance"
        where = " on its series" if series else ""
        return Unread(f"names a .dcm file that is no segmentation, or none of one volume{where}", fix)
    return turned(np.asarray(volume.array, dtype=np.int64), TO_RAS @ np.asarray(volume.affine, dtype=np.float64))


def _of_nifti(path: Path) -> ReadMap | Unread:
    """A label map of NIfTI, its axes turned as those of images are: foot to head, front to back, right to left."""
    try:
        import nibabel
    except ImportError:
        raise Unsupported("label maps in NIfTI need nibabel: pip install 'chiasm[imaging]'") from None
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    try:
        image: Any = nibabel.load(path)
    except (ImageFileError, HeaderDataError):
        return Unread("names a .nii file that is damaged, or no NIfTI", "write it again")
    shape = tuple(int(own) for own in image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 3 or not all(shape):
        return Unread("names a label map of more than three axes", "write one code a voxel")
    shape = (*shape, 1, 1)[: max(3, len(shape))]
    size, itemsize = int(np.prod(shape, dtype=object)), image.get_data_dtype().itemsize
    packed = size * itemsize > MASK_BYTES and is_packed_nothing(size, itemsize, path.stat().st_size, BOMB_VOXELS)
    if size > MOST_VOXELS or packed:  # below, nothing is what packs well: a sound map does, to a thousandth
        return Unread("names a label map of more voxels than are read", "crop it, and its image alike")
    values = np.asarray(image.dataobj).reshape(shape)
    if values.dtype.kind not in "biuf" or not np.isfinite(values).all() or np.abs(values).max(initial=0) > HIGHEST:
        return Unread("names a label map with numbers that are no codes", WHOLE)
    codes = values if values.dtype.kind in "iu" else np.rint(values).astype(np.int32)
    if (codes != values).any() or codes.min(initial=0) < 0:
        return Unread("names a label map with numbers that are no codes", WHOLE)
    return turned(codes, in_millimetres(image))


def in_millimetres(image: Any) -> NDArray[np.float64]:
    """Affine (4, 4) of an image of nibabel, from voxels to millimetres."""
    affine = np.asarray(image.affine, dtype=np.float64).copy()
    affine[:3] *= MILLIMETRES.get(int(image.header["xyzt_units"]) & 7, 1.0) if "xyzt_units" in image.header else 1.0
    return affine


def place_of(path: Path) -> tuple[tuple[int, int, int], NDArray[np.float64]] | None:
    """Shape and affine of a NIfTI file as `placed` gives them, by its header; None where that cannot be read."""
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    if path.suffix.lower() not in NIFTI:
        return None
    try:
        image: Any = nibabel.load(path)
        shape = (*(int(own) for own in image.shape), 1, 1)[:3]
        return placed(shape, in_millimetres(image))
    except (ImageFileError, HeaderDataError, OSError, ValueError, EOFError, zlib.error):
        return None


def turned(codes: NDArray[np.integer], affine: NDArray[np.float64]) -> ReadMap | Unread:
    """A map `(X, Y, Z)` of a file with its affine, turned to `(D, H, W)` as the reader of volumes turns images."""
    place = placed(codes.shape, affine)
    if place is None:
        return Unread("names a label map whose header does not place it in the patient", "write sform and zooms again")
    from nibabel.orientations import apply_orientation, io_orientation

    way = io_orientation(affine)  # type: ignore[no-untyped-call]
    upright = apply_orientation(codes, way)[::-1, ::-1].transpose(2, 1, 0)  # type: ignore[no-untyped-call]
    spacing = np.sqrt((place[1][:3, :3] ** 2).sum(axis=0))
    return ReadMap(map_of(upright, spacing.tolist()), place[1])


def placed(
    shape: Sequence[int], affine: NDArray[np.float64]
) -> tuple[tuple[int, int, int], NDArray[np.float64]] | None:
    """Shape `(D, H, W)` of a file of `(X, Y, Z)` once it is turned, and its affine then; None where it has no place."""
    from nibabel.orientations import inv_ornt_aff, io_orientation

    way = io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)  # type: ignore[no-untyped-call]
    if not np.isfinite(way).all():
        return None
    x, y, z = (int(shape[int(np.flatnonzero(way[:, 0] == axis)[0])]) for axis in range(3))
    back = np.array([[0, 0, -1, x - 1], [0, -1, 0, y - 1], [1, 0, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
    return (z, y, x), affine @ inv_ornt_aff(way, shape) @ back  # type: ignore[no-untyped-call]
