"""Base of recipes that consist of a fusion: a recipe supplies its design and, if it has them, its phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from chiasm.cohort import Cohort, Unsupported
from chiasm.fitting.base import Training
from chiasm.fitting.neural import (
    Design,
    Prepared,
    finish,
    fit_network,
    held_out_loss,
    new_network,
    parameter_count,
    prepare,
)
from chiasm.fitting.source_network import Start, networks_of
from chiasm.fitting.trained_recipe import TrainedRecipe
from chiasm.fitting.warm_start import Candidate, better_start, require_starts
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
        warm: train once more, from the weights of a source that is a network of this recipe and these sizes
            (`fitting.warm_start`), and keep that where the held-out patients are told better by it.
    """

    modality_dropout: float = 0.1
    warm: bool = False

    def design(self) -> Design:
        """Return the stored description of the fusion, which creates the module for the shapes of a cohort's tokens.

        A recipe whose fusion depends on more than its options overrides `learn` instead.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither a design nor a way to learn of its own")

    @property
    def begins_warm(self) -> bool:
        """True if a network of this recipe can begin with a source's weights: its options alone make its design."""
        own = type(self)
        return own.design is not NetworkRecipe.design and own.trained is NetworkRecipe.trained

    @property
    def borrows(self) -> bool:
        """True if a fit reads the sources of a cohort."""
        return self.warm

    @property
    def against(self) -> str:
        """Name of the same recipe without a source, with which a trial compares it; "" without `warm`."""
        return self.plain_name if self.warm and not self.modality else ""

    @property
    def plain_name(self) -> str:
        """Name of this recipe without a source."""
        return replace(self, warm=False).name

    def settings_on(self, cohort: Cohort) -> int:
        """Count the settings that are tried on a cohort: those of the start, each from every network begun."""
        return self.settings * (1 + (len(self.starts(cohort)) if self.warm else 0))

    def fits_source(self, design: Design) -> bool:
        """True if a network of this design may begin one of this recipe: it is of the same kind and sizes."""
        return design == self.design()

    def starts(self, cohort: Cohort) -> list[Start]:
        """Return the sources whose weights a network may begin with: those of this design that share a modality."""
        found = [own for own in networks_of(self.read(cohort)) if self.fits_source(own.network.design)]
        return [own for own in found if own.shared]

    def supports(self, cohort: Cohort) -> None:
        """Raise `Unsupported` also if a source's weights are asked for and there are none that fit."""
        super().supports(cohort)
        if not self.warm:
            return
        if not self.begins_warm:
            raise Unsupported(
                f"a network of '{self.id}' cannot begin with the weights of a source, as its training makes it: leave "
                "warm out, or name healnet, lego-fuse, cmta, ssma or bm-mae"
            )
        require_starts(self, self.read(cohort))

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        """Return the one-modality forms; without `warm` where no source reads the modality."""
        names = super().alone(cohort)
        if not self.warm or not self.begins_warm:
            return names
        forms = [cast(NetworkRecipe, self.reading(name)) for name in self.modalities(cohort)] if names else []
        return tuple((own if own.starts(cohort) else replace(own, warm=False)).name for own in forms)

    @property
    def training_options(self) -> TrainOptions:
        """Training options with modality dropout."""
        return replace(super().training_options, modality_dropout=self.modality_dropout)

    def phases(self, data: Prepared) -> tuple[Phase, ...]:
        """Return the phases of the training; here one, on the head's own loss and the terms that the fusion adds."""
        return (Phase(self.training_options),)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Create the network, train and calibrate it."""
        data, design = prepare(training), self.design()
        return self.trained(training, data, design, new_network(training, data, design, self.dropout))

    def trained(
        self, training: Training, data: Prepared, design: Design, network: Network
    ) -> tuple[Predictor, Response]:
        """Train a network of this design, unless nothing in it is trainable, and calibrate it.

        With `warm`, one is trained from each source too, and the one that tells the held-out patients best is kept.
        """
        if parameter_count(network):
            self.run(training, data, network, self.phases(data))
        if not self.warm:
            return finish(training, data, network, design)
        fresh = Candidate(network, data, design, self.start_loss(network, data, training.target.kind))
        kept, notes = better_start(fresh, self.begun(training, data))
        return finish(training, kept.data, kept.network, kept.design, notes)

    def start_loss(self, network: Network, data: Prepared, kind: str) -> float:
        """Return the loss of the held-out patients by which starts are compared."""
        return held_out_loss(network, data)

    def begun(self, training: Training, data: Prepared) -> list[Candidate]:
        """Train a network from the weights of each source by the phases of a fresh one."""
        found = []
        for start in self.starts(training.cohort):
            own, design = start.prepared(data), start.network.design
            network, copied = start.begun(training, own, design, self.dropout)
            if parameter_count(network):
                self.run(training, own, network, self.phases(own), start.stage)
            loss = self.start_loss(network, own, training.target.kind)
            found.append(Candidate(network, own, design, loss, copied))
        return found

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
