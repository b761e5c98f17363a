"""Write drawn pictures as files whose header says that they were generated: PNG by a text, NIfTI by an extension."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.generation.marks import mark_nifti, png_mark
from chiasm.generation.pictures import EIGHT, SIXTEEN, Scale

ENDINGS = {"image": ".png", "volume": ".nii.gz"}


def write_picture(path: Path, values: NDArray[np.float32], scale: Scale, mark: Mapping[str, Any]) -> None:
    """Write values `(C, H, W)` as a PNG of 8 bits, or grey of 16, or `(C, D, H, W)` as NIfTI, with a mark in it.

    Args:
        values: in the numbers of the files that were learnt from, images such as `Pictures.require_png` lets pass.
        mark: what generated it, and with which seed, as `marks.mark_of` makes it.
    """
    if scale.kind == "image":
        from PIL import Image

        deep = scale.high > EIGHT
        pixels = np.clip(np.round(values), 0, SIXTEEN if deep else EIGHT).astype(np.uint16 if deep else np.uint8)
        shown = pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)
        Image.fromarray(shown).save(path, pnginfo=png_mark(mark))
        return
    import nibabel

    turned = np.transpose(values, (3, 2, 1, 0))[::-1, ::-1]  # (X, Y, Z, C) in RAS: the reader turns it back
    stored = turned[..., 0] if len(values) == 1 else turned
    deep_, high, wide = scale.spacing or (1.0, 1.0, 1.0)
    made: Any = nibabel.Nifti1Image(np.ascontiguousarray(stored), np.diag([wide, high, deep_, 1.0]))  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")
    mark_nifti(made, mark)
    nibabel.save(made, path)
