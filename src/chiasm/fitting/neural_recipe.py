"""The options that recipes with a latent network share: its size, and how it is trained."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.fitting.neural import check_sizes
from chiasm.fitting.one_modality import OneOrAll
from chiasm.training import TrainOptions
from chiasm.training.loop import check_chance


@dataclass(frozen=True)
class NeuralRecipe(OneOrAll):
    """A recipe whose network reads tokens into L latents of width D.

    Args:
        modality: to read alone; all of them without a name.
        latents, latent_width, depth, heads: L, D, the layers, and the attention heads of each.
        dropout, epochs, patience, batch, learning_rate, weight_decay: of the training.
    """

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4
    dropout: float = 0.2
    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2

    def __post_init__(self) -> None:
        check_chance("dropout", self.dropout)
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)
        _ = self.training_options  # refuses what it cannot be made of

    @property
    def training_options(self) -> TrainOptions:
        """Of the training from a fresh start, with every modality that a patient has."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)
