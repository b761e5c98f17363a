"""`healnet`: HEALNet (NeurIPS 2024, arXiv 2311.09115), one latent that reads each present modality in turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.neural import Shapes, check_sizes
from chiasm.fitting.row import Row
from chiasm.fitting.trained_recipe import LatentOptions
from chiasm.fitting.warm_recipe import WarmRecipe
from chiasm.fusion.healnet import HealNet
from chiasm.recipes.fusion import ROWS


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
class HealNetRecipe(WarmRecipe, LatentOptions):
    """HEALNet, trained end to end. The paper's loss is a discrete-time likelihood; ours is the target's own (Cox).

    Args:
        latents, latent_width, depth, heads: as in `LatentOptions`.
        dropout, epochs, patience, batch, learning_rate, weight_decay, modality_dropout: as in `NetworkRecipe`.
        tied: share one set of weights among the layers after the first.
    """

    tied: bool = False

    row: ClassVar[Row] = ROWS["healnet"]

    def design(self) -> HealNetDesign:
        """Return the sizes of the network."""
        return HealNetDesign(self.latents, self.latent_width, self.depth, self.heads, self.tied)
