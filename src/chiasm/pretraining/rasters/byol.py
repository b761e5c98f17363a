"""`byol`: from one view it is predicted how a slow copy of the network sees the other one; nothing is told apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.two_views import cosine_regression
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.teacher import follow, momentum_at, projector, teacher_of

WIDTH, MOMENTUM = 64, 0.99


class OwnLatent(Learner):
    """Bootstrap your own latent: `L = (d(q(z_1), z'_2) + d(q(z_2), z'_1)) / 2`, d the squared distance of unit vectors.

    z is the projection of a view by the network, z' by its teacher, which follows it and has no gradient; the predictor
    q is there on the network's side alone. A loss of zero is reached by one point for all: predictor, stopped gradient
    and slow teacher avoid it, and whether they did is told by how far projections differ (`compared`), not by the loss.

    Source: Grill et al., NeurIPS 2020, arXiv:2006.07733. Deviations: the mean of both directions and not their sum, and
    a momentum that begins at 0.99 and not 0.996, as the trainings are short.
    """

    views = 2
    strong = True

    def __init__(self, network: RasterNetwork) -> None:
        super().__init__()
        width = network.config.width
        self.network, self.project = network, projector(width, 2 * width, WIDTH)
        self.predict = projector(WIDTH, 2 * width, WIDTH)
        self.teacher, self.teacher_project = teacher_of(network), teacher_of(self.project)

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Predict each view's target from the other."""
        said = [self.predict(self.project(self.network.summary(view))).float() for view in views]
        with torch.no_grad():
            targets = [self.teacher_project(self.teacher.summary(view)).float() for view in views]
        return (cosine_regression(said[0], targets[1]) + cosine_regression(said[1], targets[0])) / 2

    def compared(self, x: Tensor) -> Tensor:
        """Return the projections, of unit length."""
        return functional.normalize(self.project(self.network.summary(x)), dim=1)

    def stepped(self, done: float) -> None:
        """Move the teacher."""
        momentum = momentum_at(done, MOMENTUM)
        follow(self.teacher, self.network, momentum)
        follow(self.teacher_project, self.project, momentum)


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> OwnLatent:
    """Make the learner; its heads are drawn from torch's global generator, which the caller seeds."""
    return OwnLatent(network)
