"""Decode a PNG some rows at a time: each lot is made a PNG of its own, behind the last row of the lot before.

A row is stored as its difference from the pixels to the left and above (a filter), so that no more than the row before
is needed to decode it. What undoes the filters is Pillow, on each lot.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError
from chiasm.room import stretches

START = b"\x89PNG\r\n\x1a\n"
SAMPLES = {(8, 0): 1, (8, 2): 3, (8, 4): 2, (8, 6): 4, (16, 0): 1}  # by bits and colours, without a palette
TEXTS = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"pHYs")  # in which its turn, or the size of a pixel, may stand
MOST_CHUNKS = 1_000_000
READ_BYTES = 1 << 16
TRUNCATED = ("the file is truncated: it ends before the image does", "copy it again")


def samples_of(path: Path) -> int:
    """Return the samples of a pixel of a PNG that `fill_rows` reads; 0 where Pillow changes something, or decodes it.

    Those are interlaced ones, palettes, other depths, a colour that is transparent, and texts behind the pixels.
    """
    with path.open("rb") as file:
        bits, colours, _, _, interlaced = file.read(29)[24:]
        seen = False
        for name, length in _chunks(file) if not interlaced else ():
            file.seek(length, 1)
            if name == b"tRNS" or (seen and name in TEXTS):
                return 0
            seen = seen or name == b"IDAT"
    return 0 if interlaced else SAMPLES.get((bits, colours), 0)


def fill_rows(path: Path, pixels: NDArray[np.uint8] | NDArray[np.uint16]) -> None:
    """Decode a PNG of which `samples_of` is not 0 into `(H, W)` or `(H, W, S)`.

    Raises:
        ReadError: the file ends before the image does.
    """
    from PIL.PngImagePlugin import PngImageFile

    height, width = pixels.shape[:2]
    wide = pixels[0].nbytes
    before = bytes(wide)
    with path.open("rb") as file:
        head = file.read(29)[16:]
        stream = _Unpacked(file)
        for part in stretches(height, wide, 1, pixels):
            count = part.stop - part.start
            rows = b"\0" + before + stream.read(count * (wide + 1))
            size = struct.pack(">2I", width, count + 1) + head[8:]
            lot = [START, _chunk(b"IHDR", size), _chunk(b"IDAT", zlib.compress(rows, 0)), _chunk(b"IEND", b"")]
            with PngImageFile(BytesIO(b"".join(lot))) as image:
                pixels[part] = np.asarray(image)[1:]
            last = pixels[part.stop - 1]
            before = last.astype(last.dtype.newbyteorder(">")).tobytes()


class _Unpacked:
    """The bytes of all IDAT chunks, unpacked as they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self.machine = zlib.decompressobj()
        self.packed = _packed(file)

    def read(self, size: int) -> bytes:
        found = bytearray()
        while len(found) < size:
            waiting = self.machine.unconsumed_tail or next(self.packed, b"")
            if not waiting:
                raise ReadError(*TRUNCATED)
            found += self.machine.decompress(waiting, size - len(found))
        return bytes(found)


def _packed(file: BinaryIO) -> Iterator[bytes]:
    for name, length in _chunks(file):
        if name != b"IDAT":
            file.seek(length, 1)
        left = length if name == b"IDAT" else 0
        while left > 0 and (block := file.read(min(READ_BYTES, left))):
            left -= len(block)
            yield block


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield name and length of each chunk up to the end; whoever takes one reads or passes over its content."""
    file.seek(len(START))
    for _ in range(MOST_CHUNKS):
        head = file.read(8)
        if len(head) < 8 or head[4:] == b"IEND":
            return
        (length,) = struct.unpack(">I", head[:4])
        yield head[4:], length
        file.seek(4, 1)  # its checksum


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
