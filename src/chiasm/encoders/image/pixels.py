"""Image preprocessing: channels, resizing, intensity scaling and cutting into patches, for images and volumes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.room import PART, let_go, stretches

Floats = NDArray[np.float32]
LUMA = (0.299, 0.587, 0.114)  # Rec. 601 weights of red, green and blue, as in PIL's conversion to grey
RESIZES = ("stretch", "pad")
SCALES = ("none", "own")
WHOLE = 4 * PART  # values up to which nothing is taken apart
LANES = 32  # values that torch adds up side by side; parts of multiples of them are added as the whole is


def check_grid(size: int, patch: int, channels: int, resize: str, normalise: str) -> None:
    """Check the options of a patch grid.

    Raises:
        ValueError: an option is out of range; the message names it and its valid values.
    """
    if min(size, patch, channels) < 1 or size % patch:
        raise ValueError(f"size ({size}) must be a multiple of patch ({patch}), and they and channels 1 or more")
    if resize not in RESIZES or normalise not in SCALES:
        raise ValueError(f"resize is {' or '.join(RESIZES)}, and normalise {' or '.join(SCALES)}")


def with_channels(values: Floats, channels: int, colour: bool = True) -> Tensor:
    """Convert `(C, ...)` to `(channels, ...)` float32: unchanged, grey from colour, or one channel repeated.

    Args:
        values: pixels of an image or a volume, without NaN.
        channels: number of channels wanted.
        colour: three channels are red, green and blue, converted to grey by Rec. 601, and the fourth of four is
            opacity, which is dropped. Otherwise several channels are reduced to one by their mean.

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


def prepared(
    values: Floats,
    channels: int,
    size: int | tuple[int, int],
    resize: str = "stretch",
    spacing: Sequence[float] | None = None,
    mode: str = "bilinear",
    colour: bool = True,
    window: tuple[float, float] | None = None,
    high: float | None = None,
) -> Tensor:
    """Convert the channels of an image or a volume `(C, ...)`, and resize it: `(channels, size, size)` or a cube.

    `resized(with_channels(values, channels, colour), size, resize, spacing, mode)`, to the bit, and between the two
    clipped to a `window` or brought from 0 .. `high` to 0 .. 1. What has many values is taken apart along its rows or
    slices, each of which is resized by itself along the other axes, so that only parts of it lie in memory.

    Args:
        values: pixels or voxels, as for `with_channels`.
        channels, colour: as for `with_channels`.
        size, resize, spacing, mode: as for `resized`.
        window: lowest and highest value.
        high: value of white, as for `in_unit_range`.

    Raises:
        ValueError: as `with_channels` and `in_unit_range` do.
    """

    def parts() -> Iterator[Tensor]:
        for part in _parts(values):
            found = with_channels(values[:, part], channels, colour)
            yield found if window is None else found.clamp(*window)

    if high is not None:
        _require_unit_range(parts(), high)
    scaled = parts() if high is None else (part / high for part in parts())
    found = _resized(scaled, values.size > WHOLE, values.shape[1:], size, resize, spacing, mode)
    let_go(values)  # which may be one channel of many
    return found


def resized(
    values: Tensor,
    size: int | tuple[int, int],
    resize: str = "stretch",
    spacing: Sequence[float] | None = None,
    mode: str = "bilinear",
) -> Tensor:
    """Resize `(C, H, W)` or `(C, D, H, W)` so that every axis is `size` long, with antialiasing where it shrinks.

    Args:
        values: float32.
        size: length of every axis, or height and width of an image.
        resize: `stretch` lets every axis fill the grid, so that a grid position is the same share of the field of view
            in every patient; `pad` preserves the aspect ratio (by `spacing`, else in pixels) and fills the shorter
            axes on both sides with the lowest value.
        spacing: mm along the axes after the first.
        mode: `bilinear`, or `bicubic` for an image.
    """
    return _resized(iter([values]), False, values.shape[1:], size, resize, spacing, mode)


