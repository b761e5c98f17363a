"""A fitted model recalibrated on later outcomes, with the model of before in its history."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Outcome, Unsupported
from chiasm.errors import count
from chiasm.fitting.history import Step
from chiasm.fitting.model import FittedModel
from chiasm.heads.response import Response
from chiasm.models.recalibration import (
    LEAST_EVENTS,
    LEAST_PATIENTS,
    NONE,
    PATTERNS,
    Array,
    Change,
    Chosen,
    Likelihood,
    TooFew,
    chosen_change,
    require_ranking,
)
from chiasm.protocols import Predictor, reads_inputs
from chiasm.targets import kind_of

TINY = 1e-15  # probabilities whose logits are taken are kept this far from 0 and 1


@storable("pattern-levels")
@dataclass(frozen=True)
class PatternLevels:
    """A predictor, and what is added to the link of patients of some patterns of modalities.

    Args:
        predictor: the predictor of before.
        shifts: pattern, as in `clinical+rna`, to the `(K,)` that is added to the link.
    """

    predictor: Predictor
    shifts: dict[str, np.ndarray]

    @property
    def trained_parameters(self) -> int:
        return self.predictor.trained_parameters + sum(int(own.size) for own in self.shifts.values())

    @property
    def reads_inputs(self) -> bool:
        """True if the wrapped predictor needs encoder inputs instead of stored tokens."""
        return reads_inputs(self.predictor)

    def link(self, cohort: Cohort) -> Array:
        """Return the link `(B, K)`, float64."""
        link = np.array(self.predictor.link(cohort), dtype=np.float64)
        texts, own = cohort.patterns()
        for place, pattern in enumerate(texts.tolist()):
            if pattern in self.shifts:
                link[own == place] += self.shifts[pattern]
        return link


def calibrated_links(model: FittedModel, predicted: pd.DataFrame) -> Array:
    """Calibrated links (n, K) by what a model predicts: logits, a number, or log hazards relative to training."""
    own = kind_of(model.response.kind)
    found: Array = predicted[own.answers(model.response.classes)].to_numpy(np.float64)
    if own.has_classes or own.has_labels:
        p = np.clip(found, TINY, 1 - TINY)
        return np.asarray(np.log(p) - np.log1p(-p) if own.has_labels else np.log(p), dtype=np.float64)
    return found


def likelihood_of(response: Response, outcome: Outcome) -> Likelihood:
    """The likelihood of links calibrated by a response, for patients of known outcome.

    Times count up to the last event of training: the model knows no hazard beyond it.

    Raises:
        Unsupported: a model of times that keeps no baseline hazard, or of a response.
    """
    own = kind_of(response.kind)
    if own.has_channels:
        raise Unsupported("a response has channels of their own units, which no one slope recalibrates: fit it anew")
    if not own.has_times:
        return Likelihood(response.kind, outcome)
    times = np.asarray(response.event_times, np.float64)
    if not len(times):
        raise Unsupported("the model keeps no baseline hazard, so that nothing can be expected of it: fit it again")
    assert outcome.event is not None  # times have events
    hazard = np.asarray(response.hazard, np.float64).reshape(len(times), -1)  # (E, K)
    until = np.r_[np.zeros((1, hazard.shape[1])), hazard][np.searchsorted(times, outcome.value, side="right")]
    place = np.asarray(outcome.event, int) if outcome.cause is None else outcome.cause
    within = outcome.value <= times[-1]
    seen = np.stack([(place == k + 1) & within for k in range(hazard.shape[1])], axis=1).astype(np.float64)
    return Likelihood(response.kind, outcome, until, seen)


def enough_patterns(model: FittedModel, patterns: np.ndarray, outcome: Outcome) -> list[str]:
    """Patterns with patients and events enough for a level of their own, the one of most patients first."""
    names, sizes = np.unique(patterns, return_counts=True)
    found = []
    for name in names[np.argsort(-sizes, kind="stable")].tolist():
        rows = np.flatnonzero(patterns == name)
        if name and len(rows) >= LEAST_PATIENTS and fewest(model.response, outcome.take(rows)) >= LEAST_EVENTS:
            found.append(name)
    return found


def fewest(response: Response, outcome: Outcome) -> int:
    """Size of the smallest group that a calibration rests on: events, members of a class, or patients."""
    own, classes = kind_of(response.kind), response.classes
    if own.has_labels:  # those that few have are masked, and are not counted
        with_it, without = np.nansum(outcome.value, axis=0), np.nansum(1 - outcome.value, axis=0)
        sizes = np.minimum(with_it, without)[~np.isnan(outcome.value).all(axis=0)]
        return int(sizes.min()) if len(sizes) else 0
    if own.has_times:
        likelihood = likelihood_of(response, outcome)
        assert likelihood.seen is not None
        return int(likelihood.seen.sum(axis=0).min())
    return int(own.rarest(outcome, len(classes)))


def recalibrated(
    model: FittedModel, predicted: pd.DataFrame, outcome: Outcome, *, level: float, by_pattern: bool = True
) -> Chosen:
    """Choose how a model is recalibrated; see `chiasm.models.recalibration`.

    Args:
        predicted: what the model predicts of n patients whom it has not learned from, with their pattern.
        outcome: their outcomes, all known.
        level: size of the test.
        by_pattern: whether patterns of modalities with enough patients may get a level of their own.

    Raises:
        TooFew: too few patients or events.
        Unsupported: a model of times that keeps no baseline hazard.
    """
    own, n = kind_of(model.response.kind), len(predicted)
    outcome = own.scorable(outcome, LEAST_EVENTS)
    least = fewest(model.response, outcome)
    if n < LEAST_PATIENTS or least < LEAST_EVENTS:
        what = own.rare.format(n=least) if not own.has_times else f"{count(least, 'event')} of the rarest cause"
        raise TooFew(
            f"too few to say: {count(n, 'patient')} with a known outcome, and {what}; recalibration takes "
            f"{LEAST_PATIENTS} patients and {LEAST_EVENTS} events or members of each class, so wait for more outcomes"
        )
    patterns = predicted["pattern"].to_numpy(str)
    enough = enough_patterns(model, patterns, outcome) if by_pattern else []
    likelihood, eta = likelihood_of(model.response, outcome), calibrated_links(model, predicted)
    return chosen_change(likelihood, eta, patterns.tolist(), enough, level)


def changed(model: FittedModel, change: Change, step: Callable[[str], Step]) -> FittedModel:
    """Return the model with a change, and with the step in its history; of no change the model as it is.

    Args:
        step: makes the step by what is told of it.

    Raises:
        Unsupported: the predictions do not rank the patients of the change, which no slope mends.
    """
    if change.name == NONE:
        return model
    require_ranking(change)
    response, predictor = moved(model.response, change), model.predictor
    if change.name == PATTERNS:
        shifts = {name: np.asarray(own / response.slope, np.float64) for name, own in change.shifts.items()}
        predictor = PatternLevels(predictor, shifts)
    said = told(change, model.response.classes)
    return replace(model, response=response, predictor=predictor, history=(*model.history, step(said)))


def moved(response: Response, change: Change) -> Response:
    """The response whose calibrated link is `intercept + slope times` that of before.

    A shift of log hazards moves the baseline hazard; one of logits or of a number is an intercept.
    """
    slope, a = change.slope, np.asarray(change.intercept, np.float64)
    kept = response.intercept if len(response.intercept) else np.zeros(len(a))
    if response.is_relative:
        hazard = np.asarray(response.hazard * np.exp(a if response.hazard.ndim > 1 else a[0]))
        intercept = slope * response.intercept
        return replace(response, slope=response.slope * slope, hazard=hazard, intercept=intercept)
    intercept = slope * kept + a + (slope - 1) * response.centre
    return replace(response, slope=response.slope * slope, intercept=intercept)


def told(change: Change, names: Sequence[str] = ()) -> str:
    """What was changed, in a sentence; `names` are the classes, labels or causes."""
    if change.name == NONE:
        return "Nothing was changed."
    slope = "" if change.slope == 1.0 else f", slope {change.slope:.3g}"
    levels = f", and {count(len(change.shifts), 'pattern')} of modalities with a level of their own"
    each = [f"{value:+.3g}" for value in change.intercept.tolist()]
    numbers = (
        ", ".join(f"{number} for '{name}'" for number, name in zip(each, names, strict=True)) if names else each[0]
    )
    return f"Recalibrated: intercept {numbers}{slope}{levels if change.shifts else ''}."


def learned(outcome: Outcome) -> Mapping[str, int]:
    """How many patients, and with times how many events, an outcome has."""
    events = outcome.main_event
    return {"patients": len(outcome.known)} | ({} if events is None else {"events": int(events.sum())})
