"""Least squares along a path of ridge penalties."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.linear.moments import Moments, worth_summing
from chiasm.linear.ridge_cox import Array
from chiasm.linear.shared_rows import Rows


def fit_ridge(features: Rows, y: Array, penalties: Sequence[float]) -> list[tuple[Array, Array]]:
    """Fit least squares by one singular value decomposition: minimise 1/2 sum (y - eta)^2 + penalty/2 |coef|^2.

    Many patients are summed to second moments first, which are decomposed instead.

    `features` (n, F), `y` (n,) or (n, K); returns `(coef (F, K), intercept (K,))` for each penalty. At penalty 0 it is
    the solution of least norm. Equals `sklearn.linear_model.Ridge(alpha=penalty)`.
    """
    target = np.asarray(y, np.float64).reshape(len(y), -1)
    if min(penalties) > 0 and worth_summing(features):
        own = Moments(features, target)
        return [(coef, own.level - own.mean @ coef) for coef in own.ridges(list(penalties))]
    x = np.asarray(features, np.float64)
    x_mean, y_mean = x.mean(axis=0), target.mean(axis=0)
    left, size, right = linalg.svd(x - x_mean, full_matrices=False)
    size = np.where(size > size.max(initial=0.0) * 1e-12, size, 0.0)
    projected = left.T @ (target - y_mean)
    fits = []
    for penalty in penalties:
        shrink = np.divide(size, size**2 + penalty, out=np.zeros_like(size), where=size > 0)
        coef = right.T @ (shrink[:, None] * projected)
        fits.append((coef, y_mean - x_mean @ coef))
    return fits
