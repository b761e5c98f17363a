"""`lego-fuse`: blocks trained alone, then stacked or woven and fine-tuned together briefly (arXiv 2405.19950)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, cast

from chiasm.artifact import storable
from chiasm.fitting.base import Training, choice
from chiasm.fitting.network_recipe import NetworkRecipe
from chiasm.fitting.neural import Prepared, Shapes
from chiasm.fitting.row import Row
from chiasm.fitting.trained_recipe import LatentOptions
from chiasm.fusion.lego import LegoFuse, Mode
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.fusion import ROWS
from chiasm.recipes.fusion.lego_blocks import LegoSizes, check_options, merged_head, restored_block, train_blocks
from chiasm.training import Network, Phase, TrainOptions

PATIENCE = 8  # epochs of fine-tuning without improvement


@storable("lego-fuse")
@dataclass(frozen=True)
class LegoFuseDesign:
    """Sizes of the blocks, and the order in which the latent passes through them."""

    sizes: LegoSizes
    mode: str

    @property
    def latent_width(self) -> int:
        return self.sizes.latent_width

    def fusion(self, shapes: Shapes, dropout: float = 0.0) -> LegoFuse:
        """Create a fresh fusion module from new blocks."""
        blocks = {name: self.sizes.block(*shape, dropout) for name, shape in shapes.items()}
        return LegoFuse(blocks, cast(Mode, self.mode))


@dataclass(frozen=True)
class LegoFuseRecipe(NetworkRecipe, LatentOptions):
    """One latent passed through all trained blocks, with a merged head, fine-tuned for a few epochs.

    Args:
        latents, latent_width, depth, heads, domain: sizes and latent domain of the blocks.
        dropout, epochs, patience, batch, learning_rate, weight_decay: training options of each block.
        modality_dropout: probability that a modality is dropped in a fine-tuning step.
        head_method: how the initial head is merged: slerp or linear.
        mode: stack (block after block) or weave (iteration after iteration).
        fuse_epochs, fuse_learning_rate: options of the fine-tuning, which keeps its best epoch.
    """

    domain: str = "signal"
    head_method: str = "slerp"
    mode: str = "stack"
    fuse_epochs: int = 25
    fuse_learning_rate: float = 1e-3

    row: ClassVar[Row] = ROWS["lego-fuse"]

    def __post_init__(self) -> None:
        super().__post_init__()
        check_options(self.domain, self.head_method)
        choice("mode", self.mode, ("stack", "weave"))

    @property
    def sizes(self) -> LegoSizes:
        """Sizes of every block."""
        return LegoSizes(self.latents, self.latent_width, self.depth, self.heads, self.domain)

    @property
    def block_options(self) -> TrainOptions:
        """Training options of each block, which reads one modality."""
        return replace(self.training_options, modality_dropout=0.0)

    def design(self) -> LegoFuseDesign:
        """Return the sizes of the blocks and their order."""
        return LegoFuseDesign(self.sizes, self.mode)

    def reading(self, modality: str) -> LegoFuseRecipe:
        """Return this recipe on one modality; with a single block, stacking and weaving coincide."""
        return replace(self, modality=modality, mode="stack")

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the fine-tuning of all blocks together."""
        options = TrainOptions(
            self.fuse_epochs, PATIENCE, self.batch, self.fuse_learning_rate, self.weight_decay, self.modality_dropout
        )
        return (Phase(options, name="fuse"),)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the blocks, or reuse those that `lego-merge` trained on these patients; then fine-tune."""
        trained = train_blocks(training, self)
        blocks = {
            name: restored_block(self.sizes, trained.data.shapes[name], state, self.dropout)
            for name, state in trained.blocks.items()
        }
        head = merged_head(list(trained.heads.values()), self.latent_width, training.target.kind, self.head_method)
        network = Network(LegoFuse(blocks, cast(Mode, self.mode)), head)
        return self.trained(training, trained.data, self.design(), network)
