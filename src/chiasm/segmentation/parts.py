"""Parts of images and of label maps, read one by one on the grid of a network: what is not asked for is not touched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.cohort import Unsupported
from chiasm.targets.label_maps import MOST_VOXELS, LabelMap

SMALL, FINER = 2**24, 64
"""Pixels of a grid over an image up to which it may be as fine as it likes, and times that a larger one may be."""
Part = tuple[slice, ...]
Floats = NDArray[np.floating]


def grid_for(shape: Sequence[int], spacing: Sequence[float], wanted: Sequence[float]) -> tuple[int, ...]:
    """Sides of the grid of a wanted spacing over an image; its own where none is wanted.

    Args:
        spacing: millimetres a pixel along each axis.
        wanted: the same of the grid; empty: the image's own. 0 along an axis: the image's own there.

    Raises:
        Unsupported: the grid has more than `MOST_VOXELS`, or is over `FINER` times finer than the image and large.
    """
    if not wanted:
        return tuple(shape)
    own = zip(shape, spacing, wanted, strict=True)
    sides = [max(1.0, side * (mm / to)) if to else float(side) for side, mm, to in own]
    many = math.prod(sides)
    if not many <= MOST_VOXELS or (many > SMALL and many > FINER * math.prod(shape)):
        raise Unsupported(
            f"an image of {listed(shape)} pixels of {listed(spacing)} mm would be read on a grid of {many:,.3g} pixels "
            f"of {listed(wanted)} mm: correct the spacing in its header, or that of the plan"
        )
    return tuple(round(own) for own in sides)


def listed(numbers: Sequence[float]) -> str:
    """Numbers of axes as a person writes them."""
    return " x ".join(f"{own:,g}" for own in numbers)


def places(start: int, stop: int, new: int, old: int) -> NDArray[np.float64]:
    """Where places `start` to `stop` of an axis of `new` lie on one of `old`, both over the same length: middles."""
    return np.clip((np.arange(start, stop) + 0.5) * old / new - 0.5, 0, old - 1)


def between(values: Floats, grid: Sequence[int], part: Sequence[slice]) -> NDArray[np.float32]:
    """A part of values `(C, ...)` as a grid of other sides over them has it, linear between their pixels."""
    axes, read = [], list[slice]()
    for own, new, old in zip(part, grid, values.shape[1:], strict=True):
        start, stop, _ = own.indices(new)
        at = places(start, stop, new, old)
        low = np.minimum(np.floor(at).astype(np.int64), max(old - 2, 0))
        first = int(low[0]) if len(low) else 0
        read.append(slice(first, min(old, int(low[-1]) + 2) if len(low) else 0))
        axes.append((low - first, (at - low).astype(np.float32)))
    found = np.array(values[(slice(None), *read)], dtype=np.float32)
    for axis, (low, share) in enumerate(axes, 1):
        one = np.take(found, low, axis)
        other = np.take(found, np.minimum(low + 1, found.shape[axis] - 1), axis)
        found = one + (other - one) * share.reshape(-1, *[1] * (found.ndim - 1 - axis))
    return np.ascontiguousarray(found)


@dataclass(frozen=True, eq=False)
class Pixels:
    """Scaled pixels of an image `(C, ...)` on a grid over it, between whose pixels values are linear.

        x = (clip(v, low, high) - mean) / spread

    Args:
        values: `(C, ...)` as they are stored, on disk or in memory.
        mean, spread: `(C,)`.
        grid: sides of the grid; the image's own or others.
        low, high: values are cut to these first.
        device: where parts are put.
    """

    values: Floats
    mean: Floats
    spread: Floats
    grid: tuple[int, ...]
    low: float = -np.inf
    high: float = np.inf
    device: str | torch.device = "cpu"

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, ...)` of the grid."""
        return (len(self.values), *self.grid)

    def __getitem__(self, key: tuple[slice, ...] | None) -> Tensor:
        """Read a part; the first slice is of channels. None reads all of it, as a batch of one."""
        if key is None:
            return self.whole()[None]
        channels, *part = key
        held = self.values[channels]
        if held.shape[1:] == self.grid:
            found = np.array(held[(slice(None), *part)], dtype=np.float32)
        else:
            found = between(held, self.grid, part)
        if np.isfinite(self.low) or np.isfinite(self.high):
            np.clip(found, self.low, self.high, out=found)
        scale = (-1, *[1] * len(part))
        mean, spread = (torch.from_numpy(np.asarray(own[channels])) for own in (self.mean, self.spread))
        values = torch.from_numpy(found).to(self.device)
        return (values - mean.to(values).view(scale)) / spread.to(values).view(scale)

    def whole(self) -> Tensor:
        """Read all of it."""
        return self[(slice(None), *(slice(0, side) for side in self.grid))]


