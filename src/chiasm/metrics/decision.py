"""Decision curves: what a prediction is worth to those who treat everybody whose risk reaches a threshold.

At a threshold t a doctor who treats from t on holds one untreated case to be as bad as (1 - t) / t needless treatments:

    net benefit(t)  =  true positives / n  -  t / (1 - t)  false positives / n

in cases found per patient. Treating nobody has 0; treating everybody has p - (1 - p) t / (1 - t), p the share of cases.
Every function takes weights (R, n), the counts of a bootstrap, and returns (R, T) for T thresholds.

Source: Vickers and Elkin 2006, doi:10.1177/0272989X06295361; for times of an event, and for one of several causes of
it, Vickers et al. 2008, doi:10.1186/1472-6947-8-53. Equals `dca` of the package dcurves, and of one
of several causes what `cmprsk::cuminc` gives among the treated.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.weighted import Floats, ratio


def net_benefit(risk: Floats, happened: Floats, thresholds: Floats, weights: Floats) -> Floats:
    """Net benefit of treating whoever has a risk of a threshold or more.

    Args:
        risk, happened: (n,) predicted probability, and 1 for a case.
        thresholds: (T,) between 0 and 1.
        weights: (R, n).
    """
    flagged = (risk[:, None] >= thresholds).astype(np.float64)  # (n, T)
    total = weights.sum(axis=1)[:, None]
    cases, others = (weights * happened) @ flagged, (weights * (1 - happened)) @ flagged
    return ratio(cases - others * odds(thresholds), np.broadcast_to(total, cases.shape))


def net_benefit_at(
    risk: Floats,
    time: Floats,
    event: NDArray[np.bool_],
    horizon: float,
    thresholds: Floats,
    weights: Floats,
    *,
    other: NDArray[np.bool_] | None = None,
) -> Floats:
    """Net benefit for an event by a horizon, its share among the treated by Kaplan-Meier.

    Where another cause may come first, the share is the Aalen-Johansen incidence of the cause among the treated.
    NaN at a threshold where nobody who is treated was followed to the horizon and some had no event.

    Args:
        risk: (n,) predicted probability of the event by the horizon.
        time, event: (n,).
        thresholds, weights: as for `net_benefit`.
        other: (n,) True for an event of another cause; None where there is no other.
    """
    order = np.argsort(time, kind="stable")
    total = weights.sum(axis=1)
    found = []
    for threshold in thresholds:
        rows = order[risk[order] >= threshold]
        treated = ratio(weights[:, rows].sum(axis=1), total)
        share = share_by(time[rows], event[rows], horizon, weights[:, rows], None if other is None else other[rows])
        benefit = treated * (share - (1 - share) * odds(threshold))
        found.append(np.where(treated > 0, benefit, 0.0))
    return np.stack(found, axis=1) if found else np.zeros((len(weights), 0))


def share_by(
    time: Floats, event: NDArray[np.bool_], horizon: float, weights: Floats, other: NDArray[np.bool_] | None = None
) -> Floats:
    """Share (R,) with the event by a horizon, of patients with ascending times; arguments as for `net_benefit_at`."""
    if other is None:
        return 1 - event_free(time, event, horizon, weights)
    return incidence(time, event, other, horizon, weights)


def treat_all(share: Floats, thresholds: Floats) -> Floats:
    """Net benefit of treating everybody, where a share (R,) are cases."""
    return np.asarray(share[:, None] - (1 - share[:, None]) * odds(thresholds), dtype=np.float64)


def event_free(time: Floats, event: NDArray[np.bool_], horizon: float, weights: Floats) -> Floats:
    """Kaplan-Meier survival (R,) at a horizon of patients with ascending times, each counted as its weights say.

    NaN for a draw in which nobody is followed to the horizon and some have no event.
    """
    if not len(time):
        return np.full(len(weights), np.nan)
    survival = np.prod(1 - _hazards(time, event, event, horizon, weights), axis=1)
    return np.where(_settled(time, horizon, weights, survival), survival, np.nan)


def incidence(
    time: Floats, event: NDArray[np.bool_], other: NDArray[np.bool_], horizon: float, weights: Floats
) -> Floats:
    """Aalen-Johansen incidence (R,) of one cause by a horizon, of patients with ascending times.

        F(t) = sum_{t_j <= t} S(t_j-) d_j / n_j        S(t) = prod_{t_j <= t} (1 - d*_j / n_j)

    d_j are the events of the cause at t_j, d*_j those of any, n_j the patients at risk, each counted as its weights
    say. NaN as for `event_free`. Equals `cmprsk::cuminc`.

    Args:
        event, other: (n,) True for an event of the cause, and of another.
    """
    if not len(time):
        return np.full(len(weights), np.nan)
    any_event = event | other
    survival = np.cumprod(1 - _hazards(time, any_event, any_event, horizon, weights), axis=1)
    before = np.c_[np.ones(len(weights)), survival]  # (R, J + 1)
    share = np.sum(before[:, :-1] * _hazards(time, event, any_event, horizon, weights), axis=1)
    return np.where(_settled(time, horizon, weights, before[:, -1]), share, np.nan)


def _hazards(time: Floats, event: NDArray[np.bool_], at: NDArray[np.bool_], horizon: float, weights: Floats) -> Floats:
    """Hazard (R, J) of `event` at the J times by the horizon at which somebody of `at` had one; zero without a risk."""
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]  # (R, n): those at this place or later
    times = np.unique(time[at & (time <= horizon)])
    first, last = (np.searchsorted(time, times, side=side) for side in ("left", "right"))
    events = np.c_[np.zeros(len(weights)), np.cumsum(weights * event, axis=1)]
    return np.asarray(np.nan_to_num(ratio(events[:, last] - events[:, first], at_risk[:, first])))


def _settled(time: Floats, horizon: float, weights: Floats, survival: Floats) -> NDArray[np.bool_]:
    """True (R,) where somebody was followed to the horizon, or nobody is left without an event."""
    return np.asarray((weights[:, time >= horizon] > 0).any(axis=1) | (survival <= 0))


def odds(threshold: Floats | float) -> Floats:
    """Cases that one needless treatment is worth, t / (1 - t)."""
    t = np.asarray(threshold, dtype=np.float64)
    return np.asarray(t / (1 - t), dtype=np.float64)
