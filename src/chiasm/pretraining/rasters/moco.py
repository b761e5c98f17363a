"""`moco`: a view is told its item's other view, as a slow copy of the network sees it, from items of earlier steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.two_views import batch_contrast, queue_contrast
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.teacher import follow, in_full, momentum_at, projector, teacher_of

WIDTH, QUEUE = 64, 512
MOMENTUM, TEMPERATURE = 0.99, 0.2


class Queue(nn.Module):
    """The last keys, of unit length, at most `length` of them: what was never filled in is never read."""

    keys: Tensor
    filled: Tensor
    place: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("keys", torch.zeros(length, width))
        self.register_buffer("filled", torch.zeros((), dtype=torch.int64))
        self.register_buffer("place", torch.zeros((), dtype=torch.int64))

    def read(self) -> Tensor:
        """Return the keys that were filled in, `(N, D)`."""
        return self.keys[: int(self.filled)].clone()

    def add(self, keys: Tensor) -> None:
        """Put in keys `(B, D)` for the oldest ones, of more than its length the last."""
        length = len(self.keys)
        own = functional.normalize(keys.detach()[-length:], dim=1)
        places = (int(self.place) + torch.arange(len(own), device=own.device)) % length
        self.keys.index_copy_(0, places, own.to(self.keys))
        self.place.fill_((int(self.place) + len(own)) % length)
        self.filled.fill_(min(length, int(self.filled) + len(own)))


class MomentumContrast(Learner):
    """Momentum contrast: InfoNCE of one view's query with the other's key, among the keys of earlier steps.

    The key network is a mean of the query network over its steps, `m` from 0.99 to 1 by a cosine. Keys enter the queue
    after the step that made them. Held-out items are told from those of their own batch, so that their loss does not
    depend on how full the queue is.

    Source: He et al., MoCo, CVPR 2020, arXiv:1911.05722, with the projection and temperature of MoCo v2, Chen et al.,
    arXiv:2003.04297. Deviations: a queue of 512, momentum of 0.99 that rises, batch norm in the projection; batch norm
    is not shuffled, which needs several devices.
    """

    views = 2
    strong = True

    def __init__(self, network: RasterNetwork, queue: int = QUEUE) -> None:
        super().__init__()
        width = network.config.width
        self.network, self.project = network, projector(width, width, WIDTH)
        self.key_network, self.key_project = teacher_of(network), teacher_of(self.project)
        self.queue = Queue(queue, WIDTH)
        self._keys: Tensor | None = None

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Contrast the first views with the second ones."""
        query = self.project(self.network.summary(views[0])).float()
        with torch.no_grad():
            keys = self.key_project(self.key_network.summary(views[1])).float()
        with in_full(query):
            if not self.training:
                return batch_contrast(query, keys, TEMPERATURE)
            self._keys = keys
            return queue_contrast(query, keys, self.queue.read(), TEMPERATURE)

    def compared(self, x: Tensor) -> Tensor:
        """Return the projections, of unit length."""
        return functional.normalize(self.project(self.network.summary(x)), dim=1)

    def stepped(self, done: float) -> None:
        """Move the key network, and put the keys of the step into the queue."""
        momentum = momentum_at(done, MOMENTUM)
        follow(self.key_network, self.network, momentum)
        follow(self.key_project, self.project, momentum)
        if self._keys is not None:
            self.queue.add(self._keys)
            self._keys = None


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> MomentumContrast:
    """Make the learner; its projection is drawn from torch's global generator, which the caller seeds."""
    return MomentumContrast(network)
