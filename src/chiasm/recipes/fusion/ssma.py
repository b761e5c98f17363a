"""`ssma`: Self-Supervised Model Adaptation (IJCV 2019), unimodal streams first, then a gated bottleneck on them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.fitting.base import choice
from chiasm.fitting.neural import Prepared, Shapes, check_size, check_sizes
from chiasm.fitting.row import Row
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fusion.ssma import STREAM, Ssma
from chiasm.protocols import Fused
from chiasm.recipes.fusion import ROWS
from chiasm.training import Batch, Network, Objective, Phase, TargetTensors

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
        found = [
            network.head.loss(own, target.value, target.event) for own, target in _alone(network, batch, fused).values()
        ]
        return {"streams": torch.stack(found).mean() if found else link.sum() * 0.0}

    def validation(self, network: Network, batches: Iterable[Batch]) -> float:
        """Return the mean over the modalities of the loss of all held-out patients who have each."""
        links: dict[str, list[Tensor]] = {}
        targets: dict[str, list[TargetTensors]] = {}
        for batch in batches:
            for name, (own, target) in _alone(network, batch, network(batch.tokens, batch.present)[1]).items():
                links.setdefault(name, []).append(own.cpu())
                targets.setdefault(name, []).append(target.to("cpu"))
        losses = [self.validated(network, torch.cat(links[name]), TargetTensors.of(targets[name])) for name in links]
        return sum(losses) / max(1, len(losses))


def _alone(network: Network, batch: Batch, fused: Fused) -> dict[str, tuple[Tensor, TargetTensors]]:
    """Return the head's link on each stream, of the patients who have it and upon their offset, and their targets."""
    found = {}
    for name, stream in fused.extras.items():
        here = ~torch.isnan(stream[:, 0]) if name.startswith(STREAM) else torch.zeros(1, dtype=torch.bool)
        if bool(here.any()):
            own = network.head(stream[here])
            own = own if batch.offset is None else own + batch.offset[here]
            found[name] = own, TargetTensors(batch.target.value[here], batch.target.event[here])
    return found


@dataclass(frozen=True)
class SsmaRecipe(WarmRecipe):
    """SSMA: streams alone, then gate, map and head on frozen streams, then all at a tenth of the rate.

    Args:
        latents, latent_width, heads: L, D, and attention heads of a stream.
        eta: how much narrower the bottleneck of the gate is than its channels.
        schedule: staged, or joint: one phase that trains everything from the start.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`; of
            each phase.
    """

    needs_pairs: ClassVar[bool] = True

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
