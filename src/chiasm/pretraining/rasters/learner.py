"""What a method of pretraining trains: a network that is kept, and whatever it needs beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from chiasm.encoders.raster.network import RasterNetwork


class Learner(nn.Module):
    """A network over rasters with all that a method trains beside it; `network` alone is kept.

    Randomness comes from `draws.uniform` and `draws.normal` with the generator that `forward` is given. What follows
    the network without a gradient, as the teacher of a student, is frozen (`requires_grad_(False)`), and moves in
    `stepped`.

    Attributes:
        network: the network that is kept.
        views: how many augmented views of each item a step is given.
        strong: views differ in crop, contrast and noise; else in their crop alone.
    """

    network: RasterNetwork
    views: int = 1
    strong: bool = False

    def forward(
        self, views: tuple[Tensor, ...], beside: Mapping[str, Tensor], generator: torch.Generator | None
    ) -> Tensor:
        """Return the mean loss of a step, a finite scalar.

        Args:
            views: as many as `views`, each `(B, C, *space)` float32, channels of mean 0 and deviation 1.
            beside: what stands beside the items, as the method's `beside` names it: "text" `(B, E)`, rows of NaN where
                there is none, "labels" `(B, L)`.
            generator: of the draws; None: torch's global one. The held-out items get the same draws in every epoch.
        """
        raise NotImplementedError

    def guess(self, views: tuple[Tensor, ...]) -> float | None:
        """Return the loss on these views of one who knows nothing, where that depends on the items; else None."""
        return None

    def compared(self, x: Tensor) -> Tensor | None:
        """Return the vectors `(B, E)` by which the loss compares whole items as they are; None where it compares none.

        They may become one for all items, and the loss very low, while the network's own states stay as they were.
        """
        return None

    def meet(self, widths: Mapping[str, int]) -> None:
        """Make what reads the values beside the items, now that their widths are known; here there is nothing."""

    def stepped(self, done: float) -> None:
        """Follow after a step of the optimiser; `done` is the share of the training that is over, 0 to 1."""


@dataclass(frozen=True)
class RasterMethod:
    """A method of pretraining on rasters.

    Args:
        build: makes a fresh learner of a network, the options and a generator for its initial weights.
        networks: those that it trains, of `vit` and `conv`.
        sentence: what is learned, as it stands after "Learned:".
        source: the paper.
        beside: what it reads beside the items: "text", "labels".
        chooses: the held-out loss chooses the epoch, and stops the training; else all epochs are run and the last one
            is kept, as where a teacher moves with the student and a low loss may be a collapse.
        share: of each item that is hidden; 0: none is.
        alone: the loss of an item does not depend on those beside it, so that several processes may share a step.
        nothing: the loss of one who knows nothing, by the number of items of a step; None: not told, or as the
            learner's `guess` says.
    """

    build: Callable[[RasterNetwork, Any, torch.Generator], Learner]
    networks: tuple[str, ...]
    sentence: str
    source: str = ""
    beside: tuple[str, ...] = ()
    chooses: bool = True
    share: float = 0.0
    alone: bool = False
    nothing: Callable[[int], float] | None = None