def _resized(
    parts: Iterator[Tensor],
    apart: bool,
    shape: Sequence[int],
    size: int | tuple[int, int],
    resize: str,
    spacing: Sequence[float] | None,
    mode: str,
) -> Tensor:
    """Resize an array `(C, *shape)` that comes in parts along its first axis after the channels."""
    goal = [size] * len(shape) if isinstance(size, int) else list(size)
    lengths = goal
    if resize == "pad":
        extent = [n * s for n, s in zip(shape, spacing or [1.0] * len(goal), strict=True)]
        share = min(g / e for g, e in zip(goal, extent, strict=True))
        lengths = [min(g, max(1, round(e * share))) for g, e in zip(goal, extent, strict=True)]
    if len(shape) == 3:
        planes = _gathered((_filtered(part, lengths[1:], mode).flatten(2) for part in parts), shape[0])[:, None]
        values = _filtered(planes, [lengths[0], lengths[1] * lengths[2]], mode)
        values = values.reshape(len(values), *lengths)
    else:
        if apart and lengths[1] > 1:  # the width first, as torch does it; a width of one is brought about last
            parts = (_filtered(part[None], [part.shape[1], lengths[1]], mode)[0] for part in parts)
        values = _filtered(_gathered(parts, shape[0])[None], lengths, mode)[0]
    if lengths == goal:
        return values
    margins = [g - n for g, n in zip(goal, lengths, strict=True)]
    sides = [side for margin in reversed(margins) for side in (margin // 2, margin - margin // 2)]
    return functional.pad(values, sides, value=float(values.min()))


def _gathered(parts: Iterator[Tensor], length: int) -> Tensor:
    """Join parts `(C, n, ...)` to `(C, length, ...)` in one piece of memory, whose parts would else leave holes."""
    whole, start = torch.empty(0), 0
    for part in parts:
        if part.shape[1] == length:
            return part
        if not start:
            whole = part.new_empty(len(part), length, *part.shape[2:])
        whole[:, start : start + part.shape[1]] = part
        start += part.shape[1]
    return whole


def _parts(values: NDArray[Any]) -> Iterator[slice]:
    """Yield stretches of the axis after the channels, whose pages are let go; one of all where there are few values."""
    if values.size <= WHOLE:
        yield slice(0, values.shape[1])
        return
    each = values.shape[0] * math.prod(values.shape[2:])
    multiple = LANES // math.gcd(LANES, math.prod(values.shape[2:]))
    yield from stretches(values.shape[1], each, multiple if multiple * each <= WHOLE else 1, values)


def standardised(values: Tensor) -> Tensor:
    """Standardise `(C, ...)` to mean 0 and deviation 1 over all its values; zeros if all are equal."""
    centred = values - values.mean()
    deviation = float(centred.square().mean().sqrt())
    return centred / deviation if deviation > 1e-12 * max(1.0, float(values.abs().max())) else centred * 0


def in_unit_range(values: Tensor, high: float) -> Tensor:
    """Scale pixel values from 0 .. `high` to 0 .. 1, as pretrained networks expect before their own mean and std.

    Raises:
        ValueError: the values are outside 0 to `high`, or look as if they were already scaled.
    """
    _require_unit_range(iter([values]), high)
    return values / high


def _require_unit_range(parts: Iterator[Tensor], high: float) -> None:
    least, most, fractions = math.inf, -math.inf, False
    for part in parts:
        least, most = min(least, float(part.min())), max(most, float(part.max()))
        fractions = fractions or (most <= 1 and bool((part != part.round()).any()))
    if least < 0 or most > high:
        raise ValueError(
            f"the image holds values outside 0 to {high:g}: say what is white by high= (65535 for 16 bit, 4095 for 12)"
        )
    if 0 < most <= 1 < high and fractions:
        raise ValueError(f"the image holds fractions up to 1, which is black where {high:g} is white: set high=1")


def patched(values: Tensor, patch: int) -> Floats:
    """Cut `(C, *lengths)` into patches `(tokens, C x patch^axes)`, in row order; each patch is channel by channel."""
    axes = values.ndim - 1
    cut = values.reshape(len(values), *(n for length in values.shape[1:] for n in (length // patch, patch)))
    places, inside = [1 + 2 * axis for axis in range(axes)], [2 + 2 * axis for axis in range(axes)]
    tokens = cut.permute(*places, 0, *inside).reshape(-1, len(values) * patch**axes)
    return np.ascontiguousarray(tokens.numpy())


def _filtered(values: Tensor, lengths: Sequence[int], mode: str) -> Tensor:
    """Resize `(N, C, H, W)`; return it unchanged if it already has the size."""
    if list(values.shape[2:]) == list(lengths):
        return values
    if lengths[1] == 1:  # torch 2.13 fills a one-column image with its first value when resizing the height
        wide = max(2, values.shape[3])
        values = _antialiased(values.expand(-1, -1, -1, wide), [lengths[0], wide], mode)
    return _antialiased(values, lengths, mode)


def _antialiased(values: Tensor, lengths: Sequence[int], mode: str) -> Tensor:
    return functional.interpolate(values, list(lengths), mode=mode, antialias=True, align_corners=False)
