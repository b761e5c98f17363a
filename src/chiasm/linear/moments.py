"""Least squares from second moments: what a fit on many patients and few columns needs to know of them.

    gram = sum_i (x_i - mean x)(x_i - mean x)'        cross = sum_i (x_i - mean x)(y_i - mean y)'

They are summed once; a ridge, or a step towards an elastic net, then costs the same for any number of patients.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigvalsh  # type: ignore[import-untyped]

from chiasm.linear.ridge_cox import Array
from chiasm.linear.shared_rows import Ints, Rows, SharedRows, across, gram_of

FROM_ROWS = 8_192  # patients from which sums are taken once; with fewer, their rows are read again and again
SHARED_COLUMNS = 8_192  # of rows that patients share: half a gigabyte of sums
MOST_COLUMNS, ROWS_A_COLUMN = 1_024, 4  # with more columns, few of which are used, the sums cost more than they save


def worth_summing(x: Rows) -> bool:
    """Tell whether a least squares fit is faster from sums over patients than from their rows."""
    n, width = x.shape
    most = SHARED_COLUMNS if isinstance(x, SharedRows) else min(MOST_COLUMNS, n // ROWS_A_COLUMN)
    return bool(n >= FROM_ROWS and width <= most)


class Moments:
    """Second moments of columns x `(n, F)` and numbers y `(n, K)`, each less its mean."""

    def __init__(self, x: Rows, y: Array) -> None:
        self.n, self.mean, self.level = len(y), np.asarray(x.mean(0)), y.mean(0)
        self._centred = x.less(self.mean) if isinstance(x, SharedRows) else x - self.mean
        self.cross = across(self._centred, y - self.level)

    @cached_property
    def gram(self) -> Array:
        """`(F, F)`."""
        return gram_of(self._centred)

    def ridges(self, penalties: list[float]) -> list[Array]:
        """Coefficients `(F, K)` of the ridge for each penalty, above 0."""
        size, axes = np.linalg.eigh(self.gram)
        turned = axes.T @ self.cross
        return [axes @ (turned / (np.maximum(size, 0.0) + penalty)[:, None]) for penalty in penalties]


@dataclass(frozen=True)
class MomentBlock:
    """Some of the columns, as `proximal.fit_working_set` reads a working set of a squared error."""

    gram: Array
    cross: Array
    level: Array
    n: int
    newton_size: int = 512

    @property
    def width(self) -> int:
        return len(self.gram)

    def gradients(self, coef: Array, intercept: Array) -> tuple[Array, Array, None]:
        """Minus the gradient in the coefficients and in the intercept."""
        return self.cross - self.gram @ coef, self.n * (self.level - intercept), None

    @cached_property
    def largest(self) -> float:
        """Largest eigenvalue of the Gram matrix."""
        last = len(self.gram) - 1
        return float(eigvalsh(self.gram, subset_by_index=(last, last))[0])

    def curvature(self, rows: Ints, columns: Ints) -> Callable[[None], Array]:
        """Return the Hessian in the coefficients of these columns and in the intercept; it is the same everywhere."""
        hessian = np.zeros((len(rows) + 1, len(rows) + 1))
        hessian[:-1, :-1] = self.gram[np.ix_(rows, rows)]
        hessian[-1, -1] = self.n
        return lambda expected: hessian


@dataclass(frozen=True)
class MomentProblem:
    """A squared error along a path of elastic nets, as `elastic_net` reads it; see `proximal.SparseProblem`."""

    moments: Moments
    varies: NDArray[np.bool_]
    l1_ratio: float
    squared: bool = True
    curvature: float = 1.0

    @property
    def mean(self) -> Array:
        return self.moments.mean

    def start(self) -> tuple[Array, Array]:
        """Intercept and gradient where every coefficient is zero."""
        return self.moments.level, self._of_varying(self.moments.cross)

    def block(self, chosen: Ints) -> MomentBlock:
        """Return a working set of columns."""
        own = self.moments
        return MomentBlock(own.gram[np.ix_(chosen, chosen)], own.cross[chosen], own.level, own.n)

    def slope(self, block: MomentBlock, chosen: Ints, own: Array, intercept: Array) -> Array:
        """Minus the gradient of all columns, where only those of the block have coefficients."""
        return self._of_varying(self.moments.cross - self.moments.gram[:, chosen] @ own)

    def _of_varying(self, slope: Array) -> Array:
        return np.asarray(np.where(self.varies[:, None], slope, 0.0))
