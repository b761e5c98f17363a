"""Windows of images: where they are cut out in training, and how those that slide over an image are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from chiasm.cohort import Unsupported
from chiasm.segmentation.parts import DrawnMap, Part, listed

OVERLAP = 0.5
SPREAD = 0.125
"""Deviation of the weight of a window's logits about its middle, in its sides; nnU-Net's."""
MOST_WINDOWS = 1 << 20
"""Windows that slide over one image."""
FOREGROUND = 0.5
"""Chance that a window in training is cut about a pixel that has a label."""


def drawn_window(codes: DrawnMap, window: Sequence[int]) -> Part:
    """Where to cut a window out of a label map: about a pixel of a label that is drawn at random, or anywhere.

    Labels are drawn first, each alike, so that a small one is met as often as a large one. A window that would reach
    over the image's edge is moved into it; one larger than the image is as large as the image.
    """
    middle = tuple(int(torch.randint(side, ())) for side in codes.shape)
    if float(torch.rand(())) < FOREGROUND:
        middle = codes.drawn_place() or middle
    parts = []
    for at, side, wide in zip(middle, codes.shape, window, strict=True):
        kept = min(side, wide)
        start = min(max(at - kept // 2, 0), side - kept)
        parts.append(slice(start, start + kept))
    return tuple(parts)


def padded(values: Tensor, window: Sequence[int], value: float) -> Tensor:
    """Fill `(C, ...)` up behind each axis to the sides of a window."""
    missing = [max(0, wide - side) for side, wide in zip(values.shape[1:], window, strict=True)]
    if not any(missing):
        return values
    return functional.pad(values, [own for side in reversed(missing) for own in (0, side)], value=value)


def unpadded(values: Tensor, sides: Sequence[int]) -> Tensor:
    """Cut `(C, ...)` that were filled up behind each axis to their sides."""
    return values[(slice(None), *(slice(0, side) for side in sides))]


def sliding(shape: Sequence[int], window: Sequence[int], overlap: float = OVERLAP) -> list[Part]:
    """Windows that cover an image, each overlapping the next by a share at least; one where the image is no larger.

    Raises:
        Unsupported: they are more than `MOST_WINDOWS`.
    """
    starts, many = [], 1
    for side, wide in zip(shape, window, strict=True):
        last = max(0, side - wide)
        step = max(1, int(wide * (1 - overlap)))
        steps = -(-last // step)
        if (many := many * (steps + 1)) > MOST_WINDOWS:
            raise Unsupported(
                f"an image of {listed(shape)} pixels would be read in over {MOST_WINDOWS:,} windows of "
                f"{listed(window)}: fit a model of larger windows, or of a coarser plan"
            )
        starts.append(sorted({round(k * last / max(steps, 1)) for k in range(steps + 1)}))
    return [tuple(slice(a, a + w) for a, w in zip(start, window, strict=True)) for start in product(*starts)]


def stitched(logits: Callable[[Part], Tensor], shape: Sequence[int], window: Sequence[int]) -> Tensor:
    """Logits `(K + 1, ...)` of a whole image, those of its windows averaged by a Gaussian about each one's middle.

    Args:
        logits: gives those of a part of the image, `(K + 1, ...)`.
    """
    parts = sliding(shape, window)
    if len(parts) == 1:
        return logits(tuple(slice(0, side) for side in shape))
    weight = bells(shape, window)
    total, above = torch.zeros(()), torch.zeros(tuple(shape))
    for place, part in enumerate(parts):
        own = logits(part).cpu()
        if not place:
            total = own.new_zeros((len(own), *shape))
        total[(slice(None), *part)] += own * weight
        above[part] += weight
    return total / above


def drawn_codes(logits: Callable[[Part], Tensor], shape: Sequence[int], window: Sequence[int]) -> NDArray[np.integer]:
    """Codes of the largest logits of a whole image, as of `stitched`, of which no more is held than windows in a row.

    Args:
        logits: gives those of a part of the image, `(K + 1, ...)`.
    """
    parts, weight = sliding(shape, window), bells(shape, window)
    deep, rest = min(window[0], shape[0]), tuple(shape[1:])
    found: NDArray[np.integer] | None = None
    total, first = torch.zeros(()), 0
    for part in parts:
        own = logits(part).cpu()
        if found is None:
            found = np.zeros(tuple(shape), dtype=np.uint8 if len(own) <= 256 else np.uint16)
            total = own.new_zeros((len(own), deep, *rest))
        if done := part[0].start - first:
            found[first : part[0].start] = total[:, :done].argmax(0).numpy()
            for place in range(deep):  # slice by slice, so that there is no second one
                total[:, place] = total[:, place + done] if place + done < deep else 0.0
            first = part[0].start
        total[(slice(None), slice(0, deep), *part[1:])] += own * weight
    if found is None:
        raise ValueError("there is no window to draw in")
    found[first:] = total.argmax(0).numpy()
    return found


def bells(shape: Sequence[int], window: Sequence[int]) -> Tensor:
    """Weights of the logits of a window: a Gaussian about its middle."""
    weight = torch.ones(())
    for side, wide in zip(shape, window, strict=True):
        kept = min(wide, side)
        bell = torch.exp(-0.5 * ((torch.arange(kept) - (kept - 1) / 2) / (SPREAD * wide)) ** 2)
        weight = weight[..., None] * bell
    return weight.clamp_min(1e-4)
