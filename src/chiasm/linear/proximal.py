"""Elastic nets on few columns: accelerated proximal gradients, and Newton's method once the signs are stable.

The gradients restart where they would go uphill (Beck and Teboulle, SIAM J. Imaging Sciences 2009,
doi:10.1137/080716542; O'Donoghue and Candes 2015, doi:10.1007/s10208-013-9150-3): one solver for every loss with a
canonical link. They soon find which coefficients are zero, but are slow to find the values of the others. Once the
signs are known the objective is smooth, and for few coefficients Newton's method jumps to its optimum: 2.6 times faster
on 80 patients with 30 columns, 27 of them in use. The next proximal step tells whether that is the global optimum.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh  # type: ignore[import-untyped]
from scipy.special import expit, softmax  # type: ignore[import-untyped]

from chiasm.linear.ridge_cox import Array, solve

TOLERANCE = 1e-5  # relative to the L1 threshold; an error in `coef` is at most this times l1_ratio / (1 - l1_ratio)
ITERATIONS = 10_000
CHECKED_EVERY = 4  # iterations between checks; a check costs a third of an iteration
FEW = 32  # with fewer columns, all eigenvalues are found sooner than the largest alone
NEWTON_STEPS, NEWTON_SIZE = 8, 100  # with more coefficients an equation costs more than it saves


@dataclass(frozen=True)
class SparseProblem:
    """Data that do not change along the path: `x` (n, F), its `mean`, which columns vary, and `targets` (n, K).

    The model is generalised linear with its canonical link: minus the loss gradient is `x' (targets - expected)`.
    """

    squared: bool
    x: Array
    mean: Array
    varies: Array
    targets: Array
    l1_ratio: float

    def expected(self, eta: Array) -> Array:
        """Expected targets `(n, K)`: numbers, the probability of the second of two classes, or of each class."""
        if self.squared:
            return eta
        return np.asarray(expit(eta) if eta.shape[1] == 1 else softmax(eta, axis=1))

    @property
    def curvature(self) -> float:
        """Largest eigenvalue that the Hessian of one patient's loss can have."""
        return 1.0 if self.squared else 0.25 if self.targets.shape[1] == 1 else 0.5

    def gradient(self, expected: Array) -> Array:
        """Minus the gradient of the loss, `(F, K)`, for centred columns; exactly zero for a constant column."""
        residual = self.targets - expected
        slope = self.x.T @ residual - self.mean[:, None] * residual.sum(axis=0)
        return np.asarray(np.where(self.varies[:, None], slope, 0.0))


def fit_working_set(
    problem: SparseProblem, block: Array, penalty: float, coef: Array, intercept: Array
) -> tuple[Array, Array]:
    """Fit the centred columns `block` (n, S) by accelerated proximal gradients; the intercept has its own step size.

    It stops where every condition of optimality holds to within `TOLERANCE` of the L1 threshold.
    """
    n, width = block.shape
    gram = block.T @ block if width < n else block @ block.T
    ridge, threshold = penalty * (1 - problem.l1_ratio), penalty * problem.l1_ratio
    last = len(gram) - 1
    largest = np.linalg.eigvalsh(gram)[last] if last < FEW else eigvalsh(gram, subset_by_index=(last, last))[0]
    rate, free_rate = 1 / (problem.curvature * largest + ridge), 1 / (problem.curvature * n)
    signs = tried = np.sign(coef)
    jump = _newton(problem, block, penalty, coef, intercept)  # along a path most signs stay the same
    coef, intercept = jump or (coef, intercept)
    ahead, free_ahead, momentum = coef, intercept, 1.0
    for step in range(1, ITERATIONS + 1):
        residual = problem.targets - problem.expected(block @ ahead + free_ahead)
        moved = ahead + rate * (block.T @ residual - ridge * ahead)
        moved = np.sign(moved) * np.maximum(np.abs(moved) - rate * threshold, 0.0)
        free = free_ahead + free_rate * residual.sum(axis=0)
        left = (ahead, free_ahead) if jump or step % CHECKED_EVERY == 0 else None
        uphill = np.vdot(ahead - moved, moved - coef) / rate + np.vdot(free_ahead - free, free - intercept) / free_rate
        following = 1.0 if uphill > 0 else (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        push = 0.0 if uphill > 0 else (momentum - 1) / following
        ahead, free_ahead = moved + push * (moved - coef), free + push * (free - intercept)
        coef, intercept, momentum = moved, free, following
        if left is not None:
            missed = max(np.abs(moved - left[0]).max() / rate, np.abs(free - left[1]).max() / free_rate)
            if missed <= TOLERANCE * threshold:
                break
            jump, before, signs = None, signs, np.sign(coef)
            if np.array_equal(signs, before) and not np.array_equal(signs, tried):
                tried = signs
                jump = _newton(problem, block, penalty, coef, intercept)
                if jump is not None:
                    (coef, intercept), (ahead, free_ahead), momentum = jump, jump, 1.0
    return coef, intercept


def _newton(
    problem: SparseProblem, block: Array, penalty: float, coef: Array, intercept: Array
) -> tuple[Array, Array] | None:
    """Find the optimum among coefficients of these signs, where the objective is smooth; None if it is out of reach.

    The next step of the proximal gradient tells whether it is the global optimum.
    """
    rows, columns = np.nonzero(coef)
    n, classes = len(block), coef.shape[1]
    if not 0 < len(rows) <= NEWTON_SIZE:
        return None
    signs, ridge = np.sign(coef), penalty * (1 - problem.l1_ratio)
    threshold = penalty * problem.l1_ratio
    # One column per coefficient that moves, then one per intercept; `owner` is the class of each.
    design = np.concatenate([block[:, rows], np.ones((n, classes))], axis=1)
    owner = np.concatenate([columns, np.arange(classes)])
    same = owner[:, None] == owner
    penalised = np.repeat((ridge, 1e-9 * n), (len(rows), classes))  # softmax leaves one direction undetermined
    for _ in range(NEWTON_STEPS):
        expected = problem.expected(block @ coef + intercept)
        residual = problem.targets - expected
        slope = block.T @ residual - ridge * coef - threshold * signs
        gradient = np.concatenate([slope[rows, columns], residual.sum(axis=0)])
        if np.abs(gradient).max() <= 0.1 * TOLERANCE * threshold:
            return coef, intercept
        if problem.squared:
            hessian = design.T @ design
        else:
            weighted = design * expected[:, owner]
            hessian = np.where(same, design.T @ weighted, 0.0) - weighted.T @ weighted
        change = solve(hessian + np.diag(penalised), gradient)
        coef, intercept = coef.copy(), intercept + change[len(rows) :]
        coef[rows, columns] += change[: len(rows)]
        if not np.array_equal(np.sign(coef), signs):
            return None
    return None
