"""The balance of several labels as the objective of a training: MFTCoder's means, focal losses, CoBa's weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.balance import balanced_loss, losses_of_tasks
from chiasm.objectives.coba import CoBa, CoBaState
from chiasm.objectives.focal import focal
from chiasm.protocols import Fused


class TaskBalance:
    """The loss of several labels, each a task, over the cells whose label is known.

    Args:
        mode: "token" the mean over cells, "sample" over patients of each one's own mean, "task" over labels.
        focus: "none", or focal by "sample" or by "task".
        gamma: of the focal loss.
        coba: weights of the tasks from the slopes of their held-out losses; None for equal ones.
    """

    def __init__(self, mode: str, focus: str, gamma: float, coba: CoBa | None) -> None:
        self.mode, self.focus, self.gamma, self.coba = mode, focus, gamma, coba
        self.memory: CoBaState | None = None if coba is None else coba.start()

    @property
    def weights(self) -> Tensor | None:
        """`(K,)` of CoBa now, summing to 1; None for equal ones."""
        if self.coba is None or self.memory is None:
            return None
        return torch.from_numpy(self.coba.weights(self.memory))

    def loss(self, link: Tensor, fused: Fused, value: Tensor, event: Tensor) -> Tensor:
        """The weighted mean of the known cells of `(B, K)`."""
        losses, known = _cells(link, value)
        if self.focus != "none":
            losses = focal(losses, known, self.gamma, by=self.focus)
        return self._mean(losses, known, self.weights)

    def validated(self, link: Tensor, value: Tensor, event: Tensor) -> float:
        """The mean without weights and focus, which change from epoch to epoch; CoBa sees each task's own."""
        losses, known = _cells(link, value)
        if self.coba is not None and self.memory is not None:
            own = losses_of_tasks(losses.T.reshape(-1), known.T.reshape(-1), _tasks(losses), losses.shape[1])
            self.memory = self.coba.after(self.memory, own)
        return float(self._mean(losses, known, None))

    def state(self) -> Any:
        """What CoBa remembers."""
        return self.memory

    def restore(self, state: Any) -> None:
        """Go on from what it remembered."""
        self.memory = state

    def _mean(self, losses: Tensor, known: Tensor, weights: Tensor | None) -> Tensor:
        if self.mode == "task":  # a cell is a sample of its task with one token
            return balanced_loss(losses.T.reshape(-1), known.T.reshape(-1), _tasks(losses), "task-tokens", weights)
        patients = torch.zeros(len(losses), dtype=torch.long, device=losses.device)
        return balanced_loss(losses, known, patients, "tokens" if self.mode == "token" else "rows")


def _cells(link: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """The binary cross entropy of each cell, `(B, K)`, 0 where the label is missing, and which are known."""
    known = ~torch.isnan(value)
    losses = functional.binary_cross_entropy_with_logits(link, torch.where(known, value, 0.0), reduction="none")
    return torch.where(known, losses, 0.0), known


def _tasks(losses: Tensor) -> Tensor:
    """The task of each cell, label after label."""
    return torch.arange(losses.shape[1], device=losses.device).repeat_interleave(len(losses))
