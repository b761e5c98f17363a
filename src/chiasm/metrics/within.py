"""Primary metrics within strata of patients: pairs, or deviations from a mean, are formed within a stratum and summed.

Each is a function of the scored patients, their strata (n, K), of which -1 is left out, and bootstrap weights (R, n).
It returns (R,): NaN where no stratum has a comparable pair. A stratum of fewer than two patients has no pair; a mean
over patients counts who is alone in one too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics import choice as choice_
from chiasm.metrics import classification as classes_
from chiasm.metrics import competing as competing_
from chiasm.metrics import survival as survival_
from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, ratio
from chiasm.targets import Outcome

Strata = NDArray[np.intp]
"""Stratum of each patient, (n, K): one column per class or label, or a single one; -1 means left out."""

Pairs = Callable[[NDArray[np.intp]], tuple[Floats, Floats]]
"""Function of the rows of a stratum: the weights of its concordant and comparable pairs, (R,) each."""

Within = Callable[[Scored, Strata, Floats], Floats]


def auroc_of_classes(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Concordant over comparable pairs of the second of two classes, or the mean over the classes that have a pair."""
    classes = scored.prediction.shape[1]
    members = [scored.outcome.value == k for k in range(classes)]
    return _auroc(scored.prediction, members, [1] if classes == 2 else list(range(classes)), strata, w)


def auroc_of_label(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Concordant over comparable pairs of one label: of several, one is scored at a time."""
    return _auroc(scored.prediction, [scored.outcome.value[:, 0] == 1], [0], strata, w)


def _auroc(
    prediction: Floats, members: list[NDArray[np.bool_]], columns: list[int], strata: Strata, w: Floats
) -> Floats:
    values = []
    for k in columns:
        own = strata[:, min(k, strata.shape[1] - 1)]
        values.append(ratio(*_summed(own, partial(_class_pairs, prediction[:, k], members[k], w), w)))
    several = np.stack(values)
    told = ~np.isnan(several)
    return ratio(np.where(told, several, 0.0).sum(axis=0), told.sum(axis=0))


def accuracy(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Accuracy of the patients who stand in a stratum: a mean over patients compares nobody with another."""
    rows = np.flatnonzero(strata[:, 0] >= 0)
    return choice_.accuracy(scored.prediction[rows], scored.outcome.value[rows], w[:, rows])


def harrell_c(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Concordant over comparable pairs of times, both summed over strata."""

    def pairs(rows: NDArray[np.intp]) -> tuple[Floats, Floats]:
        return _survival_pairs(scored.prediction[rows], scored.outcome.take(rows), w[:, rows])

    return ratio(*_summed(strata[:, 0], pairs, w))


def wolbers_c(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """Concordant over comparable pairs of competing risks, both summed over strata."""
    return ratio(*_summed(strata[:, 0], competing_.pairs_of_scored(scored, w), w))


def r2(scored: Scored, strata: Strata, w: Floats) -> Floats:
    """One minus the squared errors over the squared outcomes, both as deviations from their mean within the stratum."""
    squares, spread = np.zeros(len(w)), np.zeros(len(w))
    own, value = strata[:, 0], scored.outcome.value
    error = value - scored.prediction
    for stratum in np.unique(own[own >= 0]):
        rows = np.flatnonzero(own == stratum)
        if len(rows) > 1:
            squares += _about_mean(error[rows], w[:, rows])
            spread += _about_mean(value[rows], w[:, rows])
    return 1 - ratio(squares, spread)


def _summed(strata: NDArray[np.intp], pairs: Pairs, w: Floats) -> tuple[Floats, Floats]:
    """Sum the concordant and the comparable pairs, (R,) each, over strata of two patients or more."""
    above, below = np.zeros(len(w)), np.zeros(len(w))
    for stratum in np.unique(strata[strata >= 0]):
        rows = np.flatnonzero(strata == stratum)
        if len(rows) > 1:
            concordant, comparable = pairs(rows)
            above, below = above + concordant, below + comparable
    return above, below


def _class_pairs(
    scores: Floats, positives: NDArray[np.bool_], weights: Floats, rows: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    score, positive, w = scores[rows], positives[rows], weights[:, rows]
    comparable = (w @ positive) * (w @ ~positive)
    if not positive.any() or positive.all():
        return np.zeros(len(w)), comparable
    probability = np.c_[1 - score, score]
    found = classes_.auroc(probability, positive.astype(int), w)
    return np.where(comparable > 0, np.nan_to_num(found) * comparable, 0.0), comparable


def _survival_pairs(risk: Floats, outcome: Outcome, w: Floats) -> tuple[Floats, Floats]:
    assert outcome.event is not None  # survival has events
    comparable = comparable_pairs(outcome.value, outcome.event, w)
    found = survival_.harrell_c(risk, outcome.value, outcome.event, w)
    return np.where(comparable > 0, np.nan_to_num(found) * comparable, 0.0), comparable


def comparable_pairs(time: Floats, event: NDArray[np.bool_], w: Floats) -> Floats:
    """Total weight (R,) of the pairs comparable in Harrell's C, with its tie rule: the shorter time is an event."""
    order = np.lexsort((~event, time))
    at, died, weight = time[order], event[order], w[:, order]
    # an event is comparable to everyone after the run of events at its own time
    starts = np.flatnonzero(np.r_[True, (at[1:] != at[:-1]) | (died[1:] != died[:-1])])
    ends = np.repeat(np.r_[starts[1:], len(at)], np.diff(np.r_[starts, len(at)]))
    beyond = np.c_[np.cumsum(weight[:, ::-1], axis=1)[:, ::-1], np.zeros(len(weight))]
    return np.asarray((weight[:, died] * beyond[:, ends[died]]).sum(axis=1))


def _about_mean(values: Floats, w: Floats) -> Floats:
    """Weighted sum of squares about the weighted mean, (R,)."""
    values = values - values.mean()  # keeps precision when the mean is large
    mean = np.nan_to_num(ratio(w @ values, w.sum(axis=1)))
    return np.asarray(np.maximum(w @ values**2 - w.sum(axis=1) * mean**2, 0.0))
