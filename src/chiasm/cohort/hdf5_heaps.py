"""Heaps of an HDF5 file, in which its texts lie: the library goes round for ever in one that does not advance."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01\0\0\0"  # of version 1, the only one
HEAD = struct.Struct("<8sQ")  # behind it the bytes of the heap, the head itself included
PART = struct.Struct("<HHIQ")  # number, references, nothing, bytes; number 0 is what is free, its head included
LENGTHS = 8  # bytes of a length, as every program in use writes them
LENGTHS_AT = {0: 14, 1: 14, 2: 10, 3: 10}  # by the version of the superblock
BLOCK = 1 << 22
MOST_USER_BYTES = 1 << 20  # before the signature


def has_damaged_heap(path: Path) -> bool:
    """Tell whether the parts of a heap do not follow each other to its end, which the library does not look for.

    The file is read once, a few megabytes at a time; what is no HDF5 has none.
    """
    with path.open("rb") as file:
        return not _has_usual_lengths(file) or any(not _advances(file, place) for place in _heaps(file))


def _has_usual_lengths(file: BinaryIO) -> bool:
    place = 0
    while place <= MOST_USER_BYTES:
        file.seek(place)
        start = file.read(16)
        if start[:8] == SIGNATURE:
            return len(start) == 16 and start[LENGTHS_AT.get(start[8], 10)] == LENGTHS
        place = 2 * place or 512
    return True


def _heaps(file: BinaryIO) -> Iterator[int]:
    """Yield the place of each heap."""
    start, kept = 0, b""
    file.seek(0)
    while block := file.read(BLOCK):
        behind, whole, at = file.tell(), kept + block, -1
        while (at := whole.find(HEAP, at + 1)) >= 0:
            yield start - len(kept) + at
        file.seek(behind)
        start, kept = behind, whole[1 - len(HEAP) :]


def _advances(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return False
    left = HEAD.unpack(head)[1] - HEAD.size
    while left >= PART.size:
        part = file.read(PART.size)
        if len(part) < PART.size:
            return False
        number, _, _, size = PART.unpack(part)
        taken = PART.size + (size + 7) // 8 * 8 if number else size
        if not 0 < taken <= left:
            return False
        left -= taken
        file.seek(taken - PART.size, 1)
    return bool(left >= 0)
