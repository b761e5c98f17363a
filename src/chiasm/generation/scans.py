"""A scan as its file has it, and a finer one written beside it: same place in the patient, same range, with a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.generation.marks import mark_nifti, png_mark
from chiasm.readers.guard import guarded
from chiasm.readers.image.dicom import FIX as DICOM_FIX
from chiasm.readers.image.dicom import NOUN as DICOM_NOUN
from chiasm.readers.image.dicom import DicomReader, series_of
from chiasm.readers.image.dicom_series import EVEN, affine_of
from chiasm.readers.image.generated import mark_text
from chiasm.readers.image.image import ImageReader, sixteen_bits
from chiasm.readers.image.volume import FIX, NOUN, SUFFIXES, VolumeReader
from chiasm.readers.reading import LIMITS, ReadError

Floats = NDArray[np.float32]
NIFTI, PNG = (".nii", ".nii.gz"), (".png",)
DICOM = ".dcm"
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and the back


@dataclass(frozen=True)
class Scan:
    """One scan in its file's axes.

    Attributes:
        values: `(X, Y, Z)` of a volume, `(H, W)` of a picture.
        whole: None where values are fractions; else the type of whole numbers that the file has.
        affine: `(4, 4)`, of a volume: from voxels to the file's unit, at the middles of voxels.
        codes: how sure the file is of its sform and qform, and its units.
        qform: where the file has it beside another sform; else the affine is both.
        slices_first: whether the axes are slices, rows and columns, as those of a DICOM series, and no file of NIfTI's.
    """

    values: Floats
    whole: np.dtype[Any] | None = None
    affine: NDArray[np.float64] | None = None
    codes: tuple[int, int, int] = (1, 1, 2)
    qform: NDArray[np.float64] | None = None
    slices_first: bool = False

    @classmethod
    def of_array(cls, values: NDArray[Any]) -> Scan:
        """A scan that lies in no file: a picture, or a volume of which nobody said where it lies.

        Raises:
            ValueError: it has neither two nor three axes.
        """
        own = np.asarray(values, np.float32)
        if own.ndim not in (2, 3):
            raise ValueError(f"the scan has {own.ndim} axes: give two or three")
        whole = own.size > 0 and np.isfinite(own).all()
        kinds = (np.uint8, np.uint16) if own.ndim == 2 else ()
        place = None if own.ndim == 2 else np.eye(4)
        return cls(own, _whole(own, *kinds) if whole else None, place, (0, 0, 0))


def read_scan(path: Path) -> Scan:
    """Read NIfTI, MGH, MINC or a DICOM series as a volume, PNG, JPEG, TIFF or BMP of one channel as a picture.

    A DICOM series is a folder, or a file of several frames that ends in .dcm.

    Raises:
        Unsupported: several volumes or channels in a file; voxels that were generated; missing values.
        ReadError: it cannot be read.
    """
    if not path.exists():
        raise FileNotFoundError(
            2, "is not there: name a volume (.nii.gz), a DICOM folder or a picture (.png)", str(path)
        )
    if path.is_dir() or path.suffix.lower() == DICOM:
        return _series(path)
    volume = path.name.lower().endswith(SUFFIXES)
    if volume:
        VolumeReader().inspect(path)  # sizes and packing are held against the limits before anything is read
        with guarded(NOUN, FIX):
            found = _volume(path)
    else:
        read = ImageReader().read(path)
        if len(read.values) > 1:
            raise Unsupported("the picture has colours, and one brightness a pixel is made finer: write it in grey")
        kinds = (np.uint16,) if sixteen_bits(path) else (np.uint8, np.uint16)
        found = Scan(read.values[0], _whole(read.values, *kinds))
    if mark_text(path) is not None:
        raise Unsupported("the file's header says that it was generated, and what is between such pixels says nothing")
    return found


def _volume(path: Path) -> Scan:
    import nibabel

    stored: Any = nibabel.load(path)
    shape = (*stored.shape, 1, 1)[: max(3, len(stored.shape))]
    if int(np.prod(shape[3:])) > 1:
        raise Unsupported(f"the file has {int(np.prod(shape[3:]))} volumes: write the one to make finer as a file")
    values = np.asarray(stored.dataobj, dtype=np.float32).reshape(shape[:3])
    codes, qform = (1, 1, 2), None
    plain = isinstance(stored.header, nibabel.Nifti1Header)
    if plain:
        header = stored.header
        codes = (int(header["sform_code"]), int(header["qform_code"]), int(header["xyzt_units"]) & 7)
        if codes[0] and codes[1]:
            qform = np.asarray(header.get_qform(), np.float64)
    kind = stored.get_data_dtype()
    scaled = plain and (stored.dataobj.slope != 1 or stored.dataobj.inter != 0)
    whole = None
    if kind.kind in "iu" and not scaled:  # MINC scales each slice: what was read tells whether it is whole
        whole = _whole(values, kind.type if kind.itemsize < 8 else np.int32)  # programs do not take 64 bits
    return Scan(values, whole, np.asarray(stored.affine, np.float64), codes, qform)


def _series(path: Path) -> Scan:
    """A DICOM series as its slices are: first to last, rows, columns."""
    read = DicomReader().read(path)
    with guarded(DICOM_NOUN, DICOM_FIX):
        of = series_of(path, LIMITS)
    place = affine_of(of)
    if len(read.values) > 1 or place is None or any(own.position is None for own in of.slices):
        what = "has colours" if len(read.values) > 1 else "does not say where its slices lie"
        raise Unsupported(f"the series {what}, and cannot be written on a finer grid: convert it to NIfTI in grey")
    places = np.array([own.position for own in of.slices], np.float64)
    gaps = np.linalg.norm(np.diff(places, axis=0), axis=1)
    if len(gaps) and (np.abs(gaps - np.median(gaps)) > EVEN * np.median(gaps)).any():
        raise Unsupported("the slices of the series do not lie at even distances: resample it to such")
    turned = read.values[0][tuple(slice(None, None, step) for step in of.steps)]
    values = np.ascontiguousarray(turned.transpose(np.argsort(of.axes)))
    return Scan(values, _whole(values, np.int16, np.int32), TO_RAS @ place, slices_first=True)


def _whole(values: Floats, *kinds: type[np.integer[Any]]) -> np.dtype[Any] | None:
    """The first of some kinds of whole numbers that holds all values; None where one is a fraction or too large."""
    for kind in kinds:
        limits = np.iinfo(kind)
        if limits.min <= float(values.min()) and float(values.max()) <= limits.max and bool((values % 1 == 0).all()):
            return np.dtype(kind)
    return None


def finer_affine(affine: NDArray[np.float64], shape: Sequence[int], finer: Sequence[int]) -> NDArray[np.float64]:
    """Affine of a finer grid of the same field of view: outer faces stay, so that the first voxel's middle moves."""
    step = np.asarray(shape, np.float64) / np.asarray(finer)
    change = np.diag([*step, 1.0])
    change[:3, 3] = (step - 1) / 2
    return np.asarray(affine @ change)


