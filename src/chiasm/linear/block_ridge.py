"""Ridge with a penalty for each block of columns, whichever is smaller: the patients or the columns.

    minimise over coef_b and gamma   sum_i loss_i(link_i) + sum_b penalty_b / 2 |coef_b|^2
    link = free @ gamma + sum_b x_b @ coef_b            coef_b = x_b' alpha / penalty_b

With `K = sum_b x_b x_b' / penalty_b` the penalty is `alpha' K alpha / 2`, and no step needs the columns: only `K` is
formed, from the blocks' own matrices, once for all penalties that are tried (van de Wiel, van Nee and Rauschenberger,
Journal of Computational and Graphical Statistics 2021, doi:10.1080/10618600.2021.1904962, whose working weights
these are). With fewer columns than patients the same steps are taken on the columns (Woodbury).

Newton's equations are solved by conjugate gradients, preconditioned by the same equations with the curvature of each
patient alone. Where the losses of patients do not depend on each other (labels, two classes, a number) that is already
the solution; of Cox's likelihood and of more classes it leaves a few products with K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.linear.loss import Local, Near

Array = NDArray[np.float64]
MOST_STEPS, MOST_INNER = 100, 100
PRECISION = 1e-13  # relative gain of the objective below which a fit has ended
INNER = 1e-6  # of the first size, at which Newton's equations count as solved
FLAT = 1e-10  # least curvature, relative to the largest


@dataclass(frozen=True)
class Fitted:
    """A fit: `alpha` (n, S) of the rows it was fitted on, and `gamma` (q, S) of the columns without a penalty."""

    alpha: Array
    gamma: Array


class Blocks:
    """Blocks of columns of the same patients, each in the unit in which its largest component has unit variance.

    Args:
        values: blocks `(n, F_b)`, centred; zeros where a patient lacks one.
    """

    def __init__(self, values: Sequence[Array]) -> None:
        self.patients = len(values[0])
        self.wide = sum(block.shape[1] for block in values) > self.patients
        self.units = [_unit(block) for block in values]
        self.values = [block / unit for block, unit in zip(values, self.units, strict=True)]
        self.grams = [block @ block.T for block in self.values] if self.wide else []

    def at(self, penalties: Sequence[float], rows: NDArray[np.int_] | None = None) -> Weighted:
        """Return the blocks at these penalties, for these rows alone."""
        if self.wide:
            gram = np.asarray(sum(own / penalty for own, penalty in zip(self.grams, penalties, strict=True)))
            return Weighted(gram if rows is None else gram[np.ix_(rows, rows)], None)
        parts = zip(self.values, penalties, strict=True)
        side = np.concatenate([own / np.sqrt(penalty) for own, penalty in parts], axis=1)
        return Weighted(None, side if rows is None else side[rows])

    def links(self, alpha: Array, penalties: Sequence[float], rows: NDArray[np.int_], of: NDArray[np.int_]) -> Array:
        """Return what all blocks add to the links of the patients `of`, by a fit on `rows`: `(len(of), S)`."""
        if self.wide:
            gram = sum(own[np.ix_(of, rows)] / penalty for own, penalty in zip(self.grams, penalties, strict=True))
            return np.asarray(gram @ alpha)
        parts = zip(self.values, penalties, strict=True)
        return np.asarray(sum(own[of] @ (own[rows].T @ alpha) / penalty for own, penalty in parts))

    def coefficients(self, alpha: Array, penalties: Sequence[float]) -> list[Array]:
        """Return `coef_b` `(F_b, S)` of each block, for columns in the unit in which they were given."""
        parts = zip(self.values, self.units, penalties, strict=True)
        return [own.T @ alpha / penalty / unit for own, unit, penalty in parts]


@dataclass(frozen=True)
class Weighted:
    """`K` of the given penalties, as `gram` `(n, n)` or as `side` `(n, F)` with `K = side side'`."""

    gram: Array | None
    side: Array | None

    def __matmul__(self, alpha: Array) -> Array:
        """Multiply K and alpha `(n, S)`."""
        if self.side is not None:
            return np.asarray(self.side @ (self.side.T @ alpha))
        assert self.gram is not None  # one of the two is there
        return np.asarray(self.gram @ alpha)

    def solver(self, root: Array) -> Callable[[Array], Array]:
        """Return the function that multiplies `(I + R K R)^-1`, R being the diagonal matrix of `root` `(n,)`."""
        if self.side is not None:
            own = root[:, None] * self.side
            inner = linalg.cho_factor(own.T @ own + np.eye(own.shape[1]), check_finite=False)
            return lambda right: right - own @ linalg.cho_solve(inner, own.T @ right, check_finite=False)
        assert self.gram is not None  # one of the two is there
        whole = root[:, None] * self.gram * root
        whole[np.diag_indices(len(whole))] += 1.0
        factor = linalg.cho_factor(whole, lower=True, overwrite_a=True, check_finite=False)
        return lambda right: np.asarray(linalg.cho_solve(factor, right, check_finite=False))


def fit_blocks(
    blocks: Weighted, free: Array, local: Local, *, start: Fitted | None = None, precision: float = PRECISION
) -> Fitted:
    """Minimise the loss plus the penalty over `alpha` and `gamma`.

    Args:
        blocks: the penalised blocks.
        free: `(n, q)` columns without a penalty, the first of them the intercept's, of ones.
        local: the loss near a point.
        start: a fit at other penalties; it changes the speed, not the answer.
        precision: relative gain below which the fit ends.
    """
    outputs = len(local.start)
    if start is None:
        start = Fitted(np.zeros((len(free), outputs)), np.vstack([local.start, np.zeros((free.shape[1] - 1, outputs))]))
    fitted, link = start, _link(blocks, free, start)
    near = local.at(link)
    value = near.value + 0.5 * _penalty(fitted, link)
    for _ in range(MOST_STEPS):
        step, size = _newton(blocks, free, near, fitted.alpha), 1.0
        toward = _link(blocks, free, step)
        while True:
            trial = Fitted(fitted.alpha + size * step.alpha, fitted.gamma + size * step.gamma)
            there = link + size * toward
            near = local.at(there)
            now = near.value + 0.5 * _penalty(trial, there)
            if now <= value or size < 1e-6:
                break
            size /= 2
        if not now <= value:  # no part of the step gains: rounding
            break
        gain = value - now
        fitted, link, value = trial, there, now
        if gain <= precision * (1.0 + abs(value)):
            break
    return fitted


def _link(blocks: Weighted, free: Array, fitted: Fitted) -> Array:
    return np.asarray(free @ fitted.gamma + blocks @ fitted.alpha)


def _penalty(fitted: Fitted, link: Array) -> float:
    """Return `alpha' K alpha`: since `free' alpha = 0`, it is `alpha' link`."""
    return float(np.sum(fitted.alpha * link))


def _newton(blocks: Weighted, free: Array, near: Near, alpha: Array) -> Fitted:
    """Solve Newton's equations for the step from `alpha`: with its link d, `H d + step.alpha = -(gradient + alpha)`."""
    solve = _Preconditioner(blocks, free, near.curvature)
    left = -(near.gradient + alpha)
    own = solve(left)
    step, toward = Fitted(np.zeros_like(own.alpha), np.zeros_like(own.gamma)), own
    size = first = float(np.sum(_link(blocks, free, own) * left))
    for _ in range(MOST_INNER):
        if size <= INNER * first or size <= 0:
            break
        link = _link(blocks, free, toward)
        image = near.times(link) + toward.alpha
        bend = float(np.sum(link * image))
        if bend <= 0:  # rounding: nothing bends where all classes move alike
            break
        length = size / bend
        step = Fitted(step.alpha + length * toward.alpha, step.gamma + length * toward.gamma)
        left = left - length * image
        own = solve(left)
        size, before = float(np.sum(_link(blocks, free, own) * left)), size
        turn = size / before
        toward = Fitted(own.alpha + turn * toward.alpha, own.gamma + turn * toward.gamma)
    return step


