"""Options that every recipe shares whose network is trained: its width, its training, and the latents it may have."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.fitting.neural import check_size, check_sizes
from chiasm.fitting.one_modality import OneOrAll
from chiasm.training import TrainOptions
from chiasm.training.options import check_chance


@dataclass(frozen=True)
class LatentOptions(OneOrAll):
    """Sizes of a network that reads tokens into L latents of width D; named after the base that trains it.

    Args:
        latents, latent_width, depth, heads: L, D, number of layers, and attention heads per layer.
    """

    latents: int = 16
    latent_width: int = 32
    depth: int = 2
    heads: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self.latents, self.latent_width, self.depth, self.heads)


@dataclass(frozen=True)
class TrainedRecipe(OneOrAll):
    """Base of recipes that train networks.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width D of the embedding.
        dropout: probability that a value is dropped in training, where the network has dropout.
        epochs, patience, batch, learning_rate, weight_decay: training options.
    """

    latent_width: int = 32
    dropout: float = 0.2
    epochs: int = TrainOptions.epochs
    patience: int = TrainOptions.patience
    batch: int = TrainOptions.batch
    learning_rate: float = TrainOptions.learning_rate
    weight_decay: float = TrainOptions.weight_decay

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chance("dropout", self.dropout)
        check_size("latent_width", self.latent_width)
        _ = self.training_options  # TrainOptions refuses invalid values

    @property
    def training_options(self) -> TrainOptions:
        """Training options for a network that reads every modality that a patient has."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)
