"""Inverse-probability-of-censoring weights of test patients, from the censoring of the training patients.

G(t) is the probability of not being censored by t. A patient with an event at T is weighted by 1 / G(T-), the left
limit, having only had to stay uncensored until just before T. One who is event-free past t is weighted by 1 / G(t).
Where times are tied, as in whole months, G(T) and G(T-) differ; scikit-survival takes the first, R and we the second.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.metrics.weighted import Floats, ratio
from chiasm.targets.follow_up import event_free_survival

__all__ = ["LEAST_UNCENSORED", "censoring_survival", "event_free_survival", "seen_by", "truncation_time"]

LEAST_UNCENSORED = 0.1
"""Smallest censoring survival at which an event counts in Uno's C: no pair weighs more than 100 times another."""


def censoring_survival(train_time: ArrayLike, train_event: ArrayLike, at: ArrayLike, *, before: bool = False) -> Floats:
    """Kaplan-Meier estimate of G(t) = P(not censored by t), or of its left limit G(t-), from the training patients.

    At tied times events leave the risk set before anyone is censored, as in scikit-survival and R. After the last
    training time G stays zero where it has reached zero, and is otherwise unknown: NaN.

    Args:
        train_time, train_event: (n_train,), one patient or more.
        at: (n,) times.
        before: return G(t-) instead of G(t).

    Returns:
        (n,) float64.
    """
    observed, died = _followed(train_time, train_event)
    asked = np.asarray(at, dtype=np.float64)
    if len(observed) == 0:
        return np.full(asked.shape, np.nan)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    events = np.bincount(index, weights=died, minlength=len(unique))
    at_risk = len(observed) - np.r_[0, np.cumsum(count)[:-1]] - events
    survival = np.r_[1.0, np.cumprod(1.0 - np.nan_to_num(ratio(count - events, at_risk)))]
    value = survival[np.searchsorted(unique, asked, side="left" if before else "right")]
    return np.where((asked > unique[-1]) & (survival[-1] > 0), np.nan, value)


def truncation_time(train_time: ArrayLike, train_event: ArrayLike, *, least: float = LEAST_UNCENSORED) -> float:
    """Last training time with G(t-) of `least` or more: an event after it does not count in Uno's C.

    Without it a single late event, at a G of nearly zero, can carry most of the weight. Cutting at the last horizon
    would cure that too, but leaves out a quarter of the events; so does any fixed time not chosen beforehand.

    Args:
        train_time, train_event: (n_train,) times and events of the training patients.
        least: in (0, 1].

    Returns:
        A time in the unit of `train_time`; NaN without a training patient.
    """
    observed, died = _followed(train_time, train_event)
    if len(observed) == 0:
        return float("nan")
    times = np.unique(observed)
    return float(times[censoring_survival(observed, died, times, before=True) >= least].max())


def seen_by(
    time: ArrayLike, event: ArrayLike, horizons: ArrayLike, train_time: ArrayLike, train_event: ArrayLike
) -> tuple[Floats, Floats]:
    """Event by each horizon, and the inverse-probability-of-censoring weight of each patient there.

        y_i(t) = 1(T_i <= t, event)      v_i(t) = y_i(t) / G(T_i-) + 1(T_i > t) / G(t)

    Args:
        time, event: (n,) of the test patients.
        horizons: (K,) times.
        train_time, train_event: (n_train,) times and events of the training patients.

    Returns:
        y (n, K) of 0 and 1, and v (n, K), zero for patients censored by t; a column of v is NaN where the horizon is
        NaN or lies past the last training time, or where G is zero.

    Source: Graf et al. 1999, doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    at, died = _followed(time, event)
    asked = np.asarray(horizons, dtype=np.float64)
    at_horizon = censoring_survival(train_time, train_event, asked)  # (K,)
    before_event = np.nan_to_num(ratio(1.0, censoring_survival(train_time, train_event, at, before=True)))
    case = (at[:, None] <= asked) & died[:, None]  # (n, K)
    free = (at[:, None] > asked) * np.nan_to_num(ratio(1.0, at_horizon))
    weight = np.where(at_horizon > 0, case * before_event[:, None] + free, np.nan)
    return case.astype(np.float64), weight


def _followed(time: ArrayLike, event: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    return np.asarray(time, dtype=np.float64), np.asarray(event, dtype=np.bool_)
