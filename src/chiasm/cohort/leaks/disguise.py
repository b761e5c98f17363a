"""Disguised follow-up time: columns that follow the time of observation, of censored patients too."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

FEWEST_OF_EACH = 20
FOLLOWS = 0.75  # Spearman's correlation, among those with the event and among the censored

Array = NDArray[np.float64]


def follows_time(values: Array, time: Array, event: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(C,) True for columns with a rank correlation of .75 or more with the time in both groups, of the same sign.

    The groups are events and censored patients. A censoring time is when the study stopped looking: nothing known at
    the start follows it as closely as the time of the event. A count of visits does, as do the logarithm of the time
    and the day of the last letter; the year of entry follows censoring times alone. False with fewer than 20 of either.

    Args:
        values: (n, C), NaN where missing.
    """
    agreeing = np.stack([rank_correlation(values[group], time[group]) for group in (event, ~event)])  # (2, C)
    return np.asarray((np.sign(agreeing[0]) == np.sign(agreeing[1])) & (np.abs(agreeing).min(axis=0) >= FOLLOWS))


def rank_correlation(values: Array, target: Array) -> Array:
    """(C,) Spearman's correlation over the filled rows of each column; 0 with fewer than 20 of them."""
    if len(target) < FEWEST_OF_EACH:
        return np.zeros(values.shape[1])
    ranks = pd.DataFrame(values).rank().to_numpy()
    filled = ~np.isnan(ranks)
    n = filled.sum(axis=0)
    times = np.where(filled, pd.Series(target).rank().to_numpy()[:, None], np.nan)
    enough = n >= FEWEST_OF_EACH
    with np.errstate(invalid="ignore", divide="ignore"):
        x = np.where(filled, ranks - np.where(filled, ranks, 0.0).sum(axis=0) / n, 0.0)
        y = np.where(filled, times - np.where(filled, times, 0.0).sum(axis=0) / n, 0.0)
        found = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    return np.where(enough & np.isfinite(found), found, 0.0)
