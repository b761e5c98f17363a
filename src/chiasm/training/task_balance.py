"""Training objective that balances several labels: MFTCoder's mean losses, focal losses and CoBa weights."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.balance import balanced_loss, losses_of_tasks
from chiasm.objectives.coba import CoBa, CoBaState
from chiasm.objectives.focal import focal
from chiasm.protocols import Fused
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.network import Network
from chiasm.training.objective import Objective


class TaskBalance(Objective):
    """Balanced loss of several labels, each a task, over the cells whose label is known.

    Args:
        mode: "token": mean over cells; "sample": mean over patients of each one's mean; "task": mean over labels.
        focus: "none", or a focal loss by "sample" or by "task".
        gamma: exponent of the focal loss.
        coba: sets the task weights from the slopes of their held-out losses; None: equal weights.
    """

    def __init__(self, mode: str, focus: str, gamma: float, coba: CoBa | None) -> None:
        self.mode, self.focus, self.gamma, self.coba = mode, focus, gamma, coba
        self.memory: CoBaState | None = None if coba is None else coba.start()

    @property
    def weights(self) -> Tensor | None:
        """Current CoBa weights `(K,)`, summing to 1; None for equal weights."""
        if self.coba is None or self.memory is None:
            return None
        return torch.from_numpy(self.coba.weights(self.memory))

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the weighted mean loss over the known cells of `(B, K)`."""
        losses, known = _cells(link, batch.target.value)
        if self.focus != "none":
            losses = focal(losses, known, self.gamma, by=self.focus)
        return {"target": self._mean(losses, known, self.weights)}

    def validated(self, network: Network, link: Tensor, target: TargetTensors) -> float:
        """Return the mean loss without weights and focus, which vary by epoch; update CoBa with each task's loss."""
        losses, known = _cells(link, target.value)
        if self.coba is not None and self.memory is not None:
            own = losses_of_tasks(losses.T.reshape(-1), known.T.reshape(-1), _tasks(losses), losses.shape[1])
            self.memory = self.coba.after(self.memory, own)
        return float(self._mean(losses, known, None))

    def state(self) -> Any:
        """Return CoBa's state."""
        return self.memory

    def restore(self, state: Any) -> None:
        """Restore CoBa's state."""
        self.memory = state

    def _mean(self, losses: Tensor, known: Tensor, weights: Tensor | None) -> Tensor:
        if self.mode == "task":  # each cell is a sample, of one token, of its task
            return balanced_loss(losses.T.reshape(-1), known.T.reshape(-1), _tasks(losses), "task-tokens", weights)
        patients = torch.zeros(len(losses), dtype=torch.long, device=losses.device)
        return balanced_loss(losses, known, patients, "tokens" if self.mode == "token" else "rows")


def _cells(link: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Return the binary cross entropy of each cell `(B, K)`, 0 where the label is missing, and the known cells."""
    known = ~torch.isnan(value)
    losses = functional.binary_cross_entropy_with_logits(link, torch.where(known, value, 0.0), reduction="none")
    return torch.where(known, losses, 0.0), known


def _tasks(losses: Tensor) -> Tensor:
    """Return the task index of each cell, label by label."""
    return torch.arange(losses.shape[1], device=losses.device).repeat_interleave(len(losses))
