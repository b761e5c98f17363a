"""Input of the metrics: the predictions of a model for patients whose outcome is known, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chiasm.cohort.targets import Outcome
from chiasm.metrics.censoring import truncation_time
from chiasm.metrics.weighted import Floats

_SURVIVAL = "survival_"


@dataclass(frozen=True)
class Scored:
    """Predictions and outcomes of the patients whose outcome is known, in one order.

    `prediction` is (n, K) probabilities, (n,) numbers or (n,) risks; `survival` is (n, K) at the `times` (K,), or None.
    `train` is the outcome of the training patients for whom it is known, or None.
    """

    prediction: Floats
    outcome: Outcome
    train: Outcome | None = None
    survival: Floats | None = None
    times: Floats | None = None


def scored_of(
    kind: str, predictions: pd.DataFrame, outcome: Outcome, classes: Sequence[str], train: Outcome | None
) -> Scored:
    """Read the columns of a model's predictions, for the patients of known outcome; arguments as for `scores.score`.

    Raises:
        ValueError: a missing column, a NaN among the predictions, or names that do not fit the classes or labels.
    """
    known = np.flatnonzero(outcome.known)
    predictions, outcome = predictions.iloc[known], outcome.take(known)
    train = None if train is None else train.take(np.flatnonzero(train.known))
    if kind == "classification":
        if len(classes) < 2:
            raise ValueError(f"classification has {len(classes)} classes: name two or more")
        return Scored(_columns(predictions, [f"p_{name}" for name in classes]), outcome, train)
    if kind == "multilabel":
        if len(classes) != outcome.value.shape[1]:
            raise ValueError(f"{len(classes)} names for {outcome.value.shape[1]} labels: name each")
        return Scored(_columns(predictions, [f"p_{name}" for name in classes]), outcome, train)
    if kind == "regression":
        return Scored(_columns(predictions, ["prediction"])[:, 0], outcome, train)
    named = _horizon_columns(predictions)
    survival = _columns(predictions, list(named.values())) if named else None
    return Scored(_columns(predictions, ["risk"])[:, 0], outcome, train, survival, np.array(list(named)))


def horizons_of(predictions: pd.DataFrame) -> tuple[float, ...]:
    """Horizons at which these predictions give a survival, increasing; the integrated Brier score spans them."""
    return tuple(_horizon_columns(predictions))


def uno_tau(train: Outcome) -> float:
    """Time up to which Uno's C counts events, from these training patients; see `censoring.truncation_time`."""
    known = train.take(np.flatnonzero(train.known))
    if known.event is None:
        raise ValueError("the outcome has no events: survival metrics need time and event")
    return truncation_time(known.value, known.event)


def _horizon_columns(predictions: pd.DataFrame) -> dict[float, str]:
    """Find the columns of survival predictions, {horizon: column}, by time."""
    names = [str(name) for name in predictions if str(name).startswith(_SURVIVAL)]
    return dict(sorted((float(name[len(_SURVIVAL) :]), name) for name in names))


def _columns(predictions: pd.DataFrame, names: list[str]) -> Floats:
    missing = [name for name in names if name not in predictions.columns]
    if missing:
        raise ValueError(f"predictions have no column {missing[0]!r}: a model gives {', '.join(names)}")
    values = predictions[names].to_numpy(dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of the predictions is not a finite number, as are {len(wrong)} rows in all")
    return values
