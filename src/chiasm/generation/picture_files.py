"""Write drawn pictures as files whose header says that they were generated: PNG by a text, NIfTI by an extension."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from chiasm.generation.pictures import EIGHT, Scale

KEY = "generated"
ENDINGS = {"image": ".png", "volume": ".nii.gz"}
COMMENT = 6  # kind of NIfTI's extensions that holds a text
LONGEST = 79  # signs of NIfTI's description


def write_picture(path: Path, values: NDArray[np.float32], scale: Scale, mark: str) -> None:
    """Write values `(C, H, W)` as a PNG of 8 bits, or grey of 16, or `(C, D, H, W)` as NIfTI, with a mark in it.

    Args:
        mark: what generated it, and with which seed; it stands behind `generated` in the text of a PNG, and in the
            description and an extension of NIfTI.
    """
    if scale.kind == "image":
        from PIL import Image
        from PIL.PngImagePlugin import PngInfo

        deep = scale.high > EIGHT and len(values) == 1
        bits = values if scale.high <= EIGHT or deep else values / scale.high * EIGHT
        pixels = np.clip(np.round(bits), 0, scale.high if deep else EIGHT).astype(np.uint16 if deep else np.uint8)
        text = PngInfo()
        text.add_text(KEY, mark)
        Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[:3], 0, -1)).save(path, pnginfo=text)
        return
    import nibabel

    turned = np.transpose(values, (3, 2, 1, 0))[::-1, ::-1]  # (X, Y, Z, C) in RAS: the reader turns it back
    stored = turned[..., 0] if len(values) == 1 else turned
    deep_, high, wide = scale.spacing or (1.0, 1.0, 1.0)
    made = nibabel.Nifti1Image(np.ascontiguousarray(stored), np.diag([wide, high, deep_, 1.0]))  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")
    made.header["descrip"] = f"{KEY}: {mark}"[:LONGEST].encode("ascii", "replace")
    made.header.extensions.append(nibabel.nifti1.Nifti1Extension(COMMENT, f"{KEY}: {mark}".encode()))  # type: ignore[no-untyped-call]
    nibabel.save(made, path)


def mark_of(path: Path) -> str:
    """What the header of a PNG or NIfTI file says of who generated it; empty: it says nothing."""
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return str(image.info.get(KEY, ""))
    import nibabel

    header = nibabel.load(path).header
    texts = [own.get_content() for own in getattr(header, "extensions", ()) if own.get_code() == COMMENT]
    said = [own.decode() if isinstance(own, bytes) else str(own) for own in texts]
    return next((own.removeprefix(f"{KEY}: ").rstrip("\0") for own in said if own.startswith(KEY)), "")