@dataclass(frozen=True, eq=False)
class DrawnMap:
    """A label map as its runs, on a grid over it, of which parts are read: at each place the label that is nearest.

    Args:
        own: the map.
        grid: sides of the grid; the map's own or others.
        device: where parts are put.
    """

    own: LabelMap
    grid: tuple[int, ...]
    device: str | torch.device = "cpu"
    labels: NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", np.unique(self.own.label))

    @property
    def shape(self) -> tuple[int, ...]:
        """Sides of the grid."""
        return self.grid

    def __getitem__(self, part: Part) -> Tensor:
        """Codes of a part, int64: 0 where there is no label, else 1 + its place, of the runs that meet it alone."""
        at = [
            np.floor(places(*own.indices(new)[:2], new, old) + 0.5).astype(np.int64)
            for own, new, old in zip(part, self.grid, self.own.shape, strict=True)
        ]
        sides = tuple(map(len, at))
        if not len(self.own.start) or not all(sides):
            return torch.zeros(sides, dtype=torch.int64, device=self.device)
        line = np.zeros(1, dtype=np.int64)  # of the map, each one that the part crosses
        for own, old in zip(at[:-1], self.own.shape[:-1], strict=True):
            line = (line[:, None] * old + own).reshape(-1)
        begin = line * self.own.shape[-1] + at[-1][0]
        wide = int(at[-1][-1] - at[-1][0]) + 1
        ends = self.own.start + self.own.length
        first = np.searchsorted(ends, begin, "right")
        many = np.searchsorted(self.own.start, begin + wide, "left") - first
        run = np.repeat(first - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))
        left = np.repeat(np.arange(len(line)) * wide - begin, many)  # from a place of the map to one of the lines
        low = np.repeat(begin, many)
        code = self.own.label[run] + 1
        change = np.zeros(len(line) * wide + 1, dtype=np.int64)
        np.add.at(change, np.maximum(self.own.start[run], low) + left, code)
        np.add.at(change, np.minimum(ends[run], low + wide) + left, -code)
        codes = np.cumsum(change[:-1]).reshape(len(line), wide)[:, at[-1] - at[-1][0]]
        return torch.from_numpy(codes.reshape(sides)).to(self.device)

    def drawn_place(self) -> tuple[int, ...] | None:
        """A pixel of a label, drawn at random: first the label, each alike, then one of its pixels; None without."""
        if not len(self.labels):
            return None
        here = self.own.label == self.labels[int(torch.randint(len(self.labels), ()))]
        start, length = self.own.start[here], self.own.length[here]
        behind = np.cumsum(length)
        chosen = int(torch.randint(int(behind[-1]), ()))
        run = int(np.searchsorted(behind, chosen, "right"))
        flat = int(start[run] + chosen - (behind[run] - length[run]))
        at = np.unravel_index(flat, self.own.shape)
        sides = zip(at, self.grid, self.own.shape, strict=True)
        return tuple(min(int((int(own) + 0.5) * new / old), new - 1) for own, new, old in sides)


def regridded(codes: NDArray[np.integer], shape: Sequence[int]) -> NDArray[np.integer]:
    """Codes on a grid of another shape: the one whose share is largest, slice by slice.

    The share of a code is one at its places, zero at others, and linear between them.
    """
    if codes.shape == tuple(shape):
        return codes
    found, known = np.zeros(tuple(shape), dtype=codes.dtype), np.unique(codes)
    rest, whole = tuple(shape[1:]), [slice(0, side) for side in shape[1:]]
    for row, at in enumerate(places(0, shape[0], shape[0], codes.shape[0])):
        low, share = int(at), float(at - int(at))
        below, above = (
            (codes[min(own, len(codes) - 1)] == known.reshape(-1, *[1] * len(rest))).astype(np.float32)
            for own in (low, low + 1)
        )
        found[row] = known[between(below * (1 - share) + above * share, rest, whole).argmax(0)]
    return found
