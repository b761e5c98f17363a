"""What a chunk of an HDF5 dataset unpacks to: HDF5 inflates one for as long as it yields bytes, whatever its shape."""

from __future__ import annotations

import math
import zlib
from typing import Any

DEFLATE = 1
MOST_DEFLATED = 1032  # bytes that one byte can become
HARMLESS_BYTES = 1 << 27


def filters(dataset: Any) -> list[int]:
    """Return the numbers of the filters that each chunk passes, in the order in which it was written."""
    pipeline = dataset.id.get_create_plist()
    return [int(pipeline.get_filter(place)[0]) for place in range(pipeline.get_nfilters())]


def chunk_bytes(dataset: Any) -> int:
    """Return the bytes of a chunk by its shape."""
    size: int = math.prod(dataset.chunks) * int(dataset.dtype.itemsize)
    return size


def inflates_beyond(dataset: Any, harmless: int = HARMLESS_BYTES) -> bool:
    """Tell whether a deflated chunk unpacks to more bytes than its shape states, and than `harmless`, or to no end.

    LZF is given the size; the other filters of HDF5 and h5py preserve it.
    """
    passed = filters(dataset)
    if dataset.chunks is None or DEFLATE not in passed:
        return False
    if passed.count(DEFLATE) > 1:  # what is packed twice unpacks a million times
        return True
    size = chunk_bytes(dataset)
    for place in range(dataset.id.get_num_chunks()):
        info = dataset.id.get_chunk_info(place)
        if info.size * MOST_DEFLATED <= max(harmless, size):
            continue
        mask, packed = dataset.id.read_direct_chunk(info.chunk_offset)
        if mask >> passed.index(DEFLATE) & 1:
            continue
        machine = zlib.decompressobj()
        left, slack = packed, size + 16  # a checksum of four bytes may follow the numbers
        while left and slack > 0 and not machine.eof:
            slack -= len(machine.decompress(left, min(slack, 1 << 20)))
            left = machine.unconsumed_tail
        if slack <= 0:
            return True
    return False
