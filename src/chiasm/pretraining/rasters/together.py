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


class MixedPrecision(Together):
    """Matrix products and convolutions in bfloat16, weights and what is added up in float32."""

    def __init__(self, device: str) -> None:
        self.device = device.partition(":")[0]

    def precise(self) -> AbstractContextManager[Any]:
        """Return torch's context of automatic mixed precision."""
        return torch.autocast(self.device, dtype=torch.bfloat16)


def alone(precision: str, device: str) -> Together:
    """Return how a step runs in this process alone, in precision "32" or "bf16"."""
    return MixedPrecision(device) if precision == "bf16" else Together()
