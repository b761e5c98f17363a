"""The outcomes by which the loss of a metric is told, or in a sentence why it is not, and when it is too high."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import pandas as pd

from chiasm.cohort import Cohort, Target, Unsupported
from chiasm.fitting.model import FittedModel
from chiasm.fitting.source_model import SourceModel
from chiasm.metrics.scores import MIN_EVENTS, estimable
from chiasm.models.explain.columns import Scoring, Worth
from chiasm.models.same_target import FittedFor, require_target
from chiasm.protocols import Model
from chiasm.targets import Outcome, kind_of

TOO_HIGH = "what a column is worth to the metric is told too high"
NOT_KNOWN = f"It cannot be told from the model whether it was fitted on some of these patients: if it was, {TOO_HIGH}"
"""Said of every cohort that is not the model's own; who held patients out himself knows better."""


@runtime_checkable
class HoldsTarget(Protocol):
    """Protocol of a model that holds the target it was fitted for, as a pipeline of scikit-learn does."""

    @property
    def target(self) -> Target: ...


def target_known(model: Model) -> tuple[str, tuple[str, ...], str] | None:
    """Return kind, names of classes or labels, and unit of the target of a model; None where it does not say."""
    if isinstance(model, FittedFor):
        return model.response.kind, tuple(model.response.classes), str(model.target.get("unit", ""))
    if isinstance(model, HoldsTarget) and isinstance(model.target, Target):
        return model.target.kind, tuple(model.target.names), model.target.unit
    return None


def answers_of(model: Model, whole: pd.DataFrame, cohort: Cohort) -> list[str]:
    """Return the outputs that answer the target: the model's own, or the cohort's where the model does not say it.

    All outputs of a model that does not say it, where the cohort has no target or another one.
    """
    known = target_known(model)
    if known is not None:
        return kind_of(known[0]).answers(known[1])
    own = [] if cohort.target is None else cohort.target.answers(cohort.target.names)
    return own if own and set(own) <= set(whole) else [name for name in whole.columns if name != "pattern"]


def scoring_of(model: Model, cohort: Cohort) -> tuple[Scoring | None, str]:
    """Return the outcomes that tell the loss, or why there are none."""
    known = target_known(model)
    if known is None:
        return None, "the model does not say what it was fitted for"
    try:
        target, outcome = require_target(*known, cohort)
    except Unsupported as fault:
        return None, str(fault)
    scoring = Scoring(target.kind, outcome, tuple(target.names))
    return (scoring, "") if enough(scoring, outcome) else (None, few_of(scoring))


def enough(scoring: Scoring, outcome: Outcome) -> bool:
    """True if the metric can be told from these outcomes."""
    return bool(outcome.known.any()) and estimable(scoring.kind, outcome, len(scoring.names))


def few_of(scoring: Scoring) -> str:
    """Say what there is too little of, where the metric cannot be told."""
    kind = kind_of(scoring.kind)
    if kind.has_labels:
        return f"no label is known of {MIN_EVENTS} patients who have it and {MIN_EVENTS} who do not"
    few = "patients of each class" if kind.has_classes else "events" if kind.has_times else "known outcomes"
    return f"it takes {MIN_EVENTS} {few}, and there are not as many"


def said_of_loss(model: Model, cohort: Cohort, scoring: Scoring | None, why: str) -> str:
    """Say why there is no loss; or that it is too high, or may be."""
    if scoring is None:
        return f"No loss of the metric is told: {why}"
    if isinstance(model, FittedModel) and SourceModel(cohort.name, model).learned_from(cohort):
        return f"The model was fitted on these very patients: {TOO_HIGH}"
    return NOT_KNOWN


def without_loss(found: Sequence[Worth], scoring: Scoring | None) -> Iterator[str]:
    """Name the modalities that have no loss although the cohort has one, for want of outcomes among their patients."""
    if scoring is None:
        return
    for modality, shuffles in {worth.piece.modality: worth.shuffles for worth in found}.items():
        if len(shuffles.rows) and not enough(scoring, scoring.outcome.take(shuffles.rows)):
            yield f"No loss of the metric is told of '{modality}', among those who have it: {few_of(scoring)}"
