"""Contrasts of an image of which a patient may lack any: what is there, and the mean of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor


def those_present(
    names: Sequence[str], images: Mapping[str, Tensor], present: Tensor
) -> Iterator[tuple[int, Tensor, Tensor]]:
    """Yield of each contrast that somebody has its place, who has it `(B, 1, ...)`, and its images, else zeros.

    Args:
        names: of the contrasts, sorted.
        images: contrast to `(B, C, ...)`; where it is absent whatever stands there is not read.
        present: `(B, M)` bool.

    Raises:
        ValueError: nobody has any.
    """
    if not any(name in images and bool(present[:, m].any()) for m, name in enumerate(names)):
        raise ValueError("no contrast is present: there is nothing to draw in")
    for m, name in enumerate(names):
        if name in images and bool(present[:, m].any()):
            image = images[name]
            here = present[:, m].view(-1, *[1] * (image.ndim - 1))
            yield m, here, only(here, image)


def only(here: Tensor, values: Tensor) -> Tensor:
    """The values of those who have a contrast, zeros of the others, whatever stands there."""
    return torch.where(here, values, torch.zeros((), dtype=values.dtype, device=values.device))


def mean_of(parts: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Mean over the contrasts that each patient has: `sum_m g_m x_m / sum_m g_m`; of one alone it is this one's own.

    Args:
        parts: of each contrast who has it `(B, 1, ...)` bool, and values `(B, D, ...)`.
    """
    total, many = only(*parts[0]), parts[0][0].to(parts[0][1].dtype)
    for here, values in parts[1:]:
        total, many = total + only(here, values), many + here.to(values.dtype)
    return total / many.clamp_min(1)
