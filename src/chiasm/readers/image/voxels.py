"""Read the voxels of a file into the patient's axes, block by block, so that little lies in memory beside them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from chiasm.readers.reading import Floats, ReadError
from chiasm.room import copy_by_cubes, is_in_order, is_large, let_go, room

GZIP = b"\x1f\x8b"
BLOCK = 1 << 20  # voxels of one
SLACK = 1 << 20  # bytes after the voxels that a gzip may hold
TRUNCATED = ("the file is truncated: it is shorter than its header announces", "copy it again")
Part = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Stored:
    """Where the voxels of a file are (in the unpacked one), x fastest, and how they are scaled."""

    dtype: np.dtype[Any]
    start: int
    slope: float = 1.0
    inter: float = 0.0


def opened(path: Path) -> BinaryIO:
    """Open a file, unpacked if it is packed by gzip."""
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def read_stored(
    path: Path, own: Stored, shape: tuple[int, int, int], orientation: NDArray[np.float64], values: Floats
) -> None:
    """Read `(X, Y, Z)` voxels a channel into `(C, D, H, W)`; a gzip must end there, and its checksum is verified."""
    with opened(path) as stream:
        _exactly(stream, own.start)
        for channel in values:
            lying = in_file_axes(channel, orientation).transpose(2, 1, 0)
            target = lying if not is_large(channel.size) or is_in_order(lying) else room(lying.shape)  # (Z, Y, X)
            for block in blocks(lying.shape):
                place = target[block]
                found = np.frombuffer(_exactly(stream, place.size * own.dtype.itemsize), own.dtype)
                place[...] = found.reshape(place.shape).astype(np.float64) * own.slope + own.inter
                let_go(target)
            if target is not lying:
                copy_by_cubes(target, lying)
            fill(channel)
        if isinstance(stream, gzip.GzipFile) and len(stream.read(SLACK + 1)) > SLACK:
            raise ReadError("the file unpacks to more than its header announces", "write it again as .nii.gz")


def read_array(image: Any, shape: tuple[int, int, int], orientation: NDArray[np.float64], values: Floats) -> None:
    """Read the voxels of an image of nibabel, which scales them, into `(C, D, H, W)`."""
    if len(values) == 1 and tuple(image.shape) == shape:
        target = in_file_axes(values[0], orientation)
        for part in blocks(shape):
            target[part] = np.asarray(image.dataobj[part], dtype=np.float64)
            let_go(values)
    else:
        voxels = np.asarray(image.dataobj).reshape((*shape, -1))
        for place, channel in enumerate(values):
            in_file_axes(channel, orientation)[...] = voxels[..., place]
    for channel in values:
        fill(channel)


def in_file_axes(values: Floats, orientation: NDArray[np.float64]) -> Floats:
    """Return a view `(X, Y, Z)`, the axes of the file, of `(D, H, W)`, the patient's.

    Args:
        orientation: (3, 2) of nibabel, to R, A, S: the patient's axis of each axis of the file, and its sign.
    """
    patient = values.transpose(2, 1, 0)[::-1, ::-1]  # S, P, L -> R, A, S
    axes = patient.transpose(*orientation[:, 0].astype(int))
    return axes[tuple(slice(None, None, int(sign)) for sign in orientation[:, 1])]


def blocks(shape: tuple[int, int, int]) -> Iterator[Part]:
    """Yield the parts of an array, whose last axis is the fastest, in its order: each in one piece, about a million."""
    slow, middle, fast = shape
    fasts = min(fast, BLOCK)
    middles = max(1, min(middle, BLOCK // fast))
    slows = max(1, BLOCK // (fast * middle))
    for a in range(0, slow, slows):
        for b in range(0, middle, middles):
            for c in range(0, fast, fasts):
                yield slice(a, min(a + slows, slow)), slice(b, min(b + middles, middle)), slice(c, min(c + fasts, fast))


def fill(values: Floats) -> None:
    """Put the smallest number of a channel `(D, H, W)` in place of NaN."""
    parts = [part for start in range(0, values.size, BLOCK) for part in [values.reshape(-1)[start : start + BLOCK]]]
    lowest, infinite = np.float32(np.nan), False
    for part in parts:
        lowest, infinite = np.fmin(lowest, np.fmin.reduce(part)), infinite or bool(np.isinf(part).any())
        let_go(values)
    if infinite or np.isnan(lowest):
        raise ReadError("the voxels are infinite, or none is a number", "write finite numbers")
    for part in parts:
        wrong = np.isnan(part)
        if wrong.any():
            part[wrong] = lowest
        let_go(values)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes."""
    content = stream.read(size)
    if len(content) == size:
        return content
    if isinstance(stream, gzip.GzipFile):
        raise ReadError("the file is truncated: it unpacks to less than its header announces", "copy it again")
    raise ReadError(*TRUNCATED)
