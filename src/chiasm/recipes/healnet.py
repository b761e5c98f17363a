"""HEALNet (NeurIPS 2024, arXiv 2311.09115): one latent that reads every present modality in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fusion.healnet import HealNet
from chiasm.heads.response import Response
from chiasm.protocols import Citation, Predictor
from chiasm.recipes.base import BaseRecipe, Training
from chiasm.recipes.neural import Shapes, build, check_sizes, finish, fit_network, new_head, prepare, seeded
from chiasm.training import Network, TrainOptions
from chiasm.training.loop import check_chance


@storable("healnet")
@dataclass(frozen=True)
class HealNetDesign:
    """The sizes of a HEALNet."""

    latents: int
    latent_width: int
    depth: int
    heads: int
    tied: bool

    def __post_init__(self) -> None:
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> HealNet:
        """A fresh fusion of these sizes."""
        return HealNet(
            shapes, latents=self.latents, latent_width=self.latent_width, depth=self.depth, heads=self.heads,
            tied=self.tied, dropout=dropout,
        )  # fmt: skip


@dataclass(frozen=True)
class HealNetRecipe(BaseRecipe):
    """HEALNet, trained end to end. The paper's loss is a discrete-time likelihood; ours is the target's own (Cox).

    Args:
        latents, latent_width, depth, heads, tied: of the fusion.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: of the training.
    """

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    tied: bool = False
    dropout: float = 0.2
    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.1

    id: ClassVar[str] = "healnet"
    family: ClassVar[str] = "fusion"
    needs: ClassVar[str] = "two modalities or more"
    paper: ClassVar[Citation] = Citation(
        "HEALNet: Multimodal Fusion for Heterogeneous Biomedical Data",
        "NeurIPS",
        2024,
        "https://arxiv.org/abs/2311.09115",
    )

    def __post_init__(self) -> None:
        check_chance("dropout", self.dropout)
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)
        _ = self.training_options  # refuses what it cannot be made of

    @property
    def training_options(self) -> TrainOptions:
        """Of the network."""
        return TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay, self.modality_dropout
        )

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train on the patients; a fifth of them decide when to stop, and calibrate."""
        data, seed = prepare(training), training.seed
        design = HealNetDesign(self.latents, self.latent_width, self.depth, self.heads, self.tied)
        fusion = build(lambda: design.fusion(data.shapes, self.dropout), seeded(seed, "fusion"))
        network = Network(fusion, new_head(training, self.latent_width, seeded(seed, "head")))
        options = self.training_options
        file = training.checkpoint / "healnet.safetensors" if training.checkpoint else None
        fit_network(network, data, options, seed=seeded(seed, "train"), checkpoint=file, device=training.device)
        return finish(training, data, network, design)
