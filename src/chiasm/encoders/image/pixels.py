"""From images and volumes of any size, in their own units, to the grid of fixed size that an encoder cuts or feeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

Floats = NDArray[np.float32]
LUMA = (0.299, 0.587, 0.114)  # Rec. 601: what PIL's conversion to grey weighs red, green and blue by
RESIZES = ("stretch", "pad")
SCALES = ("none", "own")


def check_grid(size: int, patch: int, channels: int, resize: str, normalise: str) -> None:
    """Refuse options that describe no grid.

    Raises:
        ValueError: which option, and what it may be.
    """
    if min(size, patch, channels) < 1 or size % patch:
        raise ValueError(f"size ({size}) must be a multiple of patch ({patch}), and they and channels 1 or more")
    if resize not in RESIZES or normalise not in SCALES:
        raise ValueError(f"resize is {' or '.join(RESIZES)}, and normalise {' or '.join(SCALES)}")


def with_channels(values: Floats, channels: int, colour: bool = True) -> Tensor:
    """`(C, ...)` as `(channels, ...)` float32: as it is, grey from colour, or one channel repeated.

    Args:
        values: of an image or a volume, without NaN.
        channels: how many are wanted.
        colour: three channels are red, green and blue, whose grey is that of Rec. 601, and the fourth of four is
            opacity, which is dropped. Otherwise one channel is made of several by their mean.

    Raises:
        ValueError: the channels are neither that many nor one, or a value is not finite.
    """
    found = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
    if not bool(torch.isfinite(found).all()):
        raise ValueError("the image holds values that are not finite: fill them, or leave the file out")
    if colour and len(found) == 4 and channels in (1, 3):
        found = found[:3]
    if len(found) == channels:
        return found
    if colour and channels == 1 and len(found) == 3:
        return torch.einsum("c,c...->...", torch.tensor(LUMA), found)[None]
    if channels == 1:
        return found.mean(0, keepdim=True)
    if len(found) == 1:
        return found.expand(channels, *found.shape[1:])
    raise ValueError(f"the image has {len(found)} channels, not {channels} and not one: set channels={len(found)}")


def resized(
    values: Tensor,
    size: int | tuple[int, int],
    resize: str = "stretch",
    spacing: Sequence[float] | None = None,
    mode: str = "bilinear",
) -> Tensor:
    """`(C, H, W)` or `(C, D, H, W)` with every axis `size` long: interpolated, and antialiased where it shrinks.

    Args:
        values: float32.
        size: of every axis, or of height and width of an image.
        resize: `stretch` lets every axis fill the grid, so that a place in the grid is the same share of the field of
            view in every patient; `pad` keeps shapes true (by `spacing`, else in pixels) and fills the shorter axes
            on both sides with the lowest value.
        spacing: mm along the axes after the first.
        mode: `bilinear`, or `bicubic` for an image.
    """
    goal = [size] * (values.ndim - 1) if isinstance(size, int) else list(size)
    lengths = goal
    if resize == "pad":
        extent = [n * s for n, s in zip(values.shape[1:], spacing or [1.0] * len(goal), strict=True)]
        share = min(g / e for g, e in zip(goal, extent, strict=True))
        lengths = [min(g, max(1, round(e * share))) for g, e in zip(goal, extent, strict=True)]
    if values.ndim == 4:
        planes = _filtered(values, lengths[1:], mode).flatten(2)[:, None]
        values = _filtered(planes, [lengths[0], lengths[1] * lengths[2]], mode)
        values = values.reshape(len(values), *lengths)
    else:
        values = _filtered(values[None], lengths, mode)[0]
    if lengths == goal:
        return values
    margins = [g - n for g, n in zip(goal, lengths, strict=True)]
    sides = [side for margin in reversed(margins) for side in (margin // 2, margin - margin // 2)]
    return functional.pad(values, sides, value=float(values.min()))


def standardised(values: Tensor) -> Tensor:
    """`(C, ...)` with mean 0 and deviation 1 over all its values; zeros where all are equal."""
    centred = values - values.mean()
    deviation = float(centred.square().mean().sqrt())
    return centred / deviation if deviation > 1e-12 * max(1.0, float(values.abs().max())) else centred * 0


def in_unit_range(values: Tensor, high: float) -> Tensor:
    """Values of a file, 0 to `high`, as the 0 to 1 that pretrained networks were fed before their own mean and std.

    Raises:
        ValueError: the values are outside 0 to `high`, or look as if they were scaled before.
    """
    least, most = float(values.min()), float(values.max())
    if least < 0 or most > high:
        raise ValueError(
            f"the image holds values outside 0 to {high:g}: say what is white by high= (65535 for 16 bit, 4095 for 12)"
        )
    if 0 < most <= 1 < high and bool((values != values.round()).any()):
        raise ValueError(f"the image holds fractions up to 1, which is black where {high:g} is white: set high=1")
    return values / high


def patched(values: Tensor, patch: int) -> Floats:
    """`(C, *lengths)` cut to `(tokens, C x patch^axes)`: patches row by row, in each its channels one after another."""
    axes = values.ndim - 1
    cut = values.reshape(len(values), *(n for length in values.shape[1:] for n in (length // patch, patch)))
    places, inside = [1 + 2 * axis for axis in range(axes)], [2 + 2 * axis for axis in range(axes)]
    tokens = cut.permute(*places, 0, *inside).reshape(-1, len(values) * patch**axes)
    return np.ascontiguousarray(tokens.numpy())


def _filtered(values: Tensor, lengths: Sequence[int], mode: str) -> Tensor:
    """`(N, C, H, W)` resized; as it is where it has the size."""
    if list(values.shape[2:]) == list(lengths):
        return values
    if lengths[1] == 1:  # torch 2.13 resizes the height of what is one column wide to its first value
        wide = max(2, values.shape[3])
        values = _antialiased(values.expand(-1, -1, -1, wide), [lengths[0], wide], mode)
    return _antialiased(values, lengths, mode)


def _antialiased(values: Tensor, lengths: Sequence[int], mode: str) -> Tensor:
    return functional.interpolate(values, list(lengths), mode=mode, antialias=True, align_corners=False)
