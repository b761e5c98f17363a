"""Images too large for Pillow beside what is made of them: decoded into room as they are stored, or refused."""

from __future__ import annotations

import math
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm import room
from chiasm.limits import MEGABYTE
from chiasm.readers.image.codestream import J2K, jpeg_scan
from chiasm.readers.image.jpeg2000 import depth_of
from chiasm.readers.image.png_rows import TRUNCATED, fill_rows, samples_of
from chiasm.readers.reading import ReadError
from chiasm.readers.registry import missing

HELD_BYTES = 560 * MEGABYTE  # that a decoder may hold, so that a process that trains stays below a gigabyte
TILE_BYTES = 5  # of a value of a JPEG 2000 tile while it is decoded by OpenJPEG, beside the image
DEEP_BYTES = 6  # of a value of more than 8 bits, the image among them
COEFFICIENT_BYTES = 2  # of a JPEG whose colours or bits come one after another
PIXEL_BYTES = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16L": 2, "I;16B": 2}  # of Pillow's modes; of the others 4
TILES = (
    'reduce its resolution, or cut it into tiles: kind = "slide" reads a pyramid, kind = "bag" the features of tiles'
)
END_OF_JPEG = b"\xff\xd9"


def require_fits(path: Path, image: Any, values: int, head: bytes) -> None:
    """Refuse, by the header, an image whose decoder would need more memory than `HELD_BYTES`.

    Raises:
        ReadError: a progressive JPEG, a JPEG 2000 of one tile, or what Pillow alone decodes.
        Unsupported: imagecodecs, which decodes other JPEGs into room, is missing.
    """
    if not room.is_large(values):
        return
    whole = image.width * image.height * PIXEL_BYTES.get(image.mode, 4)
    if image.format == "JPEG2000":
        start = head.find(J2K)
        said = 0 <= start <= len(head) - 32
        wide, high = struct.unpack_from(">2I", head, start + 24) if said else image.size
        tile = values * min(wide, image.width) * min(high, image.height) // (image.width * image.height)
        _require(
            max(whole + TILE_BYTES * tile, 0 if depth_of(head) in (None, (8, False)) else DEEP_BYTES * values), values
        )
    elif image.format == "JPEG":
        if image.mode in ("L", "RGB") and whole > HELD_BYTES and not _is_plain_jpeg(image):
            raise missing("imagecodecs", "imaging", "JPEG images of so many values")
        _require(COEFFICIENT_BYTES * _coefficients(path) + (0 if _is_plain_jpeg(image) else whole), values)
    elif image.format != "PNG" or not samples_of(path):
        _require(whole, values)


def require_small_parts(page: Any) -> None:
    """Refuse a page of a TIFF whose strips or tiles are so large that one cannot be decoded by itself.

    One without gaps, in an order of bits or with a predictor, is decoded as a whole.
    """
    size = page.size if page.is_contiguous else math.prod(page.chunks)
    held = 2 * size * page.dtype.itemsize  # with what undoes the predictor, or the packed bytes
    if room.is_large(size):
        _require(held, size)


def stored_pixels(path: Path, image: Any) -> NDArray[Any] | None:
    """Decode a JPEG or a PNG as it is stored, `(H, W)` or `(H, W, S)`; None where Pillow does it as well.

    The numbers are those of Pillow, which decodes a JPEG by libjpeg-turbo too.
    """
    samples = len(image.getbands()) if _is_plain_jpeg(image) else samples_of(path) if image.format == "PNG" else 0
    if not samples:
        return None
    dtype = np.uint16 if image.mode.startswith("I;16") else np.uint8
    pixels = room.room((image.height, image.width, samples)[: 3 if samples > 1 else 2], dtype)
    if image.format == "PNG":
        fill_rows(path, pixels)
        return pixels
    import imagecodecs

    with path.open("rb") as file:
        stream = room.mapping(file)
    with room.emptied(pixels, stream):
        scan = jpeg_scan(stream)
        if scan is None or stream.find(END_OF_JPEG, scan.start) < 0:  # libjpeg would make up the rest
            raise ReadError(*TRUNCATED)
        imagecodecs.jpeg8_decode(stream, out=pixels)
    return pixels


def _require(held: int, values: int) -> None:
    if held > HELD_BYTES:
        raise ReadError(
            f"the image of {values:,} values can only be decoded whole, in {held // MEGABYTE:,} MB of memory, over the "
            f"limit of {HELD_BYTES // MEGABYTE:,} MB",
            f"export it as a TIFF of tiles or strips, {TILES}",
        )


def _coefficients(path: Path) -> int:
    """Return how many coefficients lie in memory while a JPEG is decoded: none if it comes row by row."""
    with path.open("rb") as file:
        scan = jpeg_scan(room.mapping(file))
    return 0 if scan is None or scan.by_rows else scan.coefficients


def _is_plain_jpeg(image: Any) -> bool:
    """Tell whether imagecodecs, if it is installed, decodes a JPEG to what Pillow does."""
    return image.format == "JPEG" and image.mode in ("L", "RGB") and find_spec("imagecodecs") is not None
