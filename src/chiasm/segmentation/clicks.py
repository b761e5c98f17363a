"""Simulated clicks: where somebody who corrects a mask clicks next, which is always where it is wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.segmentation.clicked import Click

Mask = NDArray[np.bool_]


def next_click(truth: Mask, drawn: Mask) -> tuple[tuple[int, ...], bool] | None:
    """The next click of one who corrects `drawn`, and whether it is inside; None where nothing is wrong.

    It lies in the largest part that hangs together of what is missed or of what is too much, at the pixel that is
    farthest from its edge; of several such the first. The image's border counts as an edge.

    Args:
        truth, drawn: `(H, W)` or `(D, H, W)`.
    """
    from scipy import ndimage  # type: ignore[import-untyped]

    best: tuple[int, Mask, bool] | None = None
    for wrong, inside in ((truth & ~drawn, True), (drawn & ~truth, False)):
        parts, many = ndimage.label(wrong)
        if not many:
            continue
        sizes = np.bincount(parts.reshape(-1))[1:]
        largest = int(sizes.argmax())
        if best is None or int(sizes[largest]) > best[0]:
            best = int(sizes[largest]), parts == largest + 1, inside
    if best is None:
        return None
    _, part, inside = best
    around = ndimage.distance_transform_edt(np.pad(part, 1))[tuple(slice(1, -1) for _ in part.shape)]
    place = np.unravel_index(int(np.argmax(around)), part.shape)
    return tuple(int(own) for own in place), inside


def corrected_by(truth: NDArray[np.integer], drawn: NDArray[np.integer], labels: Sequence[str]) -> list[Click]:
    """One click for each label that is wrong somewhere, in the order of the labels; see `next_click`.

    Args:
        truth, drawn: maps of codes, 0 where there is no label.
    """
    found = []
    for code, label in enumerate(labels, 1):
        own = next_click(truth == code, drawn == code)
        if own is not None:
            found.append(Click(tuple(map(float, own[0])), own[1], label))
    return found


def drawn_clicks(truth: Tensor, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A pixel at random where each of several masks is wrong: its place, whether it is inside, and if there is one.

    Args:
        truth, drawn: `(N, ...)` bool, over two or three axes.

    Returns:
        places `(N, axes)` float, inside `(N,)` bool, there `(N,)` bool; where nothing is wrong the place is the first.
    """
    wrong = (truth != drawn).flatten(1)
    there = wrong.any(1)
    weights = wrong.float()
    weights[~there, 0] = 1.0
    flat = drawn_of(weights)
    places = torch.stack(torch.unravel_index(flat, truth.shape[1:]), 1).float()
    return places, truth.flatten(1).gather(1, flat[:, None])[:, 0], there


def drawn_of(weights: Tensor) -> Tensor:
    """A column of each row `(N, P)`, drawn by its weight; any number of columns, where torch's own takes 2^24."""
    steps = weights.double().cumsum(1)
    at = torch.rand(len(weights), 1, dtype=torch.float64).to(steps.device) * steps[:, -1:]
    found = torch.searchsorted(steps, at, right=True)[:, 0].clamp(max=weights.shape[1] - 1)
    return torch.where(weights.gather(1, found[:, None])[:, 0] > 0, found, weights.argmax(1))
