"""Networks that start from a linear model: they learn what it leaves, and are kept as far as that pays.

    link = start(x) + gate (network(x) - level)

In training each patient's offset is the start's link from models that never saw the patient, so that the network learns
what is left for new patients. What it adds is measured in the same way, on thirds of the patients that a network of the
others has not seen. Where the gate is zero the start is the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.compute.isolation import kept_randomness, threads_for
from chiasm.fitting.base import LEAST_PATIENTS, Training, trainable
from chiasm.fitting.cross_fitted import CrossFitted, CrossFittedRecipe
from chiasm.fitting.gate import choose_gate
from chiasm.fitting.space import Space, space_of
from chiasm.heads.response import Response
from chiasm.protocols import Embeds, Predictor, reads_inputs

Array = NDArray[np.float64]
PARTS = 3  # networks that measure the gate, each without one part of the inner folds


class Learner(Protocol):
    """Protocol of a recipe whose networks learn upon `Training.offset`."""

    def learn(self, training: Training) -> tuple[Predictor, Response]: ...
    def modalities(self, cohort: Cohort) -> tuple[str, ...]: ...
    def multiplications(self, cohort: Cohort) -> float: ...


@storable("added-link")
@dataclass(frozen=True)
class Added:
    """What a network adds to a start: its link less `level`; nothing for patients with none of its modalities.

    Args:
        network: the trained network.
        modalities: the modalities that it reads.
        level: `(K,)` mean link of its training patients.
    """

    network: Predictor
    modalities: tuple[str, ...]
    level: np.ndarray

    @property
    def trained_parameters(self) -> int:
        return self.network.trained_parameters

    @property
    def reads_inputs(self) -> bool:
        """True if the network needs encoder inputs instead of stored tokens."""
        return reads_inputs(self.network)

    def link(self, cohort: Cohort) -> Array:
        """Return what is added to each link, `(B, K)`, in the cohort's sorted row order."""
        out = np.zeros((len(cohort), len(self.level)))
        known = cohort.with_modalities([name for name in cohort.modalities if name in self.modalities])
        rows = np.flatnonzero(known.present.any(1))
        if len(rows):
            out[rows] = self.network.link(known.subset(rows)) - self.level
        return out


@storable("residual-start")
@dataclass(frozen=True)
class ResidualPredictor:
    """A start with the share of a network's link that is kept.

    Args:
        start: the linear model.
        calibration: the start's own response, without a baseline hazard.
        added: what the network adds.
        gate: share of it that is kept, above 0 and at most 1.
    """

    start: Predictor
    calibration: Response
    added: Added
    gate: float

    @property
    def trained_parameters(self) -> int:
        """Number of parameters of the start and of the network, and the gate."""
        return self.start.trained_parameters + self.added.trained_parameters + 1

    @property
    def reads_inputs(self) -> bool:
        """True if the network needs encoder inputs instead of stored tokens."""
        return self.added.reads_inputs

    @property
    def embedding(self) -> Callable[[Cohort], np.ndarray] | None:
        """The network's `embedding` `(B, D)`, of the modalities that it reads; None if it has none."""
        network, modalities = self.added.network, self.added.modalities
        own = network.embedding if isinstance(network, Embeds) else None
        return None if own is None else lambda cohort: np.asarray(own(cohort.with_modalities(list(modalities))))

    @property
    def space(self) -> Space | None:
        """The space that the network's modalities were aligned in; None if they were not."""
        return space_of(self.added.network)

    def link(self, cohort: Cohort) -> Array:
        """Return the link `(B, K)`, float64, in the cohort's sorted row order."""
        return self.calibration.calibrated(self.start.link(cohort)) + self.gate * self.added.link(cohort)


