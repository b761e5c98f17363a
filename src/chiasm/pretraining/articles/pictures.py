"""A picture of an article as a shard holds it: JPEG and PNG as they are, others as PNG, and a mark of what it shows."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

from chiasm.readers.guard import guarded
from chiasm.readers.reading import LIMITS, ReadError, check_packed, check_values
from chiasm.readers.registry import missing

KEPT = {"JPEG": "jpg", "PNG": "png"}
OTHERS = ("TIFF", "GIF", "BMP")
MODES = ("1", "L", "RGB", "RGBA", "I;16", "P")
LEAST = 8  # pixels of a side: less is a rule or a dot


@dataclass(frozen=True)
class Picture:
    """A picture whose every pixel was decoded: its bytes, their ending, width and height, and a mark of its pixels."""

    data: bytes
    ending: str
    width: int
    height: int
    mark: str


def picture_of(data: bytes) -> Picture:
    """Check a picture and return it as a shard holds it.

    `mark` is a digest of size and pixels, so that the same picture packed in two ways has one.

    Raises:
        ReadError: empty, damaged, cut off, of another format, too large, of one colour, or of fewer than eight pixels a
            side.
        Unsupported: the package pillow is missing.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing("pillow", "imaging", "pictures of articles") from error
    if not data:
        raise ReadError("the picture is empty", "fetch the article again")
    with (
        guarded("a picture", "fetch the article again"),
        Image.open(io.BytesIO(data), formats=[*KEPT, *OTHERS]) as image,
    ):
        width, height = image.size
        if min(width, height) < LEAST:
            raise ReadError(f"the picture has fewer than {LEAST} pixels a side", "leave it out")
        shape = (len(image.getbands()), height, width)
        check_values(shape, LIMITS)
        check_packed(shape, 1, len(data))
        kind = image.format or ""
        image.load()
        if all(low == high for low, high in _ends(image)):
            raise ReadError("the picture has one colour", "leave it out")
        deep = image.mode[0] in "IF"  # beyond 8 bits, which colours cannot hold
        pixels = (image if deep else image.convert("RGB")).tobytes()
        mark = hashlib.sha256(f"{width}x{height} {image.mode if deep else 'RGB'} ".encode() + pixels).hexdigest()
        if kind in KEPT:
            return Picture(data, KEPT[kind], width, height, mark)
        return Picture(_as_png(image), "png", width, height, mark)


def _ends(image: Any) -> list[tuple[float, float]]:
    """Return the least and the largest value of each channel."""
    found = image.getextrema()
    return list(found) if isinstance(found[0], tuple) else [found]


def _as_png(image: Any) -> bytes:
    held = io.BytesIO()
    (image if image.mode in MODES else image.convert("RGB")).save(held, "PNG")
    return held.getvalue()
