"""Check the size that a JPEG or JPEG 2000 stream announces, before it is decoded.

A tile of a TIFF or a frame of a DICOM file states its size, and so does the stream within; decoders trust the stream.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from chiasm.readers.reading import ReadError

# start of frame, all codings: C0..CF without DHT (C4), JPG (C8) and DAC (CC); JPEG-LS has F7
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}  # markers without a length
SCAN = 0xDA
BY_ROWS = {0xC0, 0xC1, 0xC9}  # sequential frames, which are decoded row by row if all colours come in one scan
J2K = b"\xff\x4f\xff\x51"


def stream_size(stream: bytes) -> tuple[int, int] | None:
    """Read height and width of a stream; None if it is neither of the two formats or ends before it says so."""
    start = stream.find(J2K, 0, 1 << 16) if stream[:4] == b"\0\0\0\x0c" else 0  # JP2 wraps the codestream in boxes
    if start >= 0 and stream[start : start + 4] == J2K and len(stream) >= start + 24:
        width, height, left, top = struct.unpack_from(">4I", stream, start + 8)
        return max(0, height - top), max(0, width - left)
    place = _frame(stream)
    if place is None:
        return None
    height, width = struct.unpack_from(">HH", stream, place + 5)
    return height, width


def frame_of(stream: bytes) -> tuple[int, int] | None:
    """Read the mark of a JPEG's frame, which says how it is coded, and the bits of a sample; None if there is none."""
    place = _frame(stream)
    return None if place is None else (stream[place + 1], stream[place + 4])


@dataclass(frozen=True)
class Scan:
    """Where the first scan of a JPEG begins, whether the image comes row by row, and its number of coefficients."""

    start: int
    by_rows: bool
    coefficients: int


def jpeg_scan(stream: Any) -> Scan | None:
    """Read the head of a JPEG, bytes or an array of them, up to its first scan; None if it has none."""
    place, coefficients, colours, marker = 2, 0, 0, 0
    while place + 4 <= len(stream):
        if stream[place] != 0xFF:
            return None
        found = int(stream[place + 1])
        if found == 0xFF or found in ALONE:
            place += 1 if found == 0xFF else 2
            continue
        (length,) = struct.unpack(">H", bytes(stream[place + 2 : place + 4]))
        part = bytes(stream[place : place + 2 + length])
        if found in FRAMES and len(part) >= 10 + 3 * part[9]:
            marker, colours = found, part[9]
            height, width = struct.unpack_from(">HH", part, 5)
            shares = [(part[11 + 3 * k] >> 4, part[11 + 3 * k] & 15) for k in range(colours)]
            most = max((a for a, _ in shares), default=1), max((b for _, b in shares), default=1)
            coefficients = sum(height * width * a * b // max(1, most[0] * most[1]) for a, b in shares)
        if found == SCAN:
            return Scan(place, marker in BY_ROWS and len(part) > 4 and part[4] == colours, coefficients)
        place += 2 + max(2, length)
    return None


def _frame(stream: bytes) -> int | None:
    """Find where the frame of a JPEG begins."""
    place = 0
    while place + 4 <= len(stream):
        if stream[place] != 0xFF:
            return None
        marker = stream[place + 1]
        if marker in FRAMES and place + 9 <= len(stream):
            return place
        if marker in (0xDA, 0xD9):
            return None
        place += (
            1 if marker == 0xFF else 2 if marker in ALONE else 2 + max(2, *struct.unpack_from(">H", stream, place + 2))
        )
    return None


def check_stream(stream: bytes, height: int, width: int) -> None:
    """Refuse a stream that would decode to more pixels than the file has room for."""
    size = stream_size(stream)
    if size is not None and (size[0] > height or size[1] > width):
        raise ReadError(
            "a compressed part announces more pixels than the header does",
            "the file is not to be trusted: export it again",
        )
