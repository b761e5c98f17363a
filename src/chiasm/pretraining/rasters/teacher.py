"""Teachers of self-supervised methods: a copy of what learns, which follows it slowly and has no gradient."""

from __future__ import annotations

import copy
import math
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

Module = TypeVar("Module", bound=nn.Module)


def teacher_of(student: Module) -> Module:
    """Return a copy that is not trained."""
    return copy.deepcopy(student).requires_grad_(False)


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every parameter of the teacher in place: `m theta_teacher + (1 - m) theta_student`."""
    for own, learned in zip(teacher.parameters(), student.parameters(), strict=True):
        own.lerp_(learned.to(own), 1.0 - momentum)


def momentum_at(done: float, first: float) -> float:
    """Return the momentum when a share `done` of the training is over: `1 - (1 - first) (1 + cos(pi done)) / 2`.

    Source: Grill et al., BYOL (NeurIPS 2020), arXiv 2006.07733, section 3.2; DINO has the same.
    """
    return 1.0 - (1.0 - first) * (1.0 + math.cos(math.pi * min(max(done, 0.0), 1.0))) / 2.0


def in_full(*tensors: Tensor) -> AbstractContextManager[Any]:
    """Return a context in which products are in full precision, also where the network runs in mixed precision.

    Cosines that are divided by a temperature of 0.05 lose their order in sixteen bits.
    """
    return torch.autocast(tensors[0].device.type, enabled=False)


class StepNorm(nn.BatchNorm1d):
    """Batch norm over the rows of a step `(B, D)`; a step of one row is normalised as one that is held out."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise each column."""
        if self.training and len(input) < 2:
            return functional.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
            )
        return super().forward(input)


def projector(width: int, hidden: int, out: int) -> nn.Sequential:
    """Return `Linear, batch norm, ReLU, Linear`, from the network's width to that of what is compared."""
    return nn.Sequential(nn.Linear(width, hidden), StepNorm(hidden), nn.ReLU(), nn.Linear(hidden, out))
