"""Base of recipes that consist of a fusion: a recipe supplies its design and, if it has them, its phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chiasm.fitting.base import Training
from chiasm.fitting.neural import Design, Prepared, finish, fit_network, new_network, parameter_count, prepared_once
from chiasm.fitting.trained_recipe import TrainedRecipe
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.training import History, Network, Phase, TrainOptions


@dataclass(frozen=True)
class NetworkRecipe(TrainedRecipe):
    """Recipe with one network: the tokens of all modalities, a fusion, a linear head.

    It is trained end to end on the target, or by the phases that the recipe names. A fifth of the patients is held out
    for early stopping and calibration.

    Args:
        modality: the one modality to read; empty: all.
        latent_width: width D of the embedding.
        dropout: probability that a value is dropped in training, where the fusion has dropout.
        epochs, patience, batch, learning_rate, weight_decay: training options.
        modality_dropout: probability that a modality is dropped in a training step.
    """

    modality_dropout: float = 0.1

    def design(self) -> Design:
        """Return the stored description of the fusion, which creates the module for the shapes of a cohort's tokens.

        A recipe whose fusion depends on more than its options overrides `learn` instead.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither a design nor a way to learn of its own")

    @property
    def training_options(self) -> TrainOptions:
        """Training options with modality dropout."""
        return replace(super().training_options, modality_dropout=self.modality_dropout)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phases of the training; here one, on the head's own loss and the terms that the fusion adds."""
        return (Phase(self.training_options),)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, train and calibrate it."""
        data, design = prepared_once(training), self.design()
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train a network of this design, unless nothing in it is trainable, and calibrate it."""
        if parameter_count(network):
            self.run(training, data, network, self.phases(data))
        return finish(training, data, network, design)

    def run(
        self,
        training: Training,
        data: Prepared,
        network: Network,
        phases: Sequence[Phase],
        stage: str = "",
        *,
        seed: int | None = None,
    ) -> tuple[History, ...]:
        """Train a network by these phases; `stage` tells several networks of a recipe apart in their checkpoints."""
        return fit_network(
            network, data, phases, seed=training.seed if seed is None else seed,
            checkpoint=training.file(self.id + stage), device=training.device,
        )  # fmt: skip
