"""Random-effects summary of one estimate from each of several sites, as `rma(method="DL", test="knha")` of metafor.

    w_i = 1 / v_i      tau2 = max(0, (Q - (k - 1)) / (sum w - sum w^2 / sum w))      Q = sum w_i (y_i - mu_w)^2
    w*_i = 1 / (v_i + tau2)      mu = sum w* y / sum w*      q = sum w*_i (y_i - mu)^2 / (k - 1)

    interval of mu:          mu +- t(k - 1) sqrt(q / sum w*)                Hartung and Knapp
    where a new site lies:   mu +- t(k - 2) sqrt(tau2 + 1 / sum w*)         Higgins, Thompson and Spiegelhalter

The second is not what `predict` of metafor gives with `test="knha"`: that is mu +- t(k - 1) sqrt(tau2 + q / sum w*).
Where the sites agree by more than chance q falls below 1 and the first is narrow; metafor's "adhoc" would hold q at 1.

Source: DerSimonian and Laird 1986, doi:10.1016/0197-2456(86)90046-2; Hartung and Knapp 2001, doi:10.1002/sim.1009;
Higgins et al. 2009, doi:10.1111/j.1467-985X.2008.00552.x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from chiasm.evaluation.estimates import CONFIDENCE


@dataclass(frozen=True)
class RandomEffects:
    """Summary over k sites: the mean with its interval, where a new site would lie, and how much sites differ.

    `tau2` is the variance between sites, `i2` its share of all variance. NaN where k is too small: an interval and tau2
    need two sites, a prediction three.
    """

    k: int
    mean: float
    low: float
    high: float
    new_low: float
    new_high: float
    tau2: float
    i2: float


def random_effects(estimates: ArrayLike, variances: ArrayLike) -> RandomEffects:
    """Combine the estimates of k sites, which do not depend on each other.

    Args:
        estimates: (k,).
        variances: (k,) variance of each within its site, above zero.

    Raises:
        ValueError: numbers that are not finite, a variance of zero or less, or lengths that differ.
    """
    from scipy.stats import t  # type: ignore[import-untyped]

    y, v = np.asarray(estimates, dtype=np.float64), np.asarray(variances, dtype=np.float64)
    if y.ndim != 1 or y.shape != v.shape or not (np.isfinite(y).all() and np.isfinite(v).all() and (v > 0).all()):
        raise ValueError("give one finite estimate and one variance above zero for each site")
    k, nan = len(y), float("nan")
    if k < 2:
        return RandomEffects(k, float(y[0]) if k else nan, nan, nan, nan, nan, nan, nan)
    w = 1 / v
    excess = float((w * (y - (w @ y) / w.sum()) ** 2).sum())
    room = float(w.sum() - (w**2).sum() / w.sum())
    tau2 = max(0.0, (excess - (k - 1)) / room) if room > 0 else 0.0
    i2 = max(0.0, (excess - (k - 1)) / excess) if excess > 0 else 0.0
    own = 1 / (v + tau2)
    mean = float(own @ y / own.sum())
    spread = float((own * (y - mean) ** 2).sum()) / (k - 1)
    half = float(t.ppf((1 + CONFIDENCE) / 2, k - 1)) * float(np.sqrt(spread / own.sum()))
    new = float(t.ppf((1 + CONFIDENCE) / 2, k - 2)) * float(np.sqrt(tau2 + 1 / own.sum())) if k > 2 else nan
    return RandomEffects(k, mean, mean - half, mean + half, mean - new, mean + new, tau2, i2)
