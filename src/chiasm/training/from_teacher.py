"""A student that learns from labels and from what a teacher says of the same patients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from chiasm.objectives.distil import Kind, distillation_loss
from chiasm.protocols import Fused
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.network import Network
from chiasm.training.objective import Objective

OF_CLASSES, OF_TEACHER = "logits of the classes", "logits of the distillation token"


@dataclass(frozen=True)
class TaughtTargets(TargetTensors):
    """Outcomes with the logits of a teacher, `(B, K)`, NaN for a patient of whom it says nothing."""

    teacher: Tensor

    def take(self, rows: np.ndarray) -> Self:
        """Return those of the patients `rows`."""
        index = torch.from_numpy(rows)
        return type(self)(self.value[index], self.event[index], self.teacher[index])

    def to(self, device: str | torch.device) -> Self:
        """Return them on a device."""
        return type(self)(self.value.to(device), self.event.to(device), self.teacher.to(device))

    @classmethod
    def of(cls, parts: Sequence[TargetTensors]) -> Self:
        """Concatenate those of several batches."""
        own = [part.teacher for part in parts if isinstance(part, TaughtTargets)]
        return cls(torch.cat([part.value for part in parts]), torch.cat([part.event for part in parts]), torch.cat(own))


class Distilling(Objective):
    """The loss of distillation, from the logits of the classes and those of the distillation token.

    Epochs are compared by the head's own loss on held-out patients, of whom the teacher says nothing.

    Args:
        kind, alpha, temperature: see `distillation_loss`.
    """

    def __init__(self, kind: Kind, alpha: float, temperature: float) -> None:
        self.kind, self.alpha, self.temperature = kind, alpha, temperature

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the loss as one term."""
        assert isinstance(batch.target, TaughtTargets)
        loss = distillation_loss(
            fused.extras[OF_CLASSES], batch.target.value, batch.target.teacher, kind=self.kind, alpha=self.alpha,
            temperature=self.temperature, distilled=fused.extras[OF_TEACHER],
        )  # fmt: skip
        return {"target": loss}
