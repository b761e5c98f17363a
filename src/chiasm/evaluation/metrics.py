"""The metrics of each kind of target, and their values for the predictions of a model on one set of patients."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from chiasm.cohort.stratify import fewest
from chiasm.cohort.targets import Outcome
from chiasm.evaluation import classification_metrics as classes_
from chiasm.evaluation import multilabel_metrics as labels_
from chiasm.evaluation import regression_metrics as numbers_
from chiasm.evaluation import survival_metrics as survival_
from chiasm.evaluation.weighted import Floats, as_weights

MIN_EVENTS = 5
"""Fewest members of each class, with and without a label, events, or numbers, from which a metric is estimated."""

NOT_ESTIMABLE = "not estimable"

_SURVIVAL = "survival_"
_CELLS = 2_000_000  # draws x patients scored at once: 16 MB, of which a metric holds a few


@dataclass(frozen=True)
class Scored:
    """What a metric sees: patients whose outcome is known, in one order.

    `prediction` is (n, K) probabilities, (n,) numbers or (n,) risks; `survival` is (n, K) at the `times` (K,), or None.
    """

    prediction: Floats
    outcome: Outcome
    train: Outcome | None = None
    survival: Floats | None = None
    times: Floats | None = None


@dataclass(frozen=True)
class Metric:
    """A metric: `function(scored, weights (R, n)) -> (R,)`; `higher_is_better` is None where the ideal is 1."""

    id: str
    label: str
    higher_is_better: bool | None
    function: Callable[[Scored, Floats], Floats]


def _survival_arrays(s: Scored) -> tuple[Floats, NDArray[np.bool_]]:
    if s.outcome.event is None:
        raise ValueError("the outcome has no events: survival metrics need time and event")
    return s.outcome.value, s.outcome.event


def _harrell_c(s: Scored, w: Floats) -> Floats:
    return survival_.harrell_c(s.prediction, *_survival_arrays(s), w)


def _uno_c(s: Scored, w: Floats) -> Floats:
    if s.train is None or s.train.event is None:
        return np.full(len(w), np.nan)
    return survival_.uno_c(s.prediction, *_survival_arrays(s), s.train.value, s.train.event, w)


def _integrated_brier(s: Scored, w: Floats) -> Floats:
    if s.train is None or s.train.event is None or s.survival is None or s.times is None:
        return np.full(len(w), np.nan)
    arrays = _survival_arrays(s)
    return survival_.integrated_brier(s.survival, s.times, *arrays, s.train.value, s.train.event, w)


def _of_classes(
    function: Callable[[ArrayLike, ArrayLike, ArrayLike | None], Floats],
) -> Callable[[Scored, Floats], Floats]:
    return lambda s, w: function(s.prediction, s.outcome.value, w)


METRICS: dict[str, tuple[Metric, ...]] = {
    "classification": (
        Metric("auroc", "AUROC", True, _of_classes(classes_.auroc)),
        Metric("auprc", "average precision", True, _of_classes(classes_.auprc)),
        Metric("balanced_accuracy", "balanced accuracy", True, _of_classes(classes_.balanced_accuracy)),
        Metric("macro_f1", "macro F1", True, _of_classes(classes_.macro_f1)),
        Metric("brier", "Brier score", False, _of_classes(classes_.brier)),
        Metric("calibration_slope", "calibration slope", None, _of_classes(classes_.calibration_slope)),
    ),
    "multilabel": (
        Metric("auroc", "macro AUROC", True, _of_classes(labels_.auroc)),
        Metric("auprc", "macro average precision", True, _of_classes(labels_.auprc)),
        Metric("brier", "mean Brier score", False, _of_classes(labels_.brier)),
        Metric("calibration_slope", "mean calibration slope", None, _of_classes(labels_.calibration_slope)),
    ),
    "regression": (
        Metric("r2", "R²", True, _of_classes(numbers_.r2)),
        Metric("rmse", "RMSE", False, _of_classes(numbers_.rmse)),
        Metric("spearman", "Spearman's ρ", True, _of_classes(numbers_.spearman)),
        Metric("c_index", "concordance index", True, _of_classes(numbers_.c_index)),
    ),
    "survival": (
        Metric("harrell_c", "Harrell's C", True, _harrell_c),
        Metric("uno_c", "Uno's C", True, _uno_c),
        Metric("integrated_brier", "integrated Brier score", False, _integrated_brier),
    ),
}

PRIMARY: dict[str, str] = {
    "classification": "auroc",
    "multilabel": "auroc",
    "regression": "r2",
    "survival": "harrell_c",
}


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
    """Every metric of a kind of target, for each draw of a bootstrap.

    Args:
        kind: "classification", "multilabel", "regression" or "survival".
        predictions: row i belongs to patient i of `outcome`; columns `p_<class>` or `p_<label>` | `prediction` | `risk`
            and `survival_<time>`; others are ignored.
        outcome: n patients; those whose outcome is not known are left out.
        classes: names in the order of the codes in `outcome.value`, or labels in the order of its columns.
        weights: (R, n) counts; None gives the point estimate, R = 1.
        train: outcome of the training patients, for the censoring distribution; without it `uno_c` and
            `integrated_brier` are NaN.
        metrics: ids of those wanted; None is all.
        min_events: see `estimable`; below it every value is NaN. A label below it is left out of the mean over labels.

    Returns:
        {metric id: (R,) float64}, NaN where a draw, or the whole, does not allow an estimate.

    Raises:
        ValueError: an unknown kind or metric, a missing column, a NaN among the predictions, or numbers of rows that
            differ.
    """
    chosen = _chosen(kind, metrics)
    if len(predictions) != len(outcome.value):
        raise ValueError(f"{len(predictions)} predictions for {len(outcome.value)} patients: give one row a patient")
    w = np.atleast_2d(np.ones(len(predictions)) if weights is None else np.asarray(weights))
    if w.ndim != 2 or w.shape[1] != len(predictions):
        raise ValueError(f"weights have shape {w.shape}: give draws x {len(predictions)} patients")
    outcome = scorable(kind, outcome, min_events=min_events)
    known = np.flatnonzero(outcome.known)
    scored = _scored(kind, predictions.iloc[known], outcome.take(known), classes, train)
    if len(known) == 0 or not estimable(kind, scored.outcome, len(classes), min_events=min_events):
        return {metric.id: np.full(len(w), np.nan) for metric in chosen}
    step = max(1, _CELLS // max(1, len(known)))
    blocks = [as_weights(w[i : i + step][:, known], len(known)) for i in range(0, len(w), step)]
    return {metric.id: np.concatenate([metric.function(scored, block) for block in blocks]) for metric in chosen}


def estimable(kind: str, outcome: Outcome, n_classes: int = 0, *, min_events: int = MIN_EVENTS) -> bool:
    """Whether there are enough patients of known outcome for a metric to mean anything.

    Classification: `min_events` members of each class (of `n_classes`; 0 takes those seen, and at least two).
    Multilabel: `min_events` patients who have, and as many who have not, any one label; see `scorable` for the others.
    Survival: `min_events` events; a cohort without censoring is fine. Regression: `min_events` patients.
    """
    if kind == "multilabel":
        return bool((fewest(outcome.value) >= max(1, min_events)).any())
    value = outcome.value[outcome.known]
    if kind == "classification":
        return bool(np.bincount(value.astype(np.intp), minlength=max(n_classes, 2)).min() >= min_events)
    if kind == "survival":
        return outcome.event is not None and int(outcome.event[outcome.known].sum()) >= min_events
    return len(value) >= min_events


def scorable(kind: str, outcome: Outcome, *, min_events: int = MIN_EVENTS) -> Outcome:
    """The outcome without labels that fewer than `min_events` patients have, or have not: they say too little.

    The other kinds of target are as they were.
    """
    if kind != "multilabel":
        return outcome
    value = np.where(fewest(outcome.value) >= min_events, outcome.value, np.nan)
    return Outcome(value, None, outcome.known & ~np.isnan(value).all(axis=1))


def _chosen(kind: str, metrics: Collection[str] | None) -> tuple[Metric, ...]:
    if kind not in METRICS:
        raise ValueError(f"no metrics for a target of kind {kind!r}: it is one of {', '.join(METRICS)}")
    ids = [metric.id for metric in METRICS[kind]]
    unknown = sorted(set(metrics or ()) - set(ids))
    if unknown:
        raise ValueError(f"{kind} has no metric {unknown[0]!r}: choose from {', '.join(ids)}")
    return tuple(metric for metric in METRICS[kind] if metrics is None or metric.id in metrics)


def _scored(
    kind: str, predictions: pd.DataFrame, outcome: Outcome, classes: Sequence[str], train: Outcome | None
) -> Scored:
    if kind == "classification":
        if len(classes) < 2:
            raise ValueError(f"classification has {len(classes)} classes: name two or more")
        return Scored(_columns(predictions, [f"p_{name}" for name in classes]), outcome)
    if kind == "multilabel":
        if len(classes) != outcome.value.shape[1]:
            raise ValueError(f"{len(classes)} names for {outcome.value.shape[1]} labels: name each")
        return Scored(_columns(predictions, [f"p_{name}" for name in classes]), outcome)
    if kind == "regression":
        return Scored(_columns(predictions, ["prediction"])[:, 0], outcome)
    horizons = {
        float(str(name)[len(_SURVIVAL) :]): str(name) for name in predictions if str(name).startswith(_SURVIVAL)
    }
    times = np.array(sorted(horizons))
    survival = _columns(predictions, [horizons[t] for t in sorted(horizons)]) if horizons else None
    train = None if train is None else train.take(np.flatnonzero(train.known))
    return Scored(_columns(predictions, ["risk"])[:, 0], outcome, train, survival, times)


def _columns(predictions: pd.DataFrame, names: list[str]) -> Floats:
    missing = [name for name in names if name not in predictions.columns]
    if missing:
        raise ValueError(f"predictions have no column {missing[0]!r}: a model gives {', '.join(names)}")
    values = predictions[names].to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of the predictions is not a finite number, as are {len(wrong)} rows in all")
    return values
