"""Conformal thresholds: how unlike a prediction an outcome may be, so that a stated share of patients is covered.

Calibration patients whom the model has not seen, and a new one who is exchangeable with them, give the guarantee

    P(the new outcome is in the set) >= level

whatever the model and the distribution, over the draw of all these patients together: on average over calibrations.
Nothing is promised of one patient, nor of patients who are chosen otherwise, nor of one class by itself. The one
calibration in hand may cover less; see `low_coverage`.

Source: Vovk, Gammerman and Shafer 2005, doi:10.1007/b106715; Lei et al. 2018, doi:10.1080/01621459.2017.1307116.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv  # type: ignore[import-untyped]

from chiasm.metrics.censoring import LEAST_UNCENSORED, censoring_survival, seen_by
from chiasm.metrics.weighted import Floats

_ROUNDING = 1e-9
_LEAST_SURVIVAL = 1e-12


def fewest_for(level: float) -> int:
    """Fewest calibration patients with which a level can be promised: n with (n + 1) level <= n."""
    return max(1, math.ceil(level / (1 - level) - _ROUNDING))


def threshold(score: Floats, level: float) -> float:
    """The k-th smallest of n scores, k = ceil((n + 1) level); infinite where k > n, and for no score.

    A new patient's score is at most that with a probability of `level` or more.
    """
    place = math.ceil((len(score) + 1) * level - _ROUNDING)
    return float(np.sort(score)[place - 1]) if 0 < place <= len(score) else math.inf


def low_coverage(n: int, level: float, share: float = 0.05) -> float:
    """Coverage that all but a `share` of calibrations on n patients exceed; NaN where n cannot promise the level.

    Given the calibration patients, the coverage of sets by `threshold` is Beta(k, n + 1 - k) with k = ceil((n + 1)
    level) for scores without ties, and no less with them; its `share` quantile is returned.

    Source: Vovk 2012, arXiv:1209.2673; Angelopoulos and Bates 2023, doi:10.1561/2200000101, section 3.2.
    """
    k = math.ceil((n + 1) * level - _ROUNDING)
    return float(betaincinv(k, n + 1 - k, share)) if 0 < k <= n else math.nan


def class_scores(probability: Floats, code: NDArray[np.intp]) -> Floats:
    """Score (n,) of a class: 1 - p of the class that came true (the least ambiguous sets of Sadinle et al.).

    Of all sets with this coverage these are the smallest on average where the probabilities are right; adaptive sets
    (Romano et al. 2020) say nothing for two classes, because the second class always scores 1.

    Source: Sadinle, Lei and Wasserman 2019, doi:10.1080/01621459.2017.1395341.
    """
    return np.asarray(1 - probability[np.arange(len(code)), code], dtype=np.float64)


def class_sets(probability: Floats, most: Floats) -> NDArray[np.bool_]:
    """Set (n, K) of the classes with 1 - p of at most `most` (n,); all False where that is NaN.

    The likeliest class is always in it, which adds to the coverage: an empty set tells a reader nothing.
    """
    inside = 1 - probability <= most[:, None] + _ROUNDING
    likeliest = probability == probability.max(axis=1, keepdims=True)
    return np.asarray((inside | likeliest) & ~np.isnan(most)[:, None], dtype=np.bool_)


def hazard_at(survival: Floats, times: Floats, at: Floats) -> Floats:
    """Predicted cumulative hazard (n,) at a time of each patient's own, linear between the horizons from 0 at time 0.

    Args:
        survival: (n, K), falling.
        times: (K,) horizons, ascending.
        at: (n,) times, up to the last horizon.
    """
    hazard, grid = _cumulative(survival), np.r_[0.0, times]
    place = np.clip(np.searchsorted(grid, at, side="left"), 1, len(times))
    rows = np.arange(len(at))
    low, high = hazard[rows, place - 1], hazard[rows, place]
    share = (at - grid[place - 1]) / (grid[place] - grid[place - 1])
    return np.asarray(low + np.clip(share, 0, 1) * (high - low), dtype=np.float64)


def time_at(survival: Floats, times: Floats, least: Floats) -> Floats:
    """First time (n,) at which the predicted cumulative hazard reaches `least` (n,); the last horizon if it never does.

    The inverse of `hazard_at`.
    """
    hazard, grid = _cumulative(survival), np.r_[0.0, times]
    reached = hazard >= least[:, None] - _ROUNDING
    place = np.where(reached.any(axis=1), reached.argmax(axis=1), len(times))
    before, rows = np.maximum(place - 1, 0), np.arange(len(place))
    step = hazard[rows, place] - hazard[rows, before]
    share = np.where(step > 0, (least - hazard[rows, before]) / np.where(step > 0, step, 1.0), 1.0)
    found = grid[before] + np.clip(share, 0, 1) * (grid[place] - grid[before])
    return np.asarray(np.where(np.isnan(least), np.nan, np.where(least <= 0, 0.0, found)), dtype=np.float64)


def followed_to(time: Floats, event: NDArray[np.bool_], last: float) -> float:
    """Last time, up to `last`, that a tenth of these patients or more are not censored by; 0 if there is none."""
    seen = np.unique(np.minimum(time, last))
    kept = seen[np.nan_to_num(censoring_survival(time, event, seen)) >= LEAST_UNCENSORED]
    return float(kept.max()) if len(kept) else 0.0


def survival_threshold(
    survival: Floats, times: Floats, time: Floats, event: NDArray[np.bool_], level: float, end: float
) -> float:
    """Largest cumulative hazard h so that an event comes after the predicted hazard reaches h with P >= level.

    With c the `end`, T ^ c is known of who had the event by c or was followed past it; each such patient i is weighted
    by w_i = 1 / G(T_i ^ c), G the Kaplan-Meier estimate of not being censored, and scored by the predicted cumulative
    hazard v_i at T_i ^ c. The smallest v_i is returned for which

        (sum of w_j over v_j <= v_i, plus W) / (sum of all w_j, plus W) > 1 - level,      W = 1 / G(c)

    the weighted conformal p-value with the largest weight that a new patient can have. NaN where W alone exceeds it: so
    many are censored that no bound but 0 is known.

    Censoring has to be independent of the time of the event and of all that is predicted from. Candes, Lei and Ren
    instead weight by P(C >= c | x), of whose patients the time of censoring is known too; with G estimated from the
    calibration patients the guarantee holds in the limit of many.

    Source: Candes, Lei and Ren 2023, doi:10.1093/jrsssb/qkac004; Tibshirani et al. 2019, arXiv:1904.06019.

    Args:
        survival, times: as for `hazard_at`.
        time, event: (n,) of the calibration patients.
        end: a time up to the last horizon; see `followed_to`.
    """
    _, weight = seen_by(time, event, [end], time, event)
    w = np.nan_to_num(weight[:, 0])
    rows = np.flatnonzero(w > 0)
    score = hazard_at(survival[rows], times, np.minimum(time[rows], end))
    order = np.argsort(score, kind="stable")
    score, w = score[order], w[rows][order]
    largest = float(1 / censoring_survival(time, event, [end])[0])
    reached = (np.cumsum(w) + largest) / (w.sum() + largest)
    last_of_ties = np.searchsorted(score, score, side="right") - 1
    enough = reached[last_of_ties] > 1 - level + _ROUNDING
    if largest / (w.sum() + largest) > 1 - level or not enough.any():
        return math.nan
    return float(score[enough.argmax()])


def _cumulative(survival: Floats) -> Floats:
    """(n, 1 + K) cumulative hazards at time 0 and at the horizons."""
    hazard = np.maximum.accumulate(-np.log(np.clip(survival, _LEAST_SURVIVAL, 1.0)), axis=1)
    return np.asarray(np.c_[np.zeros(len(hazard)), hazard], dtype=np.float64)
