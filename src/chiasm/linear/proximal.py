"""Elastic nets on few columns: accelerated proximal gradients, and Newton's method once the signs stand still.

The gradients restart where they would go uphill (Beck and Teboulle, SIAM J. Imaging Sciences 2009,
doi:10.1137/080716542; O'Donoghue and Candes 2015, doi:10.1007/s10208-013-9150-3): one solver for every loss with a
canonical link. They find soon which coefficients are zero, and late what the others are. Among coefficients whose signs
are known the objective is smooth, and where they are few Newton's method jumps to its optimum: 2.6 times faster on 80
patients with 30 columns, 27 of them in use. Whether that is the optimum of all, the next proximal step says.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import eigvalsh  # type: ignore[import-untyped]
from scipy.special import expit, softmax  # type: ignore[import-untyped]

from chiasm.linear.ridge_cox import Array, solve

TOLERANCE = 1e-5  # of the L1 threshold; an error in `coef` is at most this times l1_ratio / (1 - l1_ratio)
ITERATIONS = 10_000
CHECKED_EVERY = 4  # iterations: the check costs a third of one
FEW = 32  # columns of which all eigenvalues are found sooner than the largest
NEWTON_STEPS, NEWTON_SIZE = 8, 100  # of more coefficients an equation costs more than the steps that it saves


@dataclass(frozen=True)
class SparseProblem:
    """What does not change along the path: `x` (n, F), its `mean`, which columns vary, and `targets` (n, K).

    A generalised linear model with its canonical link: minus the gradient of the loss is `x' (targets - expected)`.
    """

    kind: str
    x: Array
    mean: Array
    varies: Array
    targets: Array
    l1_ratio: float

    def expected(self, eta: Array) -> Array:
        """`(n, K)` the numbers, the chance of the second of two classes, or of each class."""
        if self.kind == "regression":
            return eta
        return np.asarray(expit(eta) if eta.shape[1] == 1 else softmax(eta, axis=1))

    @property
    def curvature(self) -> float:
        """The largest eigenvalue that the Hessian of one patient's loss can have."""
        return 1.0 if self.kind == "regression" else 0.25 if self.targets.shape[1] == 1 else 0.5

    def gradient(self, expected: Array) -> Array:
        """`(F, K)`, minus that of the loss, for centred columns; a constant column has exactly none."""
        residual = self.targets - expected
        slope = self.x.T @ residual - self.mean[:, None] * residual.sum(axis=0)
        return np.asarray(np.where(self.varies[:, None], slope, 0.0))


def fit_working_set(
    problem: SparseProblem, block: Array, penalty: float, coef: Array, intercept: Array
) -> tuple[Array, Array]:
    """By accelerated proximal gradients on centred columns `block` (n, S), which leave the intercept a step of its own.

    It stops where no condition of optimality is missed by more than `TOLERANCE` of the L1 threshold.
    """
    n, width = block.shape
    gram = block.T @ block if width < n else block @ block.T
    ridge, threshold = penalty * (1 - problem.l1_ratio), penalty * problem.l1_ratio
    last = len(gram) - 1
    largest = np.linalg.eigvalsh(gram)[last] if last < FEW else eigvalsh(gram, subset_by_index=(last, last))[0]
    rate, free_rate = 1 / (problem.curvature * largest + ridge), 1 / (problem.curvature * n)
    signs = tried = np.sign(coef)
    jump = _newton(problem, block, penalty, coef, intercept)  # along a path most signs stay as they were
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
    """The optimum among coefficients of these signs, where the objective is smooth; None where it is not within reach.

    Whether it is the optimum of all is for the next step of the proximal gradient to say.
    """
    rows, columns = np.nonzero(coef)
    n, classes = len(block), coef.shape[1]
    if not 0 < len(rows) <= NEWTON_SIZE:
        return None
    signs, ridge = np.sign(coef), penalty * (1 - problem.l1_ratio)
    threshold = penalty * problem.l1_ratio
    # One column a coefficient that moves, then one an intercept; which class each belongs to.
    design = np.concatenate([block[:, rows], np.ones((n, classes))], axis=1)
    owner = np.concatenate([columns, np.arange(classes)])
    same = owner[:, None] == owner
    penalised = np.repeat((ridge, 1e-9 * n), (len(rows), classes))  # softmax leaves one direction open
    for _ in range(NEWTON_STEPS):
        expected = problem.expected(block @ coef + intercept)
        residual = problem.targets - expected
        slope = block.T @ residual - ridge * coef - threshold * signs
        gradient = np.concatenate([slope[rows, columns], residual.sum(axis=0)])
        if np.abs(gradient).max() <= 0.1 * TOLERANCE * threshold:
            return coef, intercept
        if problem.kind == "regression":
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
