"""`hmm-glm` and `poisson-glm`: what neurons fire next, by hidden states with a network each, and by one network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.dynamics.states.emission import LINKS, SOFTPLUS
from chiasm.dynamics.states.fitted import CONNECTIVITIES, GAUSSIAN, ONE_HOT, Fitted, Settings, fit_states
from chiasm.dynamics.states.following import forecast, modality_of, with_what_followed
from chiasm.dynamics.states.recordings import require_kernels
from chiasm.errors import count
from chiasm.fitting.base import Training, choice
from chiasm.fitting.row import Row
from chiasm.heads.response import Response
from chiasm.protocols import Predictor
from chiasm.recipes.dynamics import ROWS
from chiasm.recipes.dynamics.recordings import OfRecordings


@storable("hidden-state-forecast")
@dataclass(frozen=True)
class HiddenStatesPredictor:
    """Counts expected in the bins that follow a recording.

    Args:
        modality: of the recordings.
        states: the fitted hidden states; one, for a network without states.
        neurons: N. bins: H that follow.
    """

    modality: str
    states: Fitted
    neurons: int
    bins: int

    @property
    def trained_parameters(self) -> int:
        return self.states.parameters

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the expected counts `(B, H N)`, neuron by neuron within a bin."""
        if not len(cohort):
            return np.zeros((0, self.bins * self.neurons))
        return forecast(cohort, self.modality, self.neurons, self.bins, self.states)


@dataclass(frozen=True)
class OfStates(OfRecordings):
    """Base of both: how the past is read, and the fit.

    Args:
        connectivity: prior of the networks: "one-hot", a choice of inhibition, none and excitation; "gaussian", weights
            about those that all states share; "free", none.
        link: "softplus" or "exp", from what drives a neuron to its rate.
        kernels: number of exponential kernels of the past, time constants from one bin to `slowest`.
        slowest: longest time constant, in bins.
    """

    connectivity: str = GAUSSIAN
    link: str = SOFTPLUS
    kernels: int = 5
    slowest: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        choice("connectivity", self.connectivity, CONNECTIVITIES)
        choice("link", self.link, LINKS)
        require_kernels(self.kernels, self.slowest)

    def asked(self) -> Settings:
        """How the states are fitted."""
        return Settings(1, self.connectivity, self.link, self.kernels, self.slowest)

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Fit on recordings with the bins that followed them, all of training patients."""
        name = modality_of(training.cohort, self.modality)
        own, ahead = with_what_followed(training.cohort, name, training.outcome.value)
        states = fit_states(own, self.asked(), seed=training.seed)
        predictor = HiddenStatesPredictor(name, states, own.neurons, ahead)
        links = predictor.link(training.cohort)
        return predictor, Response.fit(training.target, links, training.outcome, calibrate=False)


@dataclass(frozen=True)
class PoissonGlm(OfStates):
    """One network for all bins: a Poisson regression of each neuron on the past of all, without hidden states."""

    row: ClassVar[Row] = ROWS["poisson-glm"]


@dataclass(frozen=True)
class HiddenStates(OfStates):
    """Hidden states with a network each, between which a Markov chain moves.

    Args:
        connectivity, link, kernels, slowest: as above; here one-hot by default.
        states: number of hidden states, two or more.
        stay: probability with which a state is kept from bin to bin, to begin with.
        rounds: E-steps at most. epochs: gradient steps of one-hot networks. restarts: how often all begins anew.
    """

    connectivity: str = ONE_HOT
    states: int = 3
    stay: float = 0.98
    rounds: int = 30
    epochs: int = 100
    restarts: int = 3

    row: ClassVar[Row] = ROWS["hmm-glm"]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.states < 2:
            raise ValueError("hidden states are two or more: poisson-glm is the model of one")
        if not 0 < self.stay < 1:
            raise ValueError("stay lies between 0 and 1: it is the probability with which a state is kept")
        if min(self.rounds, self.epochs, self.restarts) < 1:
            raise ValueError("rounds, epochs and restarts are one or more")

    def asked(self) -> Settings:
        return Settings(
            self.states, self.connectivity, self.link, self.kernels, self.slowest, self.stay, self.rounds, self.epochs,
            self.restarts,
        )  # fmt: skip

    def learnable(self, bins: np.ndarray) -> None:
        longest = int(bins.max(initial=0))
        if self.states > longest:
            raise Unsupported(
                f"{count(self.states, 'state')} are asked for, and the longest recording has {count(longest, 'bin')}: "
                "give longer recordings, or ask for fewer states"
            )
