"""Cause-specific hazards of competing risks, and the cumulative incidences that follow from all of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from chiasm.linear.cox import events_by_cause
from chiasm.linear.loss import Array
from chiasm.linear.ridge_cox import breslow
from chiasm.targets import Outcome

AT_ONCE = 2_000_000  # patients times event times whose hazards are held at a time: 16 MB


def cause_hazards(link: Array, outcome: Outcome) -> tuple[Array, Array]:
    """Breslow's estimate of each cause's cumulative hazard for a link of zero.

    Returns `(event_times (E,), hazard (E, K))`, ascending, at the times of any event.
    """
    each = [
        breslow(link[:, k], outcome.value, event) for k, event in enumerate(events_by_cause(outcome, link.shape[1]))
    ]
    times = np.unique(np.concatenate([own for own, _ in each]))
    steps = [np.r_[0.0, hazard][np.searchsorted(own, times, side="right")] for own, hazard in each]
    return times, np.stack(steps, axis=1)


def incidence_at(link: Array, baseline: tuple[Array, Array], times: Sequence[float] | Array) -> Array:
    """Cumulative incidence `(n, K, T)` of each cause at T times from the cause-specific hazards, as a product integral.

        F_k(t) = sum_{t_j <= t} S(t_j-) dH_k(t_j) exp(link_k)
        S(t) = prod_{t_j <= t} (1 - sum_k dH_k(t_j) exp(link_k))

    Equals `predict` of `riskRegression::CSC` with `product.limit = TRUE`. Where a patient's hazards at a time sum to
    more than one, they share what is left in their proportion, so that the incidences never sum to more than one; R's
    then leave 0 to 1.

    Args:
        link: (n, K) log hazards.
        baseline: event times (E,) and cumulative hazards (E, K), as of `cause_hazards`.
        times: (T,).

    Source: Andersen, Borgan, Gill and Keiding 1993, Statistical Models Based on Counting Processes, section VII.2.3.
    """
    known, hazard = baseline
    places = np.searchsorted(known, np.asarray(times, np.float64), side="right")  # (T,)
    jumps = np.diff(hazard, axis=0, prepend=0.0)[: int(places.max(initial=0))]  # (E, K)
    growth = np.exp(np.clip(np.asarray(link, np.float64), -500, 500))
    out = np.zeros((*growth.shape, len(places)))
    step = max(1, AT_ONCE // max(1, len(jumps)))
    for start in range(0, len(growth), step):
        own = growth[start : start + step]
        whole = own @ jumps.T  # (n, E)
        left = np.cumprod(1.0 - np.minimum(whole, 1.0), axis=1)
        before = np.c_[np.ones(len(own)), left[:, :-1]] / np.maximum(whole, 1.0)
        for k in range(growth.shape[1]):
            steps = np.cumsum(before * jumps[:, k], axis=1) * own[:, [k]]
            out[start : start + step, k] = np.c_[np.zeros(len(own)), steps][:, places]
    return out
