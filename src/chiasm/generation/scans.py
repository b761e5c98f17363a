"""A scan as its file has it, and a finer one written beside it: same place in the patient, same range, with a mark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported
from chiasm.generation.marks import mark_in, mark_nifti, png_mark
from chiasm.readers.guard import guarded
from chiasm.readers.image.image import ImageReader
from chiasm.readers.image.volume import FIX, NOUN, SUFFIXES, VolumeReader
from chiasm.readers.reading import ReadError

Floats = NDArray[np.float32]
NIFTI, PNG = (".nii", ".nii.gz"), (".png",)
DEEPEST = 255  # of 8 bits


@dataclass(frozen=True)
class Scan:
    """One scan in its file's axes.

    Attributes:
        values: `(X, Y, Z)` of a volume, `(H, W)` of a picture.
        whole: None where values are fractions; else the type of whole numbers that the file has.
        affine: `(4, 4)`, of a volume: from voxels to the file's unit, at the middles of voxels.
        codes: how sure the file is of its sform and qform, and its units.
    """

    values: Floats
    whole: np.dtype[Any] | None = None
    affine: NDArray[np.float64] | None = None
    codes: tuple[int, int, int] = (1, 1, 2)


def read_scan(path: Path) -> Scan:
    """Read NIfTI, MGH or MINC as a volume, and PNG, JPEG, TIFF or BMP of one channel as a picture.

    Raises:
        Unsupported: several volumes or channels in a file; voxels that were generated; missing values.
        ReadError: it cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(2, "is no file: name a volume (.nii.gz) or a picture (.png)", str(path))
    volume = path.name.lower().endswith(SUFFIXES)
    if volume:
        VolumeReader().inspect(path)  # sizes and packing are held against the limits before anything is read
        with guarded(NOUN, FIX):
            found = _volume(path)
    else:
        read = ImageReader().read(path)
        if len(read.values) > 1:
            raise Unsupported("the picture has colours, and one brightness a pixel is made finer: write it in grey")
        top = float(read.values.max())
        whole = bool((read.values % 1 == 0).all()) and top < 1 << 16
        found = Scan(read.values[0], np.dtype(np.uint8 if top <= DEEPEST else np.uint16) if whole else None)
    if path.name.lower().endswith((*NIFTI, *PNG)) and mark_in(path) is not None:
        raise Unsupported("the file's header says that it was generated, and what is between such pixels says nothing")
    return found


def _volume(path: Path) -> Scan:
    import nibabel

    stored: Any = nibabel.load(path)
    shape = (*stored.shape, 1, 1)[: max(3, len(stored.shape))]
    if int(np.prod(shape[3:])) > 1:
        raise Unsupported(f"the file has {int(np.prod(shape[3:]))} volumes: write the one to make finer as a file")
    values = np.asarray(stored.dataobj, dtype=np.float32).reshape(shape[:3])
    codes = (1, 1, 2)
    plain = isinstance(stored.header, nibabel.Nifti1Header)
    if plain:
        header = stored.header
        codes = (int(header["sform_code"]), int(header["qform_code"]), int(header["xyzt_units"]) & 7)
    kind = stored.get_data_dtype()
    scaled = plain and (stored.dataobj.slope != 1 or stored.dataobj.inter != 0)
    whole = kind if kind.kind in "iu" and not scaled else None
    return Scan(values, whole, np.asarray(stored.affine, np.float64), codes)


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
    made.set_qform(affine, code=qform)
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
