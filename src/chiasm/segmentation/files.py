"""Write a label map as a file that lies on its image: NIfTI with the image's own axes and affine, or PNG of codes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Unsupported
from chiasm.targets.label_maps import LabelMap, stretched

NIFTI, PNG = (".nii", ".gz"), ".png"


def write_map(path: Path, own: LabelMap, codes: Sequence[int], image: Path) -> None:
    """Write a label map beside the image in which it was drawn.

    Args:
        path: .nii.gz or .nii for an image of NIfTI, .png for a picture.
        codes: number of each label in the file.
        image: file of the image, whose axes, affine and units a NIfTI file takes over.

    Raises:
        Unsupported: the name's end does not suit the image, or a code does not fit into a PNG.
    """
    places = np.array([0, *codes], dtype=np.int64)
    ending, of = path.suffix.lower(), image.suffix.lower()
    if ending == PNG and len(own.shape) == 2:
        from PIL import Image

        values = places[own.codes]
        Image.fromarray(values.astype(np.uint8 if values.max(initial=0) < 256 else np.uint16)).save(path)
        return
    if ending not in NIFTI or of not in NIFTI or len(own.shape) != 3:
        raise Unsupported(
            f"a label map in an image that ends in '{of or 'nothing'}' is not written as '{ending or 'nothing'}': name "
            ".nii.gz for an image of NIfTI, and .png for a picture"
        )
    import nibabel

    like: Any = nibabel.load(image)
    stored = as_stored(own, (*like.shape, 1, 1)[:3], np.asarray(like.affine, dtype=np.float64))
    made: Any = nibabel.Nifti1Image(places[stored].astype(np.uint16), like.affine)  # type: ignore[no-untyped-call]
    if isinstance(like.header, nibabel.Nifti1Header):
        made.header["xyzt_units"] = like.header["xyzt_units"]
        made.set_sform(*like.get_sform(coded=True))
        made.set_qform(*like.get_qform(coded=True))
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
