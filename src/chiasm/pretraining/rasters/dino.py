"""`dino`: all views of an item, also parts of it, choose among outputs as a slow copy of the network does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from chiasm.encoders.raster.conv_net import ConvNet
from chiasm.encoders.raster.network import RasterNetwork
from chiasm.objectives.self_distillation import moved_centre, self_distillation
from chiasm.pretraining.rasters.draws import uniform
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.teacher import follow, in_full, momentum_at, teacher_of

OUTPUTS, BOTTLENECK = 256, 64
MOMENTUM, CENTRE_MOMENTUM, TEACHER_TEMPERATURE = 0.99, 0.9, 0.04
PARTS = 2  # views of which the student reads a part


class ChoiceHead(nn.Module):
    """Three layers with GELU to a unit vector, and its products with K unit vectors."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 2 * width
        self.layers = nn.Sequential(
            nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, BOTTLENECK)
        )
        self.outputs = nn.Parameter(torch.randn(OUTPUTS, BOTTLENECK))

    def forward(self, summary: Tensor) -> Tensor:
        """Map `(B, D)` to `(B, K)`."""
        own = functional.normalize(self.layers(summary).float(), dim=1)
        with in_full(own):
            return own @ functional.normalize(self.outputs, dim=1).T


class SelfDistillation(Learner):
    """Self-distillation without labels: the student's choices of every view approach the teacher's of another one.

    The teacher reads two views whole, the student these and blocks of half the length of two more; a transformer reads
    the patches of a block alone, at their places, a convolution the block as it is cut out. Outputs of the teacher are
    centred by their running mean and sharpened.

    Args:
        centre_momentum: of the running mean; 1 leaves centring out, and all choices become one.

    Source: Caron et al., DINO, ICCV 2021, arXiv:2104.14294. Deviations: 256 outputs; blocks are not enlarged; the
    summary is the mean state and not the class token; no weight decay schedule, no frozen last layer; momentum
    from 0.99.
    """

    views = 2 + PARTS
    strong = True
    centre: Tensor

    def __init__(self, network: RasterNetwork, centre_momentum: float = CENTRE_MOMENTUM) -> None:
        super().__init__()
        self.network, self.head = network, ChoiceHead(network.config.width)
        self.teacher, self.teacher_head = teacher_of(network), teacher_of(self.head)
        self.centre_momentum = centre_momentum
        self.register_buffer("centre", torch.zeros(OUTPUTS))
        self._told: list[Tensor] = []

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Compare the student's choices with the teacher's."""
        whole, parts = views[:2], views[2:]
        student = [self.head(self.network.summary(view)) for view in whole]
        student += [self.head(summary_of_block(self.network, view, generator)) for view in parts]
        with torch.no_grad():
            teacher = [self.teacher_head(self.teacher.summary(view)) for view in whole]
        if self.training:
            self._told = teacher
        return self_distillation(student, teacher, self.centre, teacher_temperature=TEACHER_TEMPERATURE)

    def compared(self, x: Tensor) -> Tensor:
        """Return the teacher's choices, `(B, K)` shares."""
        outputs: Tensor = self.teacher_head(self.teacher.summary(x))
        return functional.softmax((outputs - self.centre) / TEACHER_TEMPERATURE, 1)

    def stepped(self, done: float) -> None:
        """Move the teacher, and the centre towards its last outputs."""
        momentum = momentum_at(done, MOMENTUM)
        follow(self.teacher, self.network, momentum)
        follow(self.teacher_head, self.head, momentum)
        if self._told:
            self.centre.copy_(moved_centre(self.centre, self._told, self.centre_momentum))
            self._told = []


def summary_of_block(network: RasterNetwork, x: Tensor, generator: torch.Generator | None) -> Tensor:
    """Return the summary `(B, D)` of a block of each raster, of half its length along each axis, wherever it lies."""
    config = network.config
    lengths = [max(2, length // 2) for length in config.grid]  # in patches
    room = torch.tensor([length - own + 1 for length, own in zip(config.grid, lengths, strict=True)])
    first = (uniform(len(x), config.axes, generator=generator) * room).long().minimum(room - 1)  # (B, axes)
    if not isinstance(network, ConvNet):
        places = torch.zeros(len(x), 1, dtype=torch.int64)
        for axis, own in enumerate(lengths):  # the number of each place in row order
            along = first[:, axis, None] + torch.arange(own)  # (B, own)
            places = (places[:, :, None] * config.grid[axis] + along[:, None, :]).flatten(1)
        mean: Tensor = network(x, places.to(x.device))[:, 1:].mean(1)
        return mean
    corners = (first * config.patch).tolist()
    sides = [own * config.patch for own in lengths]
    cut = [
        own[(slice(None), *(slice(a, a + side) for a, side in zip(corner, sides, strict=True)))]
        for own, corner in zip(x, corners, strict=True)
    ]
    smaller = copy.copy(network)  # the same modules, on smaller rasters
    smaller.config = replace(config, size=sides[0])
    return smaller.summary(torch.stack(cut))


def build(network: RasterNetwork, options: Any, generator: torch.Generator) -> SelfDistillation:
    """Make the learner; its head is drawn from torch's global generator, which the caller seeds."""
    return SelfDistillation(network)
