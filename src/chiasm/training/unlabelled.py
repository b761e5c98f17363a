"""Objectives that read no target: losses of what a fusion hands over, of the modalities and not of the outcome."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from chiasm.protocols import Fused
from chiasm.training.examples import Batch
from chiasm.training.network import Network
from chiasm.training.objective import Objective, mean_over_patients, upon_offset

UnlabelledLoss = Callable[[Any, Fused, Tensor, torch.Generator], dict[str, Tensor]]
"""The fusion, its output, `present` `(B, M)` bool and a generator to named scalar terms."""


class Unlabelled(Objective):
    """Objective of named terms that are computed from the fusion's output alone.

    In training a loss draws from torch's global generator, which the training seeds and its checkpoint holds; on the
    held-out patients from one that is seeded anew each time, so that all epochs are compared by the same draws.

    Args:
        loss: computes the terms of a batch, each a finite scalar.
        options: whatever the loss depends on, as text: a checkpoint goes on with the same alone.
    """

    def __init__(self, loss: UnlabelledLoss, options: str = "") -> None:
        self.loss, self.options = loss, options

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return the terms of a batch."""
        return self.loss(network.fusion, fused, batch.present, torch.default_generator)

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the sum of the terms, averaged over the batches of held-out patients by their sizes."""
        generator = torch.Generator().manual_seed(0)

        def terms(batch: Batch) -> dict[str, Tensor]:
            return self.loss(network.fusion, upon_offset(network, batch)[1], batch.present, generator)

        return mean_over_patients(batches, terms)
