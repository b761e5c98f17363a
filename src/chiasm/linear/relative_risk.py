"""Relative risks of groups of patients, as trees of survival times are grown on.

LeBlanc and Crowley, *Relative Risk Trees for Censored Survival Data*, Biometrics 1992, doi:10.2307/2532300. Under
proportional hazards the full likelihood of a group is that of a Poisson count of its events, whose expectation is the
relative risk times the sum of the baseline cumulative hazards at the times of its patients. With the Nelson-Aalen
hazard of all patients for the baseline, the relative risk of a group is `events / sum of H0(t_i)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def nelson_aalen(time: Array, event: NDArray[Any]) -> Array:
    """Nelson-Aalen cumulative hazard at each patient's own time, `(n,)`; zero before the first event."""
    times, where = np.unique(np.asarray(time, np.float64), return_inverse=True)
    events = np.bincount(where, event, len(times))
    at_risk = np.cumsum(np.bincount(where, minlength=len(times))[::-1])[::-1]
    return np.asarray(np.cumsum(events / at_risk)[where])


def relative_risk(time: Array, event: NDArray[Any]) -> tuple[Array, Array]:
    """Return `event / H0(t)` `(n, 1)` and `H0(t)` `(n,)`: the mean of the first, weighted by the second, is the risk.

    A patient censored before the first event has a weight of zero, and says nothing.
    """
    hazard = nelson_aalen(time, event)
    return np.where(hazard > 0, event / np.where(hazard > 0, hazard, 1.0), 0.0)[:, None], hazard
