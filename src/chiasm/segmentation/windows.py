"""Windows of images: where they are cut out in training, and how those that slide over an image are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

OVERLAP = 0.5
SPREAD = 0.125
"""Deviation of the weight of a window's logits about its middle, in its sides; nnU-Net's."""
FOREGROUND = 0.5
"""Chance that a window in training is cut about a pixel that has a label."""
Part = tuple[slice, ...]


def drawn_window(codes: Tensor, window: Sequence[int]) -> Part:
    """Where to cut a window out of a map of codes: about a pixel of a label that is drawn at random, or anywhere.

    Labels are drawn first, each alike, so that a small one is met as often as a large one. A window that would reach
    over the image's edge is moved into it; one larger than the image is as large as the image.
    """
    middle = [int(torch.randint(side, ())) for side in codes.shape]
    if float(torch.rand(())) < FOREGROUND:
        labels = torch.unique(codes)
        labels = labels[labels > 0]
        if len(labels):
            places = (codes == labels[int(torch.randint(len(labels), ()))]).nonzero()
            middle = places[int(torch.randint(len(places), ()))].tolist()
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


def sliding(shape: Sequence[int], window: Sequence[int]) -> list[Part]:
    """Windows that cover an image, each overlapping the next by half at least; one where the image is no larger."""
    starts = []
    for side, wide in zip(shape, window, strict=True):
        last = max(0, side - wide)
        step = max(1, int(wide * (1 - OVERLAP)))
        steps = -(-last // step)
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
    weight = torch.ones(())
    for axis, wide in enumerate(window):
        kept = min(wide, shape[axis])
        bell = torch.exp(-0.5 * ((torch.arange(kept) - (kept - 1) / 2) / (SPREAD * wide)) ** 2)
        weight = weight[..., None] * bell
    weight = weight.clamp_min(1e-4)
    total, above = torch.zeros(()), torch.zeros(tuple(shape))
    for place, part in enumerate(parts):
        own = logits(part).cpu()
        if not place:
            total = own.new_zeros((len(own), *shape))
        total[(slice(None), *part)] += own * weight
        above[part] += weight
    return total / above
