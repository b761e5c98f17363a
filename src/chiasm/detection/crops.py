"""Crops of boxes: what stands in each box of each image, as pictures with a label and the image's group."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.of_images import image_named
from chiasm.readers.reading import Image, ReadError
from chiasm.readers.registry import reader_for
from chiasm.targets.boxes import boxes_of

LEAST = 2
"""Pixels a side below which a box holds nothing to be seen."""
FOLDER = "crops"
BOXES = "boxes are"


@dataclass(frozen=True)
class Crops:
    """Crops of the boxes of a cohort.

    Args:
        table: a row a crop: `id`, `label`, and `image`, the group whose image it is cut from, or the patient of none.
        unread: images that could not be read.
        small: boxes of fewer than `LEAST` pixels a side, which are left out.
    """

    table: pd.DataFrame
    unread: int
    small: int


def cut(values: NDArray[np.float32], corners: NDArray[np.float64], margin: float) -> NDArray[np.float32] | None:
    """The part `(C, h, w)` of an image `(C, H, W)` inside of a box, which is wider by `margin` of itself on each side.

    What would lie outside of the image is left out. None where it is narrower than `LEAST` pixels.
    """
    height, width = values.shape[1:]
    size = corners[2:] - corners[:2]
    low = np.clip(np.floor((corners[:2] - margin * size) * (width, height) + 1e-6).astype(int), 0, (width, height))
    high = np.clip(np.ceil((corners[2:] + margin * size) * (width, height) - 1e-6).astype(int), 0, (width, height))
    if (high - low < LEAST).any():
        return None
    return values[:, low[1] : high[1], low[0] : high[0]]


def write_crops(cohort: Cohort, out: Path, named: str = "", margin: float = 0.1) -> Crops:
    """Write each box of each image as a picture, `crops/000001.png`, and return their table.

    A manifest that lies there from before is taken away first: a folder in which writing ended midway is no cohort.

    Args:
        cohort: patients with known boxes, whose images are files.
        out: folder to write into.
        named: modality of the images; empty: the only one.
        margin: how much more than the box is cut out on each side, as a share of it.

    Raises:
        Unsupported: the target is not boxes, no box can be cut, or the images are no files.
    """
    if cohort.target is None or not cohort.target.has_boxes or cohort.outcome is None:
        raise Unsupported('crops are cut from a target of boxes: write kind = "boxes" in [target]')
    if not 0 <= margin <= 1:
        raise Unsupported(f"margin={margin:g} is not known: it is a share of the box, from 0 to 1")
    name = image_named(cohort, named, BOXES, "--modality smear")
    (out / "cohort.toml").unlink(missing_ok=True)  # what is half written is no cohort
    (out / FOLDER).mkdir(parents=True, exist_ok=True)
    rows, unread, small, labels = list[dict[str, object]](), 0, 0, cohort.target.names
    group = cohort.ids if cohort.group is None else np.where(cohort.group == "", cohort.ids, cohort.group)
    for place, image in images_of(cohort, name):
        if image is None:
            unread += 1
            continue
        own = boxes_of(cohort.outcome).each[place]
        for label, corners in zip(own.label.tolist(), own.corners, strict=True):
            part = cut(image.values, corners, margin)
            if part is None:
                small += 1
                continue
            number = f"{len(rows) + 1:06d}"
            save_picture(out / FOLDER / f"{number}.png", part)
            rows.append({"id": number, "label": labels[label], "image": str(group[place])})
    if not rows:
        raise Unsupported("no box could be cut out: the images cannot be read, or have no boxes")
    return Crops(pd.DataFrame(rows), unread, small)


def images_of(cohort: Cohort, name: str) -> Iterator[tuple[int, Image | None]]:
    """Yield the row of each patient with known boxes and an image, and the image; None where it cannot be read."""
    reader, raw, rows = reader_for(cohort.kinds[name]), cohort.raw(name), cohort.rows_of(name)
    assert cohort.outcome is not None  # of a target of boxes
    for k, place in enumerate(rows.tolist()):
        if not cohort.outcome.known[place]:
            continue
        try:
            yield place, reader.read(raw[k])
        except ReadError:
            yield place, None


def save_picture(path: Path, values: NDArray[np.float32]) -> None:
    """Write an image `(C, H, W)` of one or three channels as PNG, with 8 bits, or one channel of larger values with 16.

    Raises:
        Unsupported: it has other channels, or values that a PNG does not hold.
    """
    from PIL import Image as Picture

    whole = np.rint(values)
    most = 65_535 if len(values) == 1 and values.max(initial=0) > 255 else 255
    if len(values) not in (1, 3) or (whole != values).any() or whole.min() < 0 or whole.max() > most:
        raise Unsupported(
            "crops are written as PNG, of whole numbers, one channel from 0 to 65,535 or three from 0 to 255: convert "
            "the images first"
        )
    pixels = whole.astype(np.uint16 if most > 255 else np.uint8)
    Picture.fromarray(pixels[0] if len(pixels) == 1 else np.moveaxis(pixels, 0, 2)).save(path)
