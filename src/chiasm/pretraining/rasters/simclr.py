"""`simclr`: two views of an item are found among all others of the step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.two_views import nt_xent
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.teacher import in_full

WIDTH = 64  # of what is compared
TEMPERATURE = 0.2


class TwoViews(Learner):
    """Contrast of two views, on a projection of the mean state that is dropped afterwards.

        L = - mean over the 2 B views i of log softmax_{j != i} (<z_i, z_j> / t) at the other view of i's item

    Args:
        joined: given what stands beside the items, which of them belong together, `(B, B)`; None: each to itself alone.

    Source: Chen et al., SimCLR, ICML 2020, arXiv:2002.05709, NT-Xent.
    """

    views = 2
    strong = True

    def __init__(
        self,
        network: RasterNetwork,
        temperature: float = TEMPERATURE,
        joined: Callable[[Mapping[str, Tensor]], Tensor] | None = None,
    ) -> None:
        super().__init__()
        width = network.config.width
        self.network, self.temperature, self.joined = network, temperature, joined
        self.project = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, WIDTH))

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Compare the views of a step."""
        one, other = self.project(self.network.summary(torch.cat(views))).chunk(2)  # (B, 64) each
        joined = None if self.joined is None else self.joined(beside)
        with in_full(one):
            return nt_xent(one.float(), other.float(), self.temperature, joined)

    def compared(self, x: Tensor) -> Tensor:
        """Return the projections, of unit length."""
        return functional.normalize(self.project(self.network.summary(x)), dim=1)


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> TwoViews:
    """Make the learner; its projection is drawn from torch's global generator, which the caller seeds."""
    return TwoViews(network)
