"""A scan on a finer grid: fields of several seeds together, and where they or the scan itself speak against them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.errors import Unsupported, count
from chiasm.generation.coarser import averaged, interpolated, returned
from chiasm.generation.scan_field import FieldOptions, fit_field, require_learnable

Floats = NDArray[np.float32]
MOST = 128_000_000  # voxels of a finer scan
LEAST_SIDE = 4
ROUNDS = 3
FIELDS = 2


@dataclass(frozen=True)
class Finer:
    """A finer scan, and what there is to doubt about it.

    Attributes:
        values: the finer scan, within the range of the one that was given.
        doubt: the same shape, at least 0, in the scan's own unit: how far apart fields of other seeds are, and how far
            the voxel that it lies in is from what the finer voxels there say together.
        smooth: cubic interpolation on the same grid, for comparison.
        departure: root mean square of what the given voxels are from the means of the finer ones, as a share of the
            scan's range; of the cubic interpolation as well.
    """

    values: Floats
    doubt: Floats
    smooth: Floats
    departure: tuple[float, float]


def finer_shape(shape: Sequence[int], scale: float | Sequence[float]) -> tuple[int, ...]:
    """Sides of the finer grid: each times its scale, rounded.

    Raises:
        ValueError: a scale below 1, all of them 1, no finite number, or not one for each axis.
        Unsupported: a side of fewer than four voxels; more than are learnt from, or a finer scan of more than `MOST`.
    """
    each = np.broadcast_to(np.asarray(scale, np.float64), len(shape)) if np.ndim(scale) == 0 else np.asarray(scale)
    if each.shape != (len(shape),):
        raise ValueError(f"{each.size} scales are given for {len(shape)} axes: give one number, or one for each axis")
    if not np.isfinite(each).all() or (each < 1).any() or (each == 1).all():
        told = ", ".join(f"{own:g}" for own in each) if np.ndim(scale) else f"{each[0]:g}"
        raise ValueError(f"a scale of {told} makes nothing finer: give a number above 1, such as 2")
    small = [side for side, own in zip(shape, each, strict=True) if side < LEAST_SIDE and own > 1]
    if small:
        raise Unsupported(
            f"the scan has {count(min(small), 'voxel')} along an axis, and fewer than {LEAST_SIDE} do not tell what "
            "lies between them: give 1 as the scale of that axis"
        )
    require_learnable(shape)
    finer = tuple(round(side * own) for side, own in zip(shape, each.tolist(), strict=True))
    if finer == tuple(shape):
        raise ValueError(f"a scale of {each.max():g} makes nothing finer: no side gets a voxel more; give a larger one")
    if np.prod(finer, dtype=object) > MOST:
        raise Unsupported(
            f"the finer scan would have {int(np.prod(finer, dtype=object)):,} voxels, over the limit of {MOST:,}: cut "
            "out what you need, or give a smaller scale"
        )
    return finer


def made_finer(
    values: NDArray[np.floating],
    shape: Sequence[int],
    options: FieldOptions | None = None,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int, int], object] | None = None,
) -> Finer:
    """Tell a scan on a finer grid: the mean of fields of `FIELDS` seeds, returned to the scan, within its range."""
    scan = np.asarray(values, np.float64)
    low, high = float(scan.min()), float(scan.max())
    told = []
    for k in range(FIELDS):

        def part(done: int, everything: int, k: int = k) -> None:
            if progress is not None:
                progress(round(1000 * (k + done / everything)), 1000 * FIELDS)

        field = fit_field(scan, options, seed + 1000 * k, device, part)
        told.append(field.told(shape))
    mean = np.clip(returned(np.mean(told, 0, dtype=np.float64), scan, ROUNDS), low, high)
    smooth = np.clip(interpolated(scan, shape), low, high)
    apart = np.ptp(np.asarray(told, np.float64), 0)
    left = scan - averaged(mean, scan.shape)
    doubt = np.sqrt(apart**2 + interpolated(np.abs(left), shape, 1) ** 2)
    departure = (_share(left, high - low), _share(scan - averaged(smooth, scan.shape), high - low))
    return Finer(mean.astype(np.float32), doubt.astype(np.float32), smooth.astype(np.float32), departure)


def _share(left: NDArray[np.float64], wide: float) -> float:
    return float(np.sqrt(np.mean(left**2)) / wide)
