"""`history-ridge`: a ridge of the counts that follow on the past of each neuron, read by the kernels of `hmm-glm`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.dynamics.states.following import bins_ahead, modality_of, recorded
from chiasm.dynamics.states.recordings import Kernels, require_kernels
from chiasm.fitting.base import Training
from chiasm.fitting.inner_choice import PENALTIES, choose_penalty
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.linear.linear import Linear
from chiasm.protocols import Predictor
from chiasm.recipes.dynamics import ROWS
from chiasm.recipes.dynamics.recordings import OfRecordings


@storable("history-ridge")
@dataclass(frozen=True)
class HistoryRidgePredictor:
    """A ridge on `(B, N C)` standardised features: what each kernel says of each neuron's past.

    Args:
        modality: of the recordings. neurons: N. kernels: by which the past is read.
        mean, spread: `(N C,)` of the features in training; linear: coefficients of each channel.
    """

    modality: str
    neurons: int
    kernels: Kernels
    mean: np.ndarray
    spread: np.ndarray
    linear: Linear

    @property
    def trained_parameters(self) -> int:
        return int(self.linear.coef.size + self.linear.intercept.size)

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the expected counts `(B, H N)`, which may lie below zero."""
        if not len(cohort):
            return np.zeros((0, len(self.linear.intercept)))
        values = past_of(cohort, self.modality, self.kernels, self.neurons)
        return np.asarray(self.linear.linear_predictor((values - self.mean) / self.spread))


def past_of(cohort: Cohort, modality: str, kernels: Kernels, neurons: int | None = None) -> np.ndarray:
    """`(B, N C)` what each kernel says of each neuron's past at the end of each recording."""
    own = recorded(cohort, modality, neurons)
    return np.asarray(kernels.after(own.counts, own.bins).reshape(len(own.counts), -1))


@dataclass(frozen=True)
class HistoryRidge(OfRecordings):
    """Ridge of each channel, whose penalty inner folds choose.

    Args:
        kernels: number of exponential kernels of the past. slowest: longest time constant, in bins.
    """

    kernels: int = 5
    slowest: float = 10.0

    row: ClassVar[Row] = ROWS["history-ridge"]

    def __post_init__(self) -> None:
        super().__post_init__()
        require_kernels(self.kernels, self.slowest)

    @property
    def settings(self) -> int:
        """Number of penalties."""
        return len(PENALTIES)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Select the penalty of each channel on inner folds, and fit on all patients."""
        name = modality_of(training.cohort, self.modality)
        neurons = recorded(training.cohort, name).neurons
        bins_ahead(training.outcome.value, neurons)
        kernels = Kernels.spaced(self.kernels, self.slowest)
        values = past_of(training.cohort, name, kernels)
        mean, spread = values.mean(axis=0), values.std(axis=0)
        spread = np.where(spread > 0, spread, 1.0)
        folds = self.inner_folds(training.cohort, training.seed)
        standard = (values - mean) / spread
        chosen = choose_penalty(training.target.kind, standard, training.outcome, folds, training.classes)
        predictor = HistoryRidgePredictor(name, neurons, kernels, mean, spread, chosen.model)
        return predictor, Response.fit(training.target, chosen.links, training.outcome, calibrate=False, folds=folds)
