"""Discrimination and calibration terms at each horizon of a survival prediction.

A horizon is identified by its place, since each fold may have its own (the quartiles of its training patients' event
times): the first, second and third, or with more than three the first, the middle and the last.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics.censoring import event_free_survival, seen_by
from chiasm.metrics.classification import weighted_auroc
from chiasm.metrics.scored import Scored
from chiasm.metrics.weighted import Floats, as_weights
from chiasm.targets import Outcome
from chiasm.targets.follow_up import cumulative_incidence

PLACES = 3


def auc_at(
    risk: ArrayLike,
    horizon: float,
    time: ArrayLike,
    event: ArrayLike,
    train_time: ArrayLike,
    train_event: ArrayLike,
    weights: ArrayLike | None = None,
    main: ArrayLike | None = None,
) -> Floats:
    """Area under the ROC curve at a horizon t: those with the event by t (cumulative) against those without (dynamic).

        AUC(t) = sum_ij v_i v_j 1(T_i <= t, event) 1(T_j > t) [1(r_i > r_j) + 1(r_i = r_j) / 2] / sum_ij v_i v_j ...

    v_i = 1 / G(T_i-), v_j = 1 / G(t): patients censored by t are left out, and others weigh more instead. Equals
    `riskRegression::Score` and `timeROC` of R, which take G from the patients they score.

    Args:
        risk: (n,) risk of the event by t; any increasing function of it gives the same result.
        horizon: t.
        time, event: (n,).
        train_time, train_event: (n_train,) times and events of the training patients.
        weights: (R, n) counts.
        main: (n,) True where the event is that of the main cause; None: every event is. Who had another one by t is
            among those without, with the weight 1 / G(T_j-).

    Returns:
        (R,), NaN where nobody has, or nobody is free of, the event by t, and where G(t) is zero or unknown.

    Source: Uno et al. 2007, doi:10.1198/016214507000000149; Blanche et al. 2013, doi:10.1002/bimj.201200045.
    """
    died_by, seen = seen_by(time, event, [horizon], train_time, train_event)
    w = as_weights(weights, len(seen))
    if not bool(np.isfinite(seen).all()):
        return np.full(len(w), np.nan)
    rows = np.flatnonzero(seen[:, 0] > 0)
    score = np.asarray(risk, dtype=np.float64)[rows]
    case = died_by[:, 0] > 0.5
    case = case if main is None else case & np.asarray(main, dtype=np.bool_)
    return weighted_auroc(score, case[rows], w[:, rows] * seen[rows, 0])


def place_of(n_horizons: int, place: int) -> int | None:
    """Index of the horizon at a place from 0, or None where there are too few."""
    if n_horizons > PLACES:
        return (0, n_horizons // 2, n_horizons - 1)[place]
    return place if place < n_horizons else None


def fold_auc(s: Scored, weights: Floats, place: int) -> Floats:
    """AUC at the horizon of a place, with one minus the survival predicted there as the risk."""
    number = place_of(0 if s.times is None else len(s.times), place)
    if number is None or s.survival is None or s.times is None or s.train is None:
        return np.full(len(weights), np.nan)
    if s.train.event is None or s.outcome.event is None:
        return np.full(len(weights), np.nan)
    test, train = (s.outcome.value, s.outcome.event), (s.train.value, s.train.event)
    main = s.outcome.main_event
    return auc_at(1 - s.survival[:, number], float(s.times[number]), *test, *train, weights, main)


def horizon_terms(s: Scored) -> Floats:
    """Terms of each patient at each place, (n, 3, 4): risk, event by then, weight, and the null model's risk.

    NaN at a place without a horizon. The null model is the Kaplan-Meier estimate of the training patients, or that of
    Aalen and Johansen for the main of several causes. Calibration and the scaled Brier score at a horizon use these
    terms, which hold the horizons and censoring of the fold.
    """
    terms = np.full((len(s.prediction), PLACES, 4), np.nan)
    if s.survival is None or s.times is None or s.train is None or s.train.event is None or s.outcome.event is None:
        return terms
    train = (s.train.value, s.train.event)
    died_by, seen = seen_by(s.outcome.value, s.outcome.event, s.times, *train)
    died_by = died_by * np.asarray(s.outcome.main_event)[:, None]
    null = null_risk(s.train, s.times)
    for place in range(PLACES):
        number = place_of(len(s.times), place)
        if number is not None:
            columns = (1 - s.survival[:, number], died_by[:, number], seen[:, number])
            terms[:, place, :3] = np.stack(columns, axis=1)
            terms[:, place, 3] = null[number]
    return terms


def null_risk(train: Outcome, times: Floats) -> Floats:
    """Risk of the event by each of K times that the training patients have: Kaplan-Meier, or Aalen-Johansen, (K,)."""
    if train.cause is not None:
        return np.asarray(cumulative_incidence(train.value, train.cause, train.causes, times)[0])
    assert train.event is not None  # the caller has asked
    return 1 - event_free_survival(train.value, train.event, times)
