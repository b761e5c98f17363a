"""An objective that reads outcomes beside the modalities: what is written of labels teaches, and no head is trained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Objective, mean_over_patients, upon_offset

TaughtLoss = Callable[[Any, Fused, Batch, torch.Generator], dict[str, Tensor]]
"""The fusion, its output, the batch and a generator to named scalar terms."""


class Taught(Objective):
    """Objective of named terms of the fusion's output and of the batch with its outcomes.

    Draws are made as by `Unlabelled`: in training from torch's global generator, on held-out patients the same each
    time.

    Args:
        loss: computes the terms of a batch, each a finite scalar.
        options: whatever the loss depends on, as text: a checkpoint goes on with the same alone.
    """

    def __init__(self, loss: TaughtLoss, options: str = "") -> None:
        self.loss, self.options = loss, options

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the terms of a batch."""
        return self.loss(network.fusion, fused, batch, torch.default_generator)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of the terms, averaged over the batches of held-out patients by their sizes."""
        generator = torch.Generator().manual_seed(0)

        def terms(batch: Batch) -> dict[str, Tensor]:
            return self.loss(network.fusion, upon_offset(network, batch)[1], batch, generator)

        return mean_over_patients(batches, terms)
