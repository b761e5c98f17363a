"""Heaps of an HDF5 file, in which texts and names lie: the library goes round for ever in one that does not advance."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAP = b"GCOL\x01\0\0\0"  # of version 1, the only one
HEAD = struct.Struct("<8sQ")  # behind it the bytes of the heap, the head itself included
PART = struct.Struct("<HHIQ")  # number, references, nothing, bytes; number 0 is what is free, its head included
NAMES = b"HEAP\0\0\0\0"  # of a group of the older kind
NAMES_HEAD = struct.Struct("<8sQQQ")  # behind it: bytes of its data, the first free part in them, where they lie
FREE = struct.Struct("<QQ")  # the next free part, and the bytes of this one
NO_MORE, MOST_FREE = (1, (1 << 64) - 1), 1 << 16
LENGTHS = 8  # bytes of a length, as every program in use writes them
LENGTHS_AT = {0: 14, 1: 14, 2: 10, 3: 10}  # by the version of the superblock
BLOCK = 1 << 22
MOST_USER_BYTES = 1 << 20  # before the signature
MOST_PLACE = (1 << 63) - 1  # in a file


def has_damaged_heap(path: Path) -> bool:
    """Tell whether the parts of a heap do not follow each other to its end, which the library does not look for.

    The file is read once, a few megabytes at a time; what is no HDF5 has none.
    """
    with path.open("rb") as file:
        base = _superblock(file)
        if base is None:
            return False
        file.seek(base)
        start = file.read(16)
        if len(start) < 16 or start[LENGTHS_AT.get(start[8], 10)] != LENGTHS:
            return True
        for place, kind in _heaps(file):
            if not (_advances(file, place) if kind == HEAP else _ends(file, place, base)):
                return True
    return False


def _superblock(file: BinaryIO) -> int | None:
    """Return where the file begins, behind what its user put before; None if it is no HDF5."""
    place = 0
    while place <= MOST_USER_BYTES:
        file.seek(place)
        if file.read(len(SIGNATURE)) == SIGNATURE:
            return place
        place = 2 * place or 512
    return None


def _heaps(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield the place of each heap, and its kind."""
    start, kept = 0, b""
    file.seek(0)
    while block := file.read(BLOCK):
        behind, whole = file.tell(), kept + block
        for kind in (HEAP, NAMES):
            at = -1
            while (at := whole.find(kind, at + 1)) >= 0:
                yield start - len(kept) + at, kind
        file.seek(behind)
        start, kept = behind, whole[1 - len(HEAP) :]


def _advances(file: BinaryIO, place: int) -> bool:
    file.seek(place)
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        return False
    left: int = HEAD.unpack(head)[1] - HEAD.size
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
    return left >= 0


def _ends(file: BinaryIO, place: int, base: int) -> bool:
    """Tell whether the free parts of a heap of names lead to an end; what lies outside the library tells itself."""
    file.seek(place)
    head = file.read(NAMES_HEAD.size)
    if len(head) < NAMES_HEAD.size:
        return False
    _, size, free, address = NAMES_HEAD.unpack(head)
    for _ in range(min(size // FREE.size, MOST_FREE) + 1):
        if free in NO_MORE or free >= size:
            return True
        file.seek(min(base + address + free, MOST_PLACE))
        part = file.read(FREE.size)
        if len(part) < FREE.size:
            return True
        free, _ = FREE.unpack(part)
    return False
