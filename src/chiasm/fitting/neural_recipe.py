"""Options that recipes with a latent network share: the size of the network and its training."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.fitting.neural import check_sizes
from chiasm.fitting.one_modality import OneOrAll
from chiasm.training import TrainOptions
from chiasm.training.loop import check_chance


@dataclass(frozen=True)
class NeuralRecipe(OneOrAll):
    """Base of recipes whose network reads tokens into L latents of width D.

    Args:
        modality: the one modality to read; empty: all.
        latents, latent_width, depth, heads: L, D, number of layers, and attention heads per layer.
        dropout, epochs, patience, batch, learning_rate, weight_decay: training options.
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
        _ = self.training_options  # TrainOptions refuses invalid values

    @property
    def training_options(self) -> TrainOptions:
        """Training options for a network trained from scratch on every modality that a patient has."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)
