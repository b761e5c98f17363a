"""Input of the metrics: the predictions of a model for patients whose outcome is known, in one order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.metrics.censoring import truncation_time
from chiasm.metrics.weighted import Floats
from chiasm.targets import KINDS, Outcome, kind_of


@dataclass(frozen=True)
class Scored:
    """Predictions and outcomes of the patients whose outcome is known, in one order.

    `prediction` is (n, K) probabilities, (n, V) channels, (n,) numbers or (n,) risks; `survival` is (n, K) at the
    `times` (K,), or None.
    `train` is the outcome of the training patients for whom it is known, or None. Of competing risks, `prediction` is
    the log hazard of the main cause, and `survival` the probability of not having had it, whatever else happened. Of
    texts `said` (n,) is what is said of each, and `prediction` is (n, 0). Of boxes `said` is the text of those found,
    and `prediction` (n, K) how many there are of each label; of label maps the text of the map, and how much.
    """

    prediction: Floats
    outcome: Outcome
    train: Outcome | None = None
    survival: Floats | None = None
    times: Floats | None = None
    said: NDArray[np.object_] | None = None


def scored_of(
    kind: str, predictions: pd.DataFrame, outcome: Outcome, classes: Sequence[str], train: Outcome | None
) -> Scored:
    """Read the columns of a model's predictions, for the patients of known outcome; arguments as for `scores.score`.

    Raises:
        ValueError: a missing column, a NaN among the predictions, or names that do not fit the classes or labels.
    """
    known = np.flatnonzero(outcome.known)
    outcome = outcome.take(known)
    train = None if train is None else train.take(np.flatnonzero(train.known))
    own = kind_of(kind)
    if wrong := own.misnamed(classes, outcome):
        raise ValueError(wrong)
    if own.has_texts:
        return Scored(
            np.zeros((len(known), 0)), outcome, train, said=_texts(predictions, own.answers(classes)[0], known)
        )
    if own.is_drawn:
        first, *numbers = own.answers(classes)
        return Scored(_columns(predictions, numbers, known), outcome, train, said=_texts(predictions, first, known))
    prediction = _columns(predictions, own.answers(classes), known)
    if not (own.has_classes or own.has_labels or own.has_options or own.has_channels):
        prediction = prediction[:, 0]
    if not own.has_times:
        return Scored(prediction, outcome, train)
    named = own.horizon_columns(predictions)
    survival = _columns(predictions, list(named.values()), known) if named else None
    if survival is not None and own.has_causes:
        survival = 1 - survival
    return Scored(prediction, outcome, train, survival, np.array(list(named)))


def horizons_of(predictions: pd.DataFrame) -> tuple[float, ...]:
    """Horizons of these predictions, increasing; the integrated Brier score spans them."""
    found = (own.horizon_columns(predictions) for own in KINDS.values() if own.has_times)
    return tuple(next((named for named in found if named), {}))


def uno_tau(train: Outcome) -> float:
    """Time up to which Uno's C counts events, from these training patients; see `censoring.truncation_time`."""
    known = train.take(np.flatnonzero(train.known))
    if known.event is None:
        raise ValueError("the outcome has no events: survival metrics need time and event")
    return truncation_time(known.value, known.event)


def _texts(predictions: pd.DataFrame, name: str, rows: NDArray[np.intp]) -> NDArray[np.object_]:
    if name not in predictions.columns:
        raise ValueError(f"predictions have no column {name!r}: a model gives {name}")
    texts = predictions[name].to_numpy(object)[rows]
    wrong = np.flatnonzero([not isinstance(own, str) for own in texts])
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of the predictions is no text, as are {len(wrong)} rows in all")
    return texts


def _columns(predictions: pd.DataFrame, names: list[str], rows: NDArray[np.intp]) -> Floats:
    missing = [name for name in names if name not in predictions.columns]
    if missing:
        raise ValueError(f"predictions have no column {missing[0]!r}: a model gives {', '.join(names)}")
    values = np.empty((len(rows), len(names)))
    for place, name in enumerate(names):  # one by one: pandas takes twenty times as long for a table of a few columns
        values[:, place] = predictions[name].to_numpy(dtype=np.float64)[rows]
    wrong = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(wrong):
        raise ValueError(f"row {wrong[0]} of the predictions is not a finite number, as are {len(wrong)} rows in all")
    return values
