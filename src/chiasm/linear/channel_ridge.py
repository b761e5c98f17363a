"""Ridge of many channels at once, each under a penalty of its own, by one decomposition of what they share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
NO_SPREAD = 1e-12  # share of the largest singular value below which a direction is rounding


class ChannelRidge:
    """Least squares of channels y (n, V) on x (n, F), both centred: `coef_v = R' diag(s / (s^2 + penalty_v)) L' y_v`.

    `x = L diag(s) R'` is decomposed once, on the fewer of rows and columns, and serves every channel and every penalty.
    Of each channel it equals `sklearn.linear_model.Ridge(alpha=penalty_v)`.
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.x_mean, self.y_mean = x.mean(axis=0), y.mean(axis=0)
        left, self.size, self.right = _decomposed(x - self.x_mean)
        self.projected = left.T @ (y - self.y_mean)  # (r, V)

    def inside(self, x: Array) -> Array:
        """Items in the directions of the decomposition, (m, r)."""
        return np.asarray((x - self.x_mean) @ self.right.T)

    def weights(self, penalty: float | Array) -> Array:
        """Coefficients in those directions, (r, V), at one penalty or at one for each channel (V,)."""
        own = np.atleast_1d(np.asarray(penalty, np.float64))[None, :]
        below = self.size[:, None] ** 2 + own
        shrunk = np.divide(self.size[:, None], below, out=np.zeros_like(below), where=below > 0)
        return np.asarray(shrunk * self.projected)

    def coefficients(self, penalty: float | Array) -> tuple[Array, Array]:
        """Coefficients (F, V) and intercept (V,)."""
        coef = self.right.T @ self.weights(penalty)
        return np.asarray(coef), np.asarray(self.y_mean - self.x_mean @ coef)


def _decomposed(x: Array) -> tuple[Array, Array, Array]:
    """Return L (n, r), s (r,) and R (r, F) with x = L diag(s) R, without the directions that are rounding."""
    left, size, right = linalg.svd(x, full_matrices=False)
    kept = size > size.max(initial=0.0) * NO_SPREAD
    return left[:, kept], size[kept], right[kept]


def chosen_penalties(
    x: Array, y: Array, folds: Ints, penalties: Sequence[Sequence[float]], grid: Sequence[float]
) -> tuple[Array, Array, Array]:
    """Choose the penalty of each channel by its squared error on held-out folds.

    Args:
        x, y: `(n, F)` and `(n, V)`.
        folds: `(n,)` fold of each item.
        penalties: for each fold, in ascending order of its name, the penalties of `grid` as the fit takes them.
        grid: ascending; among equally good ones the strongest is chosen.

    Returns:
        the place in the grid of each channel (V,), the held-out links (n, V) at it, and the means (n, V) of the
        responses that the fold of each item was fitted on.
    """
    fits, errors = [], np.zeros((len(grid), y.shape[1]))
    for number, fold in enumerate(np.unique(folds)):
        train, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        own = ChannelRidge(x[train], y[train])
        seen = own.inside(x[test])
        fits.append((own, test, seen))
        for place, penalty in enumerate(penalties[number]):
            errors[place] += ((own.y_mean + seen @ own.weights(penalty) - y[test]) ** 2).sum(axis=0)
    least = errors.min(axis=0)
    good = errors <= least + 1e-9 * np.abs(least)
    best = len(grid) - 1 - np.argmax(good[::-1], axis=0)
    links, levels = np.zeros_like(y), np.zeros_like(y)
    for number, (own, test, seen) in enumerate(fits):
        links[test] = own.y_mean + seen @ own.weights(np.asarray(penalties[number], np.float64)[best])
        levels[test] = own.y_mean
    return best, links, levels
