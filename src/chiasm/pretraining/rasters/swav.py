"""`swav`: one view's share of prototypes, which all are used alike, is told from the other view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.swapped_prediction import swapped_prediction
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.teacher import in_full, projector

WIDTH, PROTOTYPES = 64, 32


class SwappedPrediction(Learner):
    """Swapped prediction: the codes of each view, equally many items to each prototype, are told from the other view.

    Scores are products of unit projections with unit prototypes, which are brought to unit length after each step.

    Source: Caron et al., SwAV, NeurIPS 2020, arXiv:2006.09882. Deviations: two views and no smaller crops, and 32
    prototypes without a queue, as a step has at least as many items; prototypes learn from the first step on.
    """

    views = 2
    strong = True

    def __init__(self, network: RasterNetwork) -> None:
        super().__init__()
        width = network.config.width
        self.network, self.project = network, projector(width, width, WIDTH)
        self.prototypes = nn.Parameter(functional.normalize(torch.randn(PROTOTYPES, WIDTH), dim=1))

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Swap the codes of both views."""
        projected = [self.compared(view) for view in views]
        with in_full(*projected):
            return swapped_prediction([own @ self.prototypes.T for own in projected])

    def compared(self, x: Tensor) -> Tensor:
        """Return the projections, of unit length."""
        return functional.normalize(self.project(self.network.summary(x)).float(), dim=1)

    def stepped(self, done: float) -> None:
        """Bring the prototypes to unit length."""
        with torch.no_grad():
            self.prototypes.copy_(functional.normalize(self.prototypes, dim=1))


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> SwappedPrediction:
    """Make the learner; its heads are drawn from torch's global generator, which the caller seeds."""
    return SwappedPrediction(network)