def fit_residual(
    recipe: Learner, start: CrossFittedRecipe, whole: Training, training: Training
) -> tuple[Predictor, Response]:
    """Fit the start, then the network upon it, and choose the gate; return the start's own model where that is zero.

    Args:
        start: recipe of the start, which is fitted on `whole`.
        whole: the training set.
        training: the patients of it that the network learns from.
    """
    with kept_randomness(), threads_for(start.multiplications(whole.cohort)):
        begun = start.cross_fitted(whole)
    rows = np.flatnonzero(np.isin(whole.cohort.ids, training.cohort.ids))
    training = replace(training, offset=begun.calibrated[rows])
    found = measured(recipe, training, begun.folds[rows])
    if found is None:
        return begun.predictor, begun.response
    gate, added = found
    own = learned(recipe, training)
    bare = replace(begun.response, times=(), event_times=np.zeros(0), hazard=np.zeros(0))
    predictor = ResidualPredictor(begun.predictor, bare, own, gate)
    return predictor, response_of(begun, whole, rows, gate * added)


def response_of(begun: CrossFitted, whole: Training, rows: NDArray[np.int_], added: Array) -> Response:
    """Fit the response to the start's out-of-fold links with what networks of other patients add to those of `rows`."""
    links = begun.calibrated.copy()
    links[rows] += added
    return Response.fit(whole.target, links, whole.outcome, calibrate=True, folds=begun.folds, in_the_large=True)


def learned(recipe: Learner, training: Training) -> Added:
    """Train the network of a recipe upon the offset of its training patients."""
    with kept_randomness(), threads_for(recipe.multiplications(training.cohort)):
        network, _ = recipe.learn(training)
    return centred(network, recipe.modalities(training.cohort), training.cohort)


def centred(network: Predictor, modalities: tuple[str, ...], cohort: Cohort) -> Added:
    """Centre the link of a network on its training patients: what is the same for all is the start's to say."""
    level = network.link(cohort.with_modalities(list(modalities))).mean(0)
    return Added(network, modalities, level)


def measured(recipe: Learner, training: Training, folds: NDArray[np.int_]) -> tuple[float, Array] | None:
    """Choose the gate on patients whom the network has not seen; return it with what was added to each, `(n, K)`.

    The inner folds are put together to three parts, and a network of the others says what it would add to the patients
    of each. None if nothing is to be kept: the gate is zero, the network gains nothing on the first part already, or
    there are too few patients to measure by.
    """
    assert training.offset is not None  # the caller gives it
    kind, outcome, target = training.target.kind, training.outcome, training.target
    _, codes = np.unique(folds, return_inverse=True)
    parts = codes * PARTS // (codes.max() + 1)
    added = np.zeros_like(training.offset)
    for number, part in enumerate(np.unique(parts)):
        seen, unseen = np.flatnonzero(parts != part), np.flatnonzero(parts == part)
        if not enough(training, seen):
            return None
        network = learned(recipe, without(training, seen, number))
        added[unseen] = network.link(training.cohort.subset(unseen))
        own = outcome.take(unseen)
        if number == 0 and target.learnable(own):
            here = (training.offset[unseen], added[unseen], own, folds[unseen])
            if choose_gate(kind, *here, margin=0.0) == 0.0:
                return None
    gate = choose_gate(kind, training.offset, added, outcome, folds)
    return (gate, added) if gate else None


def enough(training: Training, rows: NDArray[np.int_]) -> bool:
    """True if a network can be trained on these patients: their outcomes differ, and ten of them have a modality."""
    plenty = training.cohort.present[rows].sum(0) >= LEAST_PATIENTS
    return bool(plenty.any()) and training.target.learnable(training.outcome.take(rows))


def without(training: Training, rows: NDArray[np.int_], number: int) -> Training:
    """Return the training set of these patients alone, with checkpoints of its own."""
    assert training.offset is not None
    folder = None if training.checkpoint is None else training.checkpoint / f"without-part-{number}"
    cohort = training.cohort.subset(rows)
    made = trainable(cohort, training.seed, folder, training.device)
    kept = np.isin(cohort.ids, made.cohort.ids)  # a modality that few of them have is left out, and who has no other
    return replace(made, offset=training.offset[rows][kept])
