"""Options that every recipe shares whose network is trained: its width, its training, and the latents it may have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.cohort import Cohort
from chiasm.fitting.base import Training, choice, require_pairs
from chiasm.fitting.cross_fitted import CrossFittedRecipe
from chiasm.fitting.neural import check_size, check_sizes
from chiasm.fitting.one_modality import OneOrAll
from chiasm.fitting.residual import fit_residual
from chiasm.fitting.starts import STARTS, start_of
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
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
        upon: linear model whose rest the network learns, with a gate (`fitting.residual`): late, stacked or
            multi-ridge; with one modality its linear model. Empty: none.
    """

    needs_pairs: ClassVar[bool] = False
    """True if nothing joins the modalities unless some training patients have two of them."""

    latent_width: int = 32
    dropout: float = 0.2
    epochs: int = TrainOptions.epochs
    patience: int = TrainOptions.patience
    batch: int = TrainOptions.batch
    learning_rate: float = TrainOptions.learning_rate
    weight_decay: float = TrainOptions.weight_decay
    upon: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_chance("dropout", self.dropout)
        check_size("latent_width", self.latent_width)
        _ = self.training_options  # TrainOptions refuses invalid values
        if self.upon:
            choice("upon", self.upon, tuple(STARTS))

    @property
    def training_options(self) -> TrainOptions:
        """Training options for a network that reads every modality that a patient has."""
        return TrainOptions(self.epochs, self.patience, self.batch, self.learning_rate, self.weight_decay)

    @property
    def started(self) -> CrossFittedRecipe | None:
        """The recipe from which the network starts; None where it starts from nothing."""
        return start_of(self.upon, self.modality) if self.upon else None

    @property
    def settings(self) -> int:
        """Number of settings that the start tries; 1 without one."""
        return 1 if self.started is None else self.started.settings

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if the start does not support the cohort, or nobody has two modalities to join."""
        super().supports(cohort)
        if self.needs_pairs and not self.modality:
            require_pairs(cohort)
        if self.started is not None:
            self.started.supports(cohort)

    def for_all(self, whole: Training, training: Training) -> tuple[Predictor, Response]:
        """Learn upon the start, where there is one; it covers all patients, so that nothing else extends the model."""
        if self.started is None:
            return super().for_all(whole, training)
        return fit_residual(self, self.started, whole, training)
