"""Samples of SCP-ECG: the default Huffman code, and first and second differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import ReadError
from chiasm.readers.signal.recording import Row

DEFAULT_CODE = 19_999  # in place of a number of tables
SHORT, LONG = 9, 10  # ones before a number of 8 and of 16 bits
DAMAGED = "the compressed samples of the SCP-ECG file are damaged", "copy it again"


def decoded(packed: bytes, samples: int) -> NDArray[np.int64]:
    """Decode `samples` whole numbers, most significant bit first.

    n ones tell what follows: none: 0; one to eight: a zero and a sign, for n and -n; nine: a zero and eight bits; ten:
    sixteen bits, both in two's complement.

    Raises:
        ReadError: the bits end before the samples do.
    """
    if samples > 8 * len(packed):  # each takes a bit at least
        raise ReadError(*DAMAGED)
    bits = "".join(map("{:08b}".format, packed))
    found = np.empty(samples, dtype=np.int64)
    place = 0
    for k in range(samples):
        ones = 0
        zero = bits.find("0", place, place + LONG)
        ones = LONG if zero < 0 else zero - place
        place += ones if ones == LONG else ones + 1
        width = 16 if ones == LONG else 8 if ones == SHORT else 1 if ones else 0
        if place + width > len(bits):
            raise ReadError(*DAMAGED)
        if width > 1:
            number = int(bits[place : place + width], 2)
            found[k] = number - (1 << width) if number >> (width - 1) else number
        else:
            found[k] = -ones if width and bits[place] == "1" else ones
        place += width
    return found


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
