"""Decode JPEG 2000 of other depths than 8 bits, or signed, in its own numbers: Pillow shifts and offsets them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.image.codestream import J2K
from chiasm.readers.reading import ReadError
from chiasm.readers.registry import missing

HEAD_BYTES = 1 << 16  # within which a file states its size and depth
COUNT_PLACE = 40  # of the number of components, from the start of the codestream; three bytes follow for each
COLOURS = b"colr\x01"  # of JP2: a box that names the colour space by a number, behind two bytes
GREY, SRGB = 17, 16
FEW_BITS = 4  # up to so many become 0 to 255, as in other formats


def depth_of(head: bytes) -> tuple[int, bool] | None:
    """Return the bits of a sample and whether it is signed; None if the stream does not say so.

    Raises:
        ReadError: the components differ in these.
    """
    start = head.find(J2K)
    if start < 0 or len(head) < start + COUNT_PLACE + 2:
        return None
    (count,) = struct.unpack_from(">H", head, start + COUNT_PLACE)
    first = start + COUNT_PLACE + 2
    depths = set(head[first : first + 3 * count : 3])
    if len(depths) != 1:
        raise ReadError("the channels of the JPEG 2000 differ in their depth", "export it as TIFF")
    own = depths.pop()
    return (own & 0x7F) + 1, bool(own & 0x80)


def decode_deep(content: bytes, bits: int) -> NDArray[Any]:
    """Decode to `(C, H, W)` in the numbers of the file, C = 1 or 3; 1 to 4 bits become 0 to 255; alpha is dropped.

    Raises:
        ReadError: a colour space other than grey and RGB, or a palette.
        Unsupported: imagecodecs is missing.
    """
    try:
        from imagecodecs import jpeg2k_decode
    except ImportError:
        raise missing("imagecodecs", "imaging", "JPEG 2000 of other than 8 bits") from None
    named = content.find(COLOURS, 0, HEAD_BYTES)
    if content[:4] != J2K and named >= 0:
        (space,) = struct.unpack_from(">I", content, named + len(COLOURS) + 2)
        if space not in (GREY, SRGB):
            raise ReadError("the JPEG 2000 is neither grey nor RGB", "export it as TIFF in one of these")
    if content[:4] != J2K and b"pclr" in content[: content.find(J2K)]:
        raise ReadError("the JPEG 2000 has a palette", "export it as PNG or TIFF")
    pixels = np.asarray(jpeg2k_decode(content))
    planes = pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, -1, 0)
    planes = planes[:1] if len(planes) < 3 else planes[:3]
    return planes * (255.0 / ((1 << bits) - 1)) if bits <= FEW_BITS else planes