class _Preconditioner:
    """Solves `W d + alpha = right` for `alpha` and `gamma` with `d = free gamma + K alpha` and `free' alpha = 0`.

    W are the curvatures `(n, S)`. With `V = K + 1/W`: `gamma = (free' V^-1 free)^-1 free' V^-1 right / W`, and `alpha =
    V^-1 (right / W - free gamma)`.
    """

    def __init__(self, blocks: Weighted, free: Array, curvature: Array) -> None:
        self.parts = []
        for own in curvature.T:
            root = np.sqrt(np.maximum(own, max(FLAT * float(own.max()), np.finfo(float).tiny)))
            solver, beside = blocks.solver(root), root[:, None] * free
            solved = solver(beside)
            self.parts.append((root, solver, solved, np.linalg.pinv(beside.T @ solved, hermitian=True)))

    def __call__(self, right: Array) -> Fitted:
        alpha, gamma = np.zeros_like(right), np.zeros((self.parts[0][2].shape[1], right.shape[1]))
        for output, (root, solver, solved, inverse) in enumerate(self.parts):
            own = right[:, output] / root
            gamma[:, output] = inverse @ (solved.T @ own)
            alpha[:, output] = root * (solver(own) - solved @ gamma[:, output])
        return Fitted(alpha, gamma)


def _unit(block: Array) -> float:
    """Return the standard deviation of the block's first component; 1 where it has none."""
    small: Any = block.T @ block if block.shape[1] <= len(block) else block @ block.T
    if not small.size:
        return 1.0
    last = len(small) - 1
    largest = float(linalg.eigh(small, eigvals_only=True, subset_by_index=[last, last])[0])
    return float(np.sqrt(largest / len(block))) if largest > 0 else 1.0
