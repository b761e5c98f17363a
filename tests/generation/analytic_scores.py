"""What a perfect network would say of Gaussian values, so that edits have known answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from chiasm.generation.diffusion import Predict, Schedule


def gaussian(schedule: Schedule, deviation: float) -> Predict:
    """The expected noise where values are `N(c, deviation^2)` given condition c `(C,)` or as x in shape, `N(0, ...)`
    without one: `sqrt(1 - a) (x - sqrt(a) c) / (a deviation^2 + 1 - a)`.
    """

    def predict(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
        a = schedule.at(t, x)
        mean = torch.zeros_like(x) if condition is None else condition
        return (1 - a).sqrt() * (x - a.sqrt() * mean) / (a * deviation**2 + 1 - a)

    return predict


def two_lumps(schedule: Schedule, deviation: float) -> Predict:
    """The expected noise where each value is `N(+1, ...)` or `N(-1, ...)` as often: not linear in x."""

    def predict(x: Tensor, t: Tensor, condition: Any, /) -> Tensor:
        a = schedule.at(t, x)
        variance = a * deviation**2 + 1 - a
        return (1 - a).sqrt() * (x - a.sqrt() * torch.tanh(a.sqrt() * x / variance)) / variance

    return predict
