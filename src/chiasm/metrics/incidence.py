"""Cumulative incidence of one of several causes with its interval, as groups of patients are described by."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from chiasm.metrics.weighted import Floats, ratio
from chiasm.targets.follow_up import cumulative_incidence

Z = 1.959963984540054


def incidence_variance(time: ArrayLike, cause: ArrayLike, at: ArrayLike) -> Floats:
    """Variance `(T,)` of the Aalen-Johansen estimate of cause 1 at T times, by the delta method.

        sum_j (F(t) - F(t_j))^2 d_j / (n_j (n_j - d_j)) + S(t_j-)^2 d_1j (n_j - d_1j) / n_j^3
              - 2 (F(t) - F(t_j)) S(t_j-) d_1j / n_j^2                          over t_j <= t

    Equals the square of `std.err` of `survival::survfit` of R; `cmprsk::cuminc` has Aalen's, which differs a little.

    Source: Marubini and Valsecchi 1995, Analysing Survival Data from Clinical Trials, section 10.3.

    Args:
        time: (n,).
        cause: (n,) 0 for censored, 1 for the cause asked about, more for another.
        at: (T,).
    """
    observed, of = np.asarray(time, dtype=np.float64), np.asarray(cause, dtype=np.intp)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    n = (len(observed) - np.r_[0, np.cumsum(count)[:-1]]).astype(np.float64)
    own, every = (np.bincount(index, mask, len(unique)) for mask in (of == 1, of > 0))
    before = np.r_[1.0, np.cumprod(1 - every / n)[:-1]]
    incidence = np.cumsum(before * own / n)
    found = []
    for t in np.asarray(at, dtype=np.float64):
        j = unique <= t
        gap = (incidence[j][-1] if j.any() else 0.0) - incidence[j]
        first = gap**2 * np.nan_to_num(ratio(every[j], n[j] * (n[j] - every[j])))
        second = before[j] ** 2 * own[j] * (n[j] - own[j]) / n[j] ** 3
        found.append(float(np.sum(first + second - 2 * gap * before[j] * own[j] / n[j] ** 2)))
    return np.asarray(np.maximum(np.array(found), 0.0), dtype=np.float64)


def incidence_interval(time: ArrayLike, cause: ArrayLike, at: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Aalen-Johansen estimate of cause 1 at T times with its 95 % interval on the scale of log(-log F), `(T,)` each.

    Without an event the estimate is 0 and has no interval: NaN. So is all after the last time while somebody was at
    risk then.
    """
    observed, of = np.asarray(time, dtype=np.float64), np.asarray(cause, dtype=np.intp)
    asked = np.asarray(at, dtype=np.float64)
    several = cumulative_incidence(observed, np.minimum(of, 2), 2, asked)
    value, free = several[0], 1 - several.sum(axis=0)
    spread = np.sqrt(incidence_variance(observed, of, asked))
    inside = (value > 0) & (value < 1)
    safe = np.where(inside, value, 0.5)
    half = Z * spread / np.abs(safe * np.log(safe))
    low, high = (np.where(inside, safe ** np.exp(sign * half), np.nan) for sign in (1.0, -1.0))
    unknown = (asked > observed.max(initial=0.0)) & (free > 1e-12)
    return tuple(np.where(unknown, np.nan, own) for own in (value, low, high))  # type: ignore[return-value]
