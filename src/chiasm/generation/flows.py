"""Straight flows from noise to values: a network says the velocity, and Euler steps follow it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chiasm.generation.diffusion import Predict


def flow_point(x0: Tensor, share: Tensor, noise: Tensor) -> Tensor:
    """Where the straight path from values to noise is: `(1 - s) x_0 + s e`, s `(B,)` from 0, values, to 1, noise.

    Source: Lipman et al. 2023 (arXiv 2210.02747); Liu et al. 2023 (arXiv 2209.03003); signs as in MONAI's RFlow.
    """
    s = _as(share, x0)
    return (1 - s) * x0 + s * noise


def flow_target(x0: Tensor, noise: Tensor) -> Tensor:
    """The velocity towards the values, which the network is to say: `x_0 - e` wherever the path is."""
    return x0 - noise


def euler(predict: Predict, noise: Tensor, *, steps: int, condition: Any = None) -> Tensor:
    """Follow the velocity from noise `(B, ...)` to values in steps of equal length; the network is told s `(B,)`.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"{steps} steps lead nowhere: give one or more")
    x = noise
    for k in range(steps):
        share = torch.full((len(x),), 1 - k / steps, dtype=x.dtype, device=x.device)
        x = x + predict(x, share, condition) / steps
    return x


def _as(share: Tensor, like: Tensor) -> Tensor:
    return share.to(like).reshape(-1, *[1] * (like.ndim - 1))
