"""Distributional calibration of survival predictions: a tenth of the patients in each tenth of predicted survival.

Where the predicted survival S(t | x) is right, S at the time of the event is uniform between 0 and 1. Ten bins are
counted; a patient who is censored at s = S(c | x) may have the event at any later time, and is shared out over the bins
below s in proportion: (s - a) / s to his own bin from a on, and .1 / s to each lower one. The statistic is Pearson's,

    n  sum over bins of (share - .1)^2 / .1,

against chi-squared with nine degrees of freedom; censoring makes it smaller, so that the test errs towards calibrated.

Source: Haider et al. 2020, "Effective ways to build and evaluate individual survival distributions", JMLR 21(85).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.conformal import hazard_at
from chiasm.metrics.weighted import Floats

BINS = 10


@dataclass(frozen=True)
class DCalibration:
    """Share of the patients in each tenth of predicted survival, from the lowest, with the statistic and its p."""

    n: int
    shares: tuple[float, ...]
    statistic: float
    p: float


def shares_of(survival: Floats, event: NDArray[np.bool_], bins: int = BINS) -> Floats:
    """Share (bins,) of the patients in each interval of predicted survival, from the lowest.

    Args:
        survival: (n,) predicted survival at each patient's own time.
        event: (n,) True for the event at that time, False for censoring.
    """
    edges = np.arange(bins) / bins
    own = np.minimum((survival * bins).astype(np.intp), bins - 1)
    counted = np.zeros((len(survival), bins))
    counted[np.arange(len(survival)), own] = 1.0
    s = np.maximum(survival, 1e-12)[:, None]
    spread = np.clip(s - edges, 0, 1 / bins) / s
    return np.asarray(np.where(event[:, None], counted, spread).mean(axis=0), dtype=np.float64)


def d_calibration(survival: Floats, event: NDArray[np.bool_]) -> DCalibration:
    """Test whether predicted survival at the patients' own times is uniform; arguments as for `shares_of`."""
    from scipy.stats import chi2  # type: ignore[import-untyped]  # a check needs none of it

    n = len(survival)
    shares = shares_of(survival, event)
    statistic = float(n * ((shares - 1 / BINS) ** 2).sum() * BINS)
    return DCalibration(n, tuple(shares.tolist()), statistic, float(chi2.sf(statistic, BINS - 1)))


def at_own_time(
    survival: Floats, times: Floats, time: Floats, event: NDArray[np.bool_]
) -> tuple[Floats, NDArray[np.bool_]]:
    """Predicted survival (n,) at each patient's own time, and whether he had the event there.

    Between horizons the hazard is constant; who is followed past the last horizon is censored there.

    Args:
        survival, times: (n, K) at the horizons (K,).
        time, event: (n,).
    """
    end = float(times[-1])
    hazard = hazard_at(survival, times, np.minimum(time, end))
    return np.exp(-hazard), event & (time <= end)
