"""`healnet`: HEALNet (NeurIPS 2024, arXiv 2311.09115), one latent that reads each present modality in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.base import Training
from chiasm.fitting.neural import Shapes, check_sizes, trained_network
from chiasm.fitting.neural_recipe import NeuralRecipe
from chiasm.fitting.row import Row
from chiasm.fusion.healnet import HealNet
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.training import TrainOptions


@storable("healnet")
@dataclass(frozen=True)
class HealNetDesign:
    """Sizes of a HEALNet."""

    latents: int
    latent_width: int
    depth: int
    heads: int
    tied: bool

    def __post_init__(self) -> None:
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> HealNet:
        """Create a fresh fusion module of these sizes."""
        return HealNet(
            shapes, latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            tied=self.tied, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class HealNetRecipe(NeuralRecipe):
    """HEALNet, trained end to end. The paper's loss is a discrete-time likelihood; ours is the target's own (Cox).

    Args:
        latents, latent_width, depth, heads, dropout, epochs, patience, batch, learning_rate, weight_decay: as in
            `NeuralRecipe`.
        tied: share one set of weights among the layers after the first.
        modality_dropout: probability that a modality is dropped in a training step.
    """

    tied: bool = False
    modality_dropout: float = 0.1

    row: ClassVar[Row] = ROWS["healnet"]

    @property
    def training_options(self) -> TrainOptions:
        """Training options with modality dropout."""
        return replace(super().training_options, modality_dropout=self.modality_dropout)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network; a held-out fifth of the patients is used for early stopping and calibration."""
        design = HealNetDesign(self.latents, self.latent_width, self.depth, self.heads, self.tied)
        return trained_network(training, design, self.training_options, self.dropout, self.id)
