"""Room for arrays too large to stay in memory: a temporary file without a name, whose pages are let go after use.

The system keeps such pages as long as there is memory for them, and writes and reads them again where there is not.
"""

from __future__ import annotations

import errno
import math
import mmap
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from chiasm.errors import Unsupported
from chiasm.limits import GIGABYTE

MOST_HELD = 32_000_000  # values that lie in memory: 128 MB in single precision
PART = 4_000_000  # values that are looked at together
CUBE = 96  # values of a side of what is copied together between axes of another order
OFTEN_SECONDS = 0.02
NOT_RESERVED = (errno.EOPNOTSUPP, errno.EINVAL)  # by file systems that give space as it is used


class _Room(mmap.mmap):
    """A mapping of this module, whose pages may be dropped: they are shared with a file, so that none is lost."""


def is_large(values: int) -> bool:
    """Tell whether so many values lie in a file, and are better used by parts."""
    return values > MOST_HELD


def room(shape: Sequence[int], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return an array whose values are yet to be written, in memory up to `MOST_HELD` of them, else in a file.

    The file lies in the system's temporary folder (`TMPDIR`), has no name and no reader but this process, and is gone
    with the array.

    Raises:
        Unsupported: the folder has too little space left, or gives no file: a fault of the machine, for which no
            patient may be counted as one who lacks what could not be read.
    """
    size = math.prod(map(int, shape))
    if not is_large(size):
        return np.empty(shape, dtype)
    whole = size * np.dtype(dtype).itemsize
    try:
        with tempfile.TemporaryFile(prefix="chiasm-") as file:
            _reserve(file.fileno(), whole)
            return np.ndarray(tuple(map(int, shape)), dtype, buffer=_Room(file.fileno(), whole))
    except OSError as fault:
        raise Unsupported(
            f"a large file is read by way of {whole / GIGABYTE:,.1f} GB of the temporary folder, which does not give "
            f"them ({os.strerror(fault.errno or errno.EIO)}): free some, use fewer --jobs, or name another by TMPDIR"
        ) from None


def mapped(file: Any, shape: Sequence[int], dtype: DTypeLike, offset: int) -> NDArray[Any]:
    """Return values of an open file as they lie there from `offset` on, read-only."""
    return np.ndarray(tuple(map(int, shape)), dtype, buffer=mapping(file), offset=offset)


def mapping(file: Any) -> mmap.mmap:
    """Return the bytes of an open file, read-only, whose pages `let_go` drops."""
    return _Room(file.fileno(), 0, access=mmap.ACCESS_READ)


def let_go(values: NDArray[Any] | mmap.mmap) -> None:
    """Drop the pages of what this module gave from memory; they come back when they are asked for."""
    base: Any = values
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, _Room) and hasattr(mmap, "MADV_DONTNEED"):
        base.madvise(mmap.MADV_DONTNEED)


@contextmanager
def emptied(*arrays: NDArray[Any] | mmap.mmap) -> Iterator[None]:
    """Let the pages of arrays go again and again while a decoder, which does not hold Python's lock, fills them."""

    def empty() -> None:
        for own in arrays:
            let_go(own)

    with repeatedly(empty, OFTEN_SECONDS):
        yield


@contextmanager
def repeatedly(do: Callable[[], object], seconds: float) -> Iterator[None]:
    """Call a function every so many seconds from a thread of its own, and once more at the end."""
    over = threading.Event()

    def again() -> None:
        while not over.wait(seconds):
            do()

    thread = threading.Thread(target=again, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        do()


def stretches(length: int, each: int, multiple: int = 1, *used: NDArray[Any]) -> Iterator[slice]:
    """Cut an axis into stretches of about `PART` values, a multiple of so many steps, `each` the values of a step.

    After each stretch the pages of the arrays `used` are let go.
    """
    step = max(1, PART // max(1, each) // multiple) * multiple
    for start in range(0, length, step):
        yield slice(start, min(start + step, length))
        for own in used:
            let_go(own)


def is_in_order(values: NDArray[Any]) -> bool:
    """Tell whether neighbours along the last axis lie nearest to each other, and so on."""
    steps = [abs(step) for step in values.strides]
    return steps == sorted(steps, reverse=True)


def copy_by_cubes(source: NDArray[Any], target: NDArray[Any], side: int = CUBE) -> None:
    """Copy an array of three axes or more into another whose axes lie otherwise, using few pages at a time."""
    last = [[slice(a, min(a + side, n)) for a in range(0, n, side)] for n in source.shape[-3:]]
    for part in product(*last):
        cube: tuple[Any, ...] = (..., *part)
        target[cube] = source[cube]
        let_go(target)
        let_go(source)


def all_finite(values: NDArray[Any]) -> bool:
    """Tell whether every value is finite; no mask of the whole lies beside it."""
    each = math.prod(values.shape[1:])
    return all(bool(np.isfinite(values[part]).all()) for part in stretches(len(values), each, 1, values))


def column_means(values: NDArray[Any], dtype: DTypeLike = np.float32) -> NDArray[Any]:
    """Return `values.astype(dtype).mean(0)` of a matrix in row order, to the bit, from parts of it."""
    if values.size <= PART or values.shape[1] == 1 or not values.flags.c_contiguous:
        return np.asarray(np.asarray(values, dtype).mean(0))
    total = np.zeros((0, values.shape[1]), dtype)
    for part in stretches(len(values), values.shape[1], 1, values):
        total = np.concatenate([total, np.asarray(values[part], dtype)]).sum(0, keepdims=True)  # row by row
    return np.asarray(np.true_divide(total[0], len(values), dtype=dtype))


def column_maxima(values: NDArray[Any]) -> NDArray[Any]:
    """Return `values.max(0)` of a matrix, from parts of it."""
    parts = stretches(len(values), max(1, values.shape[1]), 1, values)
    return np.asarray(np.max([values[part].max(0) for part in parts], axis=0))


def _reserve(file: int, size: int) -> None:
    """Give a file its size on disk: a page that finds no space later would end the process."""
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(file, 0, size)
            return
        except OSError as fault:
            if fault.errno not in NOT_RESERVED:
                raise
    if shutil.disk_usage(tempfile.gettempdir()).free < size:
        raise OSError(errno.ENOSPC, "no space left")
    os.truncate(file, size)
