"""How a step of a pretraining runs: in which precision, and in one process or shared by several."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from chiasm.pretraining.rasters.learner import Learner


class Together:
    """A step in this process alone and in full precision, unless a subclass says otherwise.

    Attributes:
        index, processes: which of how many processes this is, each of which runs a part of every step.
    """

    index: int = 0
    processes: int = 1

    def loss(self, learner: Learner, *given: Any) -> Tensor:
        """Run the learner; with several processes the gradients are averaged in the backward pass."""
        found: Tensor = learner(*given)
        return found

    def total(self, value: float) -> float:
        """Return the sum of a number over all processes."""
        return value

    def precise(self) -> AbstractContextManager[Any]:
        """Return the context in which the learner runs in training."""
        return nullcontext()


class Precise(Together):
    """A step in this process alone, in a precision of "32" or "bf16"."""

    def __init__(self, precision: str, device: str) -> None:
        self.precision, self.device = precision, device

    def precise(self) -> AbstractContextManager[Any]:
        """Return the context in which the learner runs in training."""
        return precise_in(self.precision, self.device)


def precise_in(precision: str, device: str) -> AbstractContextManager[Any]:
    """Return the context of a precision: of "bf16", products in bfloat16, weights and sums in float32."""
    if precision == "bf16":
        return torch.autocast(device.partition(":")[0], dtype=torch.bfloat16)
    return nullcontext()
