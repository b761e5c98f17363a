"""Local linear regression of an outcome on one variable, for all bootstrap draws at once: R's `lowess`, iter = 0."""

from __future__ import annotations

import numpy as np

from chiasm.metrics.weighted import Floats, ratio

SPAN = 2 / 3
"""Share of the patients to whom each line is fitted, as in R."""

DELTA = 0.01
"""Least distance between fitted points, as a share of the range of x; values between are interpolated, as in R."""


def lowess(x: Floats, y: Floats, w: Floats, *, span: float = SPAN, delta: float = DELTA) -> Floats:
    """Estimate the local mean of y at each x, for each draw.

    A straight line is fitted around each of several points of x, with each patient weighted by `w` and by the tricube
    (1 - (distance / h)^3)^3, where h is the distance to the (span n)-th nearest patient.

    With weights of one this equals `stats::lowess(x, y, iter = 0)` of R, ties included; with `delta` = 0 and other
    weights, `stats::loess(degree = 1, span = 2/3, weights, surface = "direct")`. The points and h are those of the
    sample in every draw, so that all draws are a few matrix products; those of a draw would hardly differ, because h
    reaches over two thirds of all patients.

    Args:
        x, y: (n,) values of the patients who have any weight.
        w: (R, n) weights.
        span, delta: see above.

    Returns:
        (R, n), NaN in a draw that has no weight around a point.
    """
    n = len(x)
    if n == 0:
        return np.zeros((len(w), 0))
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    extent = float(ordered[-1] - ordered[0])
    at = ordered[_fitted_points(ordered, delta * extent)]  # (P,) increasing
    nearest = max(min(n, int(span * n + 1e-7)), min(n, 2))
    distance = np.abs(x - at[:, None])  # (P, n)
    reach = np.partition(distance, nearest - 1, axis=1)[:, nearest - 1 : nearest]
    kernel = np.where(distance <= 0.001 * reach, 1.0, (1 - np.minimum(ratio(distance, reach), 1) ** 3) ** 3)
    kernel = np.where(distance <= 0.999 * reach, kernel, 0.0)
    gap = x - at[:, None]
    s0, s1, s2 = w @ kernel.T, w @ (kernel * gap).T, w @ (kernel * gap**2).T  # (R, P)
    t0, t1 = w @ (kernel * y).T, w @ (kernel * gap * y).T
    middle, level = ratio(s1, s0), ratio(t0, s0)
    spread = np.maximum(ratio(s2, s0) - middle**2, 0.0)
    tilted = np.sqrt(spread) > 0.001 * extent
    slope = np.where(tilted, ratio(ratio(t1, s0) - middle * level, np.where(tilted, spread, 1.0)), 0.0)
    fitted = level - slope * middle
    right = np.clip(np.searchsorted(at, x, side="left"), min(1, len(at) - 1), len(at) - 1)
    left = np.maximum(right - 1, 0)
    share = np.nan_to_num(ratio(x - at[left], at[right] - at[left]))
    return np.asarray(fitted[:, left] * (1 - share) + fitted[:, right] * share, dtype=np.float64)


def _fitted_points(ordered: Floats, delta: float) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Find the positions in the sorted x to fit at: from each the last one within `delta`, or else the next."""
    n, points = len(ordered), [0]
    while True:
        last = int(np.searchsorted(ordered, ordered[points[-1]], side="right")) - 1  # ties have one fit
        if last >= n - 1:
            return np.array(points, dtype=np.intp)
        within = int(np.searchsorted(ordered, ordered[last] + delta, side="right")) - 1
        points.append(max(last + 1, within))
