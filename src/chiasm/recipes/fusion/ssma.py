"""`ssma`: Self-Supervised Model Adaptation (IJCV 2019), unimodal streams first, then a gated bottleneck on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.fitting.base import choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes
from chiasm.fitting.row import Row
from chiasm.fusion.ssma import STREAM, Ssma
from chiasm.protocols import Fused
from chiasm.recipes.fusion import ROWS
from chiasm.training import Batch, Network, Objective, Phase
from chiasm.training.objective import upon_offset

FINE = 0.1  # of the learning rate, in the last phase


@storable("ssma")
@dataclass(frozen=True)
class SsmaDesign:
    """Sizes of an SSMA."""

    latents: int
    latent_width: int
    heads: int
    eta: int

    def __post_init__(self) -> None:
        check_sizes(self.latents, self.latent_width, 1, self.heads)
        check_size("eta", self.eta)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> Ssma:
        """Create a fresh fusion module of these sizes."""
        return Ssma(
            shapes, latents=self.latents, latent_width=self.latent_width, heads=self.heads, eta=self.eta,
            dropout=dropout,
        )  # fmt: skip


class EachAlone(Objective):
    """The mean over the modalities of the head's loss on each one's own stream, among the patients who have it."""

    def losses(self, network: Network, batch: Batch, link: Tensor, fused: Fused) -> dict[str, Tensor]:
        """Return one term; zero for a batch whose patients have nothing."""
        found = []
        for stream in (own for name, own in fused.extras.items() if name.startswith(STREAM)):
            here = ~torch.isnan(stream[:, 0])
            if bool(here.any()):
                own = network.head(stream[here])
                own = own if batch.offset is None else own + batch.offset[here]
                target = batch.target
                found.append(network.head.loss(own, target.value[here], target.event[here]))
        return {"streams": torch.stack(found).mean() if found else link.sum() * 0.0}

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the mean of the batches' terms, weighted by their patients."""
        total, count = 0.0, 0
        for batch in batches:
            link, fused = upon_offset(network, batch)
            total += float(self.losses(network, batch, link, fused)["streams"]) * len(batch)
            count += len(batch)
        return total / max(1, count)


@dataclass(frozen=True)
class SsmaRecipe(NetworkRecipe):
    """SSMA: streams alone, then gate and map on frozen streams, then all at a tenth of the rate.

    Args:
        latents, latent_width, heads: L, D, and attention heads of a stream.
        eta: how much narrower the bottleneck of the gate is than its channels.
        schedule: staged, or joint: one phase that trains everything from the start.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`; of
            each phase.
    """

    latents: int = 16
    heads: int = 4
    eta: int = 8
    schedule: str = "staged"

    row: ClassVar[Row] = ROWS["ssma"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid sizes
        choice("schedule", self.schedule, ("staged", "joint"))

    def design(self) -> SsmaDesign:
        """Return the sizes of the network."""
        return SsmaDesign(self.latents, self.latent_width, self.heads, self.eta)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the stages, or the one phase."""
        options = self.training_options
        if self.schedule == "joint":
            return (Phase(options),)
        fine = replace(options, learning_rate=FINE * options.learning_rate)
        return (
            Phase(options, EachAlone(), trainable=lambda name: not _of_gate(name), name="streams"),
            Phase(options, trainable=lambda name: _of_gate(name) or name.startswith("head."), name="fusion"),
            Phase(fine, name="together"),
        )


def _of_gate(name: str) -> bool:
    return name.startswith("fusion.bottleneck.")
