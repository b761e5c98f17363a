"""Decision curves: what a prediction is worth to those who treat everybody whose risk reaches a threshold.

At a threshold t a doctor who treats from t on holds one untreated case to be as bad as (1 - t) / t needless treatments:

    net benefit(t)  =  true positives / n  -  t / (1 - t)  false positives / n

in cases found per patient. Treating nobody has 0; treating everybody has p - (1 - p) t / (1 - t), p the share of cases.
Every function takes weights (R, n), the counts of a bootstrap, and returns (R, T) for T thresholds.

Source: Vickers and Elkin 2006, doi:10.1177/0272989X06295361; for times of an event Vickers et al. 2008,
doi:10.1186/1472-6947-8-53. Equals `dca` of the package dcurves.
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
    risk: Floats, time: Floats, event: NDArray[np.bool_], horizon: float, thresholds: Floats, weights: Floats
) -> Floats:
    """Net benefit for an event by a horizon, its share among the treated by Kaplan-Meier.

    NaN at a threshold where nobody who is treated was followed to the horizon and some had no event.

    Args:
        risk: (n,) predicted probability of the event by the horizon.
        time, event: (n,).
        thresholds, weights: as for `net_benefit`.
    """
    order = np.argsort(time, kind="stable")
    total = weights.sum(axis=1)
    found = []
    for threshold in thresholds:
        rows = order[risk[order] >= threshold]
        treated = ratio(weights[:, rows].sum(axis=1), total)
        share = 1 - event_free(time[rows], event[rows], horizon, weights[:, rows])
        benefit = treated * (share - (1 - share) * odds(threshold))
        found.append(np.where(treated > 0, benefit, 0.0))
    return np.stack(found, axis=1) if found else np.zeros((len(weights), 0))


def treat_all(share: Floats, thresholds: Floats) -> Floats:
    """Net benefit of treating everybody, where a share (R,) are cases."""
    return np.asarray(share[:, None] - (1 - share[:, None]) * odds(thresholds), dtype=np.float64)


def event_free(time: Floats, event: NDArray[np.bool_], horizon: float, weights: Floats) -> Floats:
    """Kaplan-Meier survival (R,) at a horizon of patients with ascending times, each counted as its weights say.

    NaN for a draw in which nobody is followed to the horizon and some have no event.
    """
    if not len(time):
        return np.full(len(weights), np.nan)
    at_risk = np.cumsum(weights[:, ::-1], axis=1)[:, ::-1]  # (R, n): those at this place or later
    died = np.unique(time[event & (time <= horizon)])
    first = np.searchsorted(time, died, side="left")
    last = np.searchsorted(time, died, side="right")
    deaths = np.c_[np.zeros(len(weights)), np.cumsum(weights * event, axis=1)]
    hazard = ratio(deaths[:, last] - deaths[:, first], at_risk[:, first])
    survival = np.prod(1 - np.nan_to_num(hazard), axis=1)
    followed = (weights[:, time >= horizon] > 0).any(axis=1)
    return np.where(followed | (survival <= 0), survival, np.nan)


def odds(threshold: Floats | float) -> Floats:
    """Cases that one needless treatment is worth, t / (1 - t)."""
    t = np.asarray(threshold, dtype=np.float64)
    return np.asarray(t / (1 - t), dtype=np.float64)
