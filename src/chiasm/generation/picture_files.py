"""Write drawn pictures as files whose header says that they were generated: PNG by a text, NIfTI by an extension."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.generation.marks import mark_nifti, png_mark
from chiasm.generation.pictures import EIGHT, SIXTEEN, Scale, beyond_png, file_of_picture, read_picture
from chiasm.readers.reading import LIMITS
from chiasm.readers.registry import reader_for

ENDINGS = {"image": ".png", "volume": ".nii.gz"}


def write_picture(path: Path, values: NDArray[np.float32], scale: Scale, mark: Mapping[str, Any]) -> None:
    """Write values `(C, H, W)` as a PNG of 8 bits, or grey of 16, or `(C, D, H, W)` as NIfTI, with a mark in it.

    Args:
        values: in the numbers of the files that were learnt from, images such as `Pictures.require_png` lets pass.
        mark: what generated it, and with which seed, as `marks.mark_of` makes it.
    """
    if scale.kind == "image":
        _save_png(path, values, scale.high > EIGHT, pnginfo=png_mark(mark))
        return
    import nibabel

    turned = np.transpose(values, (3, 2, 1, 0))[::-1, ::-1]  # (X, Y, Z, C) in RAS: the reader turns it back
    stored = turned[..., 0] if len(values) == 1 else turned
    deep_, high, wide = scale.spacing or (1.0, 1.0, 1.0)
    made: Any = nibabel.Nifti1Image(np.ascontiguousarray(stored), np.diag([wide, high, deep_, 1.0]))  # type: ignore[no-untyped-call]
    made.header.set_xyzt_units("mm")
    mark_nifti(made, mark)
    nibabel.save(made, path)


def require_copied(cohort: Cohort, names: Sequence[str]) -> None:
    """Refuse real pictures that cannot stand beside drawn ones under the one path of a manifest, unchanged.

    Raises:
        Unsupported: an identifier cannot be the name of a file; a volume is a folder, or neither .nii nor .nii.gz; an
            image of another format holds what no PNG does.
        ReadError: an image of another format cannot be read.
    """
    for name in names:
        kind = cohort.kinds[name]
        reader = reader_for(kind)
        for place, (item, row) in enumerate(zip(cohort.raw(name), cohort.rows_of(name), strict=True)):
            key, source = str(cohort.ids[row]), file_of_picture(item, name)
            if key in (".", "..") or set(key) & set("/\\:\0"):
                raise Unsupported("an identifier of a patient cannot be the name of a file: write them otherwise")
            plain = source.name.lower().endswith((ENDINGS[kind], *([".nii"] if kind == "volume" else [])))
            if kind == "volume" and not (plain and source.is_file()):
                raise Unsupported(f"volumes of '{name}' are copied beside drawn ones as NIfTI alone: write them so")
            if (
                kind == "image"
                and not plain
                and (beyond := beyond_png(read_picture(reader, source, name, place).values))
            ):
                raise Unsupported(
                    f"picture {place + 1:,} of modality '{name}' holds {beyond}, which the PNG that it would be copied "
                    "as beside drawn ones does not: write them all as PNG"
                )


def copy_as_drawn(source: Path, target: Path) -> None:
    """Copy a real picture under the ending of drawn ones: its bytes, packed if need be, or its numbers as PNG."""
    if source.name.lower().endswith(ENDINGS["image" if target.suffix == ".png" else "volume"]):
        shutil.copyfile(source, target)
    elif target.suffix == ".png":
        own = reader_for("image").read(source, LIMITS)
        said: dict[str, Any] = {} if own.spacing is None else {"dpi": tuple(25.4 / side for side in own.spacing[::-1])}
        _save_png(target, own.values, bool(own.values.max() > EIGHT), **said)
    else:
        with source.open("rb") as plain, gzip.open(target, "wb") as packed:
            shutil.copyfileobj(plain, packed)


def _save_png(path: Path, values: NDArray[np.float32], deep: bool, **said: Any) -> None:
    from PIL import Image

    pixels = np.clip(np.round(values), 0, SIXTEEN if deep else EIGHT).astype(np.uint16 if deep else np.uint8)
    Image.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, -1)).save(path, format="PNG", **said)
