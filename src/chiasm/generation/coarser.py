"""Coarser and finer grids of one scan: means over larger voxels, cubic interpolation, and what lies between the two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

Floats = NDArray[np.float64]


def shares(fine: int, coarse: int) -> Floats:
    """Matrix `(coarse, fine)`: the share of each fine voxel in the mean over a coarse one of the same field of view."""
    edges = np.arange(coarse + 1) * fine / coarse
    at = np.arange(fine)
    within = np.minimum(edges[1:, None], at + 1) - np.maximum(edges[:-1, None], at)
    return np.asarray(np.clip(within, 0, None) * coarse / fine)


def averaged(values: NDArray[np.floating], shape: Sequence[int]) -> Floats:
    """The means of values over the voxels of a coarser grid of the same field of view, whose sides need not divide."""
    found = np.asarray(values, np.float64)
    for axis, side in enumerate(shape):
        moved = np.tensordot(shares(found.shape[axis], side), found, (1, axis))
        found = np.moveaxis(moved, 0, axis)
    return found


def interpolated(values: NDArray[np.floating], shape: Sequence[int], order: int = 3) -> Floats:
    """Values at the middles of the voxels of another grid of the same field of view, by splines of an order."""
    found = np.asarray(values, np.float64)
    for axis, side in enumerate(shape):
        if side != found.shape[axis]:  # one axis after the other is the same, and needs little memory
            found = _along(found, axis, side, order)
    return found


def _along(values: Floats, axis: int, side: int, order: int) -> Floats:
    """Values along one axis at the middles of `side` voxels; beyond the outer middles those of the edge."""
    moved = np.moveaxis(values, axis, 0)
    length = len(moved)
    many = 6  # the filter of a spline looks beyond the edge, where the edge goes on
    padded = np.concatenate([moved[:1].repeat(many, 0), moved, moved[-1:].repeat(many, 0)])
    if order > 1:
        padded = ndimage.spline_filter1d(padded, order, axis=0, mode="nearest")
    at = np.clip((np.arange(side) + 0.5) * length / side - 0.5, 0, length - 1) + many
    first = np.floor(at).astype(int) - (order - 1) // 2
    taps = np.arange(order + 1)
    weights = _spline(at[:, None] - (first[:, None] + taps), order)  # (side, order + 1)
    found = sum(weights[:, tap].reshape(-1, *[1] * (moved.ndim - 1)) * padded[first + tap] for tap in taps)
    return np.asarray(np.moveaxis(np.asarray(found), 0, axis))


def _spline(x: Floats, order: int) -> Floats:
    """The B-spline of order 1 or 3 at distances x."""
    far = np.abs(x)
    if order == 1:
        return np.asarray(np.clip(1 - far, 0, None))
    near = (4 - 6 * far**2 + 3 * far**3) / 6
    return np.asarray(np.where(far < 1, near, np.clip(2 - far, 0, None) ** 3 / 6))


def returned(fine: NDArray[np.floating], coarse: NDArray[np.floating], rounds: int) -> Floats:
    """Iterative back-projection: `x + cubic(coarse - averaged(x))`, so many rounds of it.

    Source: Irani and Peleg, Improving resolution by image registration (CVGIP 1991).
    """
    found = np.asarray(fine, np.float64)
    for _ in range(rounds):
        found = found + interpolated(coarse - averaged(found, coarse.shape), found.shape)
    return found


def psnr(values: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    """Peak signal to noise in decibels, `10 log10(range^2 / mean squared error)`, by the range of the truth."""
    error = float(np.mean((np.asarray(values, np.float64) - truth) ** 2))
    wide = float(truth.max()) - float(truth.min())
    return float(10 * np.log10(wide**2 / error)) if error else float("inf")
