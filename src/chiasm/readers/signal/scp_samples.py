"""Samples of SCP-ECG: the default Huffman code, and first and second differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError
from chiasm.readers.signal.recording import Row

DEFAULT_CODE = 19_999  # in place of a number of tables
SHORT, LONG = 9, 10  # ones before a number of 8 and of 16 bits
WIDTHS = np.array([0, *[1] * 8, 8, 16])  # bits of a number behind so many ones, and a zero if they are fewer than ten
DAMAGED = "the compressed samples of the SCP-ECG file are damaged", "copy it again"


def decoded(packed: bytes, samples: int) -> NDArray[np.int64]:
    """Decode `samples` whole numbers, most significant bit first.

    n ones tell what follows: none: 0; one to eight: a zero and a sign, for n and -n; nine: a zero and eight bits; ten:
    sixteen bits, both in two's complement. Where a number would end is known of every bit at once; following those that
    follow each other is all that is done one by one.

    Raises:
        ReadError: the bits end before the samples do.
    """
    if samples > 8 * len(packed):  # each takes a bit at least
        raise ReadError(*DAMAGED)
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    steps = np.arange(len(bits))
    zeros = np.where(bits == 0, steps, len(bits))
    ones = np.minimum(np.minimum.accumulate(zeros[::-1])[::-1] - steps, LONG)  # that begin at each bit
    width = WIDTHS[ones]
    jumps = (ones + (ones < LONG) + width).astype(np.uint8).tobytes()  # to the number behind, if one began here
    places, place = np.empty(samples, dtype=np.int64), 0
    for k in range(samples):
        if place >= len(jumps):
            raise ReadError(*DAMAGED)
        places[k] = place
        place += jumps[place]
    if place > len(jumps):
        raise ReadError(*DAMAGED)
    marks = ones[places]
    found = np.where(bits[np.minimum(places + marks + 1, len(bits) - 1)] == 1, -marks, marks)
    for mark in (SHORT, LONG):
        here = np.flatnonzero(marks == mark)
        wide = int(WIDTHS[mark])
        first = places[here] + mark + (mark < LONG)
        own = bits[first[:, None] + np.arange(wide)].astype(np.int64)
        own[:, 0] *= -1  # two's complement
        found[here] = own @ (1 << np.arange(wide - 1, -1, -1))
    found[marks == 0] = 0
    return np.asarray(found, dtype=np.int64)


def summed(stored: NDArray[np.integer], order: int) -> Row:
    """Undo differences of order 0, 1 or 2; the first samples (one, two) stand as they are.

    `x(n) = d(n) + x(n-1)`, or `x(n) = d(n) + 2 x(n-1) - x(n-2)`.
    """
    row = stored.astype(np.float64)
    if order == 1:
        return np.cumsum(row)
    if order == 2 and len(row) > 2:
        steps = np.concatenate([[row[1] - row[0]], row[2:]])
        return np.concatenate([row[:1], row[0] + np.cumsum(np.cumsum(steps))])
    return row
