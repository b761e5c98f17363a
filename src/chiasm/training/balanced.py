"""The head's loss with each class counted as much as the others, however many patients it has."""

from __future__ import annotations

from torch import Tensor

from chiasm.objectives.weighted import (
    balanced_label_weights,
    balanced_weights,
    weighted_cross_entropy,
    weighted_label_entropy,
)
from chiasm.protocols import Fused
from chiasm.training.examples import Batch, TargetTensors
from chiasm.training.network import Network
from chiasm.training.objective import Objective


class Balanced(Objective):
    """Weighted cross entropy, of classes or of labels, with the balanced weights of the training patients.

    Epochs are compared by the same loss.

    Args:
        value: `(n,)` codes of classes or `(n, K)` labels of the patients who are trained on, NaN for none.
        outputs: K.
    """

    def __init__(self, value: Tensor, outputs: int) -> None:
        self.labels = value.ndim == 2
        self.weights = balanced_label_weights(value) if self.labels else balanced_weights(value, outputs)

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the weighted loss of the target."""
        return {"target": self._loss(link, batch.target.value)}

    def validated(self, network: Network, link: Tensor, target: TargetTensors) -> float:
        """Return the weighted held-out loss."""
        return float(self._loss(link, target.value))

    def _loss(self, link: Tensor, value: Tensor) -> Tensor:
        loss = weighted_label_entropy if self.labels else weighted_cross_entropy
        return loss(link, value, self.weights.to(link.device))
