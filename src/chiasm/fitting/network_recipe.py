"""Base of recipes that consist of a fusion: a recipe supplies its design, everything else is here."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from chiasm.fitting.base import Training
from chiasm.fitting.neural import Design, check_size, trained_network
from chiasm.fitting.one_modality import OneOrAll
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.training import TrainOptions
from chiasm.training.loop import check_chance


@dataclass(frozen=True)
class NetworkRecipe(OneOrAll):
    """Recipe whose network is trained end to end on the target: the tokens of all modalities, a fusion, a linear head.

    A fifth of the patients is held out for early stopping and calibration.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width D of the embedding.
        dropout: probability that a value is dropped in training, where the fusion has dropout.
        epochs, patience, batch, learning_rate, weight_decay: training options.
        modality_dropout: probability that a modality is dropped in a training step.
    """

    latent_width: int = 32
    dropout: float = 0.2
    epochs: int = 40
    patience: int = 8
    batch: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    modality_dropout: float = 0.1

    def __post_init__(self) -> None:
        check_chance("dropout", self.dropout)
        check_size("latent_width", self.latent_width)
        _ = self.training_options  # TrainOptions refuses invalid values

    @abstractmethod
    def design(self) -> Design:
        """Return the stored description of the fusion, which creates the module for the shapes of a cohort's tokens."""

    @property
    def training_options(self) -> TrainOptions:
        """Training options with modality dropout."""
        return TrainOptions(
            self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay,
            modality_dropout=self.modality_dropout,
        )  # fmt: skip

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Train the network."""
        return trained_network(training, self.design(), self.training_options, self.dropout, self.id)
