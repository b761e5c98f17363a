"""Straight-through: a drawn or a rounded number forwards, the gradient of its mean backwards."""

from __future__ import annotations

import torch
from torch import Tensor


def rounded_down(value: Tensor, least: Tensor, increment: Tensor) -> Tensor:
    """Return `least` plus whole increments, none above `value`; the gradient is that of `value`.

    A pump gives whole increments. An increment of 0 leaves the value as it is.
    """
    whole = torch.floor((value - least) / increment.clamp_min(1e-300) + 1e-9) * increment + least
    return value + (torch.where(increment > 0, whole, value) - value).detach()


def drawn_count(number: Tensor, chance: Tensor, generator: torch.Generator) -> Tensor:
    """Return how many of `number` agents an event strikes, each with this chance: Binomial(number, chance).

    The gradient is that of the mean, `number * chance`, a straight-through estimate. It equals the gradient of the
    expected cost where the cost is linear in the counts; for others it is off by the curvature of the cost over the
    spread of a count, which falls as one over the number of agents.
    """
    mean = number * chance
    with torch.no_grad():
        drawn = torch.binomial(number.round().clamp_min(0), chance.clamp(0, 1), generator=generator)
    return mean + (drawn - mean).detach()