def require_suits(path: Path, scan: Scan) -> None:
    """Raise `Unsupported` where a file's name does not suit a scan."""
    endings = PNG if scan.affine is None else NIFTI
    if not path.name.lower().endswith(endings):
        kind = "picture" if scan.affine is None else "volume"
        raise Unsupported(f"a finer {kind} is written as {' or '.join(endings)}, not as '{path.name}'")
    if scan.affine is None and scan.whole is None:
        raise Unsupported("the picture has fractions, which no PNG holds: write it with whole numbers up to 65,535")


def write_scan(path: Path, values: Floats, of: Scan, mark: Mapping[str, Any]) -> None:
    """Write finer values of a scan with a mark in the header; nothing of the old header but place and units."""
    require_suits(path, of)
    if of.whole is not None:
        values = np.rint(values).astype(of.whole)
    if of.affine is None:
        from PIL import Image

        Image.fromarray(values).save(path, pnginfo=png_mark(mark))
        return
    import nibabel

    affine = finer_affine(of.affine, of.values.shape, values.shape)
    made: Any = nibabel.Nifti1Image(values, affine)  # type: ignore[no-untyped-call]
    sform, qform, unit = of.codes
    made.set_sform(affine, code=sform)
    beside = affine if of.qform is None else finer_affine(of.qform, of.values.shape, values.shape)
    made.set_qform(beside, code=qform)
    made.header["xyzt_units"] = unit
    mark_nifti(made, mark)
    nibabel.save(made, path)


def require_numbers(values: Floats) -> None:
    """Raise where a scan has missing or infinite values, or tells nothing.

    Raises:
        ReadError: which of these, and how many.
        Unsupported: all values are one.
    """
    if wrong := int((~np.isfinite(values)).sum()):
        raise ReadError(
            f"{wrong:,} of {values.size:,} voxels are no finite number",
            "fill them in with the brightness of the background",
        )
    if values.min() == values.max():
        raise Unsupported("the scan has one value everywhere, and there is nothing to see between its voxels")
