"""Write a label map as a file that lies on its image: NIfTI with the image's own affine, DICOM SEG, or PNG of codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.readers.guard import guarded
from chiasm.readers.image.dicom import FIX, NOUN, series_of
from chiasm.readers.image.dicom_series import affine_of
from chiasm.readers.reading import LIMITS
from chiasm.segmentation.seg_files import as_slices, write_seg
from chiasm.targets.label_maps import LabelMap, stretched

NIFTI, PNG, SEG = (".nii", ".gz"), ".png", ".dcm"
VOLUMES = (*NIFTI, ".mgh", ".mgz", ".mnc")
TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])  # DICOM counts to the left and the back


def write_map(path: Path, own: LabelMap, codes: Sequence[int], image: Path, labels: Sequence[str] = ()) -> None:
    """Write a label map beside the image in which it was drawn.

    Args:
        path: .nii.gz or .nii for a volume or a DICOM series; .dcm for a DICOM series; .png for a picture.
        codes: number of each label in the file; a DICOM SEG numbers its segments 1, 2, ... in their order.
        image: file or folder of the image, whose axes, affine and units a NIfTI file takes over.
        labels: names of the segments of a DICOM SEG.

    Raises:
        Unsupported: the name's end does not suit the image.
        ReadError: the DICOM series cannot be read.
    """
    places = np.array([0, *codes], dtype=np.int64)
    ending = path.suffix.lower()
    if ending == PNG and (len(own.shape) == 2 or own.shape[0] == 1):
        from PIL import Image

        values = places[own.codes.reshape(own.shape[-2:])]
        Image.fromarray(values.astype(np.uint8 if values.max(initial=0) < 256 else np.uint16)).save(path)
        return
    image = _first_volume(image)
    of = image.suffix.lower()
    if ending == SEG and labels and len(own.shape) == 3 and of not in VOLUMES:
        write_seg(path, own, labels, image)
        return
    if ending not in NIFTI or len(own.shape) != 3:
        raise Unsupported(
            f"a label map in an image that ends in '{of or 'nothing'}' is not written as '{ending or 'nothing'}': name "
            ".nii.gz for a volume or a DICOM series, .dcm for a DICOM series, and .png for a picture"
        )
    if of not in VOLUMES:
        _write_beside_series(path, own, places, image)
        return
    import nibabel

    like: Any = nibabel.load(image)
    stored = as_stored(own, (*like.shape, 1, 1)[:3], np.asarray(like.affine, dtype=np.float64))
    made: Any = nibabel.Nifti1Image(places[stored].astype(np.uint16), like.affine)  # type: ignore[no-untyped-call]
    if isinstance(like.header, nibabel.Nifti1Header):
        made.header["xyzt_units"] = like.header["xyzt_units"]
        made.set_sform(*like.get_sform(coded=True))
        made.set_qform(*like.get_qform(coded=True))
    nibabel.save(made, path)


def _first_volume(image: Path) -> Path:
    """The first contrast of a folder of volumes; what is none stays."""
    if not image.is_dir():
        return image
    found = sorted(own for own in image.iterdir() if own.suffix.lower() in VOLUMES)
    return found[0] if found else image


def _write_beside_series(path: Path, own: LabelMap, places: NDArray[np.int64], series: Path) -> None:
    """Write NIfTI that lies on the slices of a DICOM series."""
    import nibabel

    with guarded(NOUN, FIX):
        of = series_of(series, LIMITS)
    place = affine_of(of)
    if place is None:
        raise Unsupported("the series does not say where its slices lie, and no NIfTI lies on it: write a .png of each")
    stored = places[as_slices(own, of)].transpose(2, 1, 0).astype(np.uint16)
    made: Any = nibabel.Nifti1Image(stored, TO_RAS @ place[:, [2, 1, 0, 3]])  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")
    nibabel.save(made, path)


def as_stored(own: LabelMap, shape: Sequence[int], affine: NDArray[np.float64]) -> NDArray[np.int32]:
    """The codes of a map as its image's file has its axes, `(X, Y, Z)`, the inverse of `mask_files.turned`.

    A map on another grid, as what training maps have on average, is stretched to it.
    """
    from nibabel.orientations import apply_orientation, io_orientation, ornt_transform

    way = io_orientation(affine)  # type: ignore[no-untyped-call]
    x, y, z = (shape[int(np.flatnonzero(way[:, 0] == axis)[0])] for axis in range(3))
    upright = stretched(own.codes, (z, y, x)).transpose(2, 1, 0)[::-1, ::-1]
    plain = np.array([[0, 1], [1, 1], [2, 1]], dtype=np.float64)
    back = ornt_transform(plain, way)  # type: ignore[no-untyped-call]
    turned: NDArray[np.int32] = apply_orientation(upright, back)  # type: ignore[no-untyped-call]
    return turned
