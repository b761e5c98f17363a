"""Metric values for a model's predictions on one set of patients, or on all folds of a repeat."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from chiasm.metrics.scored import Scored, horizons_of, scored_of, uno_tau
from chiasm.metrics.table import METRICS, PRIMARY, Metric
from chiasm.metrics.weighted import Floats, as_weights
from chiasm.targets import Outcome, kind_of

__all__ = [
    "METRICS",
    "MIN_EVENTS",
    "PRIMARY",
    "Metric",
    "Scored",
    "chosen_metrics",
    "estimable",
    "horizons_of",
    "scorable",
    "score",
    "score_pooled",
    "uno_tau",
]

MIN_EVENTS = 5
"""Fewest members of each class, patients with and without a label, events, or numbers to estimate a metric from."""

_CELLS = 2_000_000  # draws x patients scored at once: 16 MB, of which a metric holds a few


def score(
    kind: str,
    predictions: pd.DataFrame,
    outcome: Outcome,
    classes: Sequence[str] = (),
    weights: ArrayLike | None = None,
    train: Outcome | None = None,
    metrics: Collection[str] | None = None,
    *,
    min_events: int = MIN_EVENTS,
) -> dict[str, Floats]:
    """Compute every metric of a kind of target, for each draw of a bootstrap.

    Args:
        kind: kind of target, as a row of `METRICS` is called.
        predictions: row i belongs to patient i of `outcome`; columns `p_<class>` or `p_<label>` | `prediction` | `risk`
            and `survival_<time>`; others are ignored.
        outcome: outcomes of n patients; those whose outcome is unknown are left out.
        classes: names in the order of the codes in `outcome.value`, or labels in the order of its columns.
        weights: (R, n) counts; None gives the point estimate, R = 1.
        train: outcomes of the training patients, for the null model and the censoring distribution; without them the
            metrics that need them are NaN: `ipa`, `r2_null`, and of survival all but `harrell_c`.
        metrics: ids of the metrics to compute; None means all.
        min_events: see `estimable`; below it every value is NaN. A label below it is left out of the mean over labels.

    Returns:
        {metric id: (R,) float64}, NaN where a draw, or the whole, does not allow an estimate.

    Raises:
        ValueError: an unknown kind or metric, a missing column, a NaN among the predictions, or numbers of rows that
            differ.
    """
    chosen = chosen_metrics(kind, metrics)
    scored, w = _with_weights(
        kind, predictions, scorable(kind, outcome, min_events=min_events), classes, train, weights
    )
    enough = len(scored.outcome.value) > 0 and estimable(kind, scored.outcome, len(classes), min_events=min_events)
    return _values(chosen, [scored], w, enough=enough)


def score_pooled(
    kind: str,
    parts: Sequence[tuple[pd.DataFrame, Outcome, Outcome | None, ArrayLike | None]],
    classes: Sequence[str] = (),
    metrics: Collection[str] | None = None,
) -> dict[str, Floats]:
    """Compute every pooled metric over the folds of one repeat together, whatever the number of events.

    Args:
        kind, classes: as for `score`.
        parts: predictions, outcome, outcome of the training patients, and weights (R, n) or None, of each fold.
        metrics: ids of the metrics to compute; None means all. Those that are not pooled are skipped.

    Returns:
        {metric id: (R,) float64}.
    """
    chosen = [metric for metric in chosen_metrics(kind, metrics) if metric.pooled]
    both = [
        _with_weights(kind, predictions, outcome, classes, train, weights)
        for predictions, outcome, train, weights in parts
    ]
    scored = [part for part, _ in both if len(part.outcome.value)]
    w = np.concatenate([weights for _, weights in both], axis=1)
    return _values(chosen, scored, w, enough=bool(scored))


def _with_weights(
    kind: str,
    predictions: pd.DataFrame,
    outcome: Outcome,
    classes: Sequence[str],
    train: Outcome | None,
    weights: ArrayLike | None,
) -> tuple[Scored, Floats]:
    """Restrict the predictions to patients of known outcome, and return their weights (R, n) too."""
    if len(predictions) != len(outcome.value):
        raise ValueError(f"{len(predictions)} predictions for {len(outcome.value)} patients: give one row a patient")
    w = np.atleast_2d(np.ones(len(predictions)) if weights is None else np.asarray(weights))
    if w.ndim != 2 or w.shape[1] != len(predictions):
        raise ValueError(f"weights have shape {w.shape}: give draws x {len(predictions)} patients")
    return scored_of(kind, predictions, outcome, classes, train), w[:, outcome.known]


def _values(chosen: Sequence[Metric], parts: Sequence[Scored], weights: Floats, *, enough: bool) -> dict[str, Floats]:
    """Compute each metric in each draw, a block of draws at a time; NaN throughout without enough patients."""
    if not enough:
        return {metric.id: np.full(len(weights), np.nan) for metric in chosen}
    n = weights.shape[1]
    step = max(1, _CELLS // max(1, n))
    blocks = [as_weights(weights[i : i + step], n) for i in range(0, len(weights), step)]
    seen: dict[Any, Any] = {}  # terms that several metrics share are prepared once
    given: dict[Any, Floats] = {}
    found = {}
    for metric in chosen:
        source = (metric.of_patients, metric.is_slope)
        if source not in seen:
            seen[source] = metric.prepared(parts)
        key = (source, metric.function)
        if key not in given:
            given[key] = np.concatenate([metric.function(seen[source], block) for block in blocks], axis=-1)
        found[metric.id] = given[key] if metric.row is None else given[key][metric.row]
    return found


def estimable(kind: str, outcome: Outcome, n_classes: int = 0, *, min_events: int = MIN_EVENTS) -> bool:
    """Return True if there are enough patients of known outcome for a metric to mean anything.

    Classification: `min_events` members of each class (of `n_classes`; 0 takes those seen, and at least two).
    Multilabel: `min_events` patients with, and as many without, any one label; see `scorable` for the other labels.
    Survival: `min_events` events; a cohort without censoring is fine. Regression: `min_events` patients.
    """
    own = kind_of(kind)
    least = max(1, min_events) if own.has_labels else min_events
    return own.rarest(outcome, n_classes) >= least


def scorable(kind: str, outcome: Outcome, *, min_events: int = MIN_EVENTS) -> Outcome:
    """Mask the labels that fewer than `min_events` patients have, or do not have: they say too little.

    The outcomes of other kinds of target are returned unchanged.
    """
    return kind_of(kind).scorable(outcome, min_events)


def chosen_metrics(kind: str, metrics: Collection[str] | None) -> tuple[Metric, ...]:
    """Select the metrics of a kind with these ids, or all of them.

    Raises:
        ValueError: an unknown kind or metric.
    """
    if kind not in METRICS:
        raise ValueError(f"no metrics for a target of kind {kind!r}: it is one of {', '.join(METRICS)}")
    ids = [metric.id for metric in METRICS[kind]]
    unknown = sorted(set(metrics or ()) - set(ids))
    if unknown:
        raise ValueError(f"{kind} has no metric {unknown[0]!r}: choose from {', '.join(ids)}")
    return tuple(metric for metric in METRICS[kind] if metrics is None or metric.id in metrics)
