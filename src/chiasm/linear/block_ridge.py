"""Ridge with a penalty for each block of columns, whichever is smaller: the patients or the columns.

    minimise over coef_b and gamma   sum_i loss_i(link_i) + sum_b penalty_b / 2 |coef_b|^2
    link = free @ gamma + sum_b x_b @ coef_b            coef_b = x_b' alpha / penalty_b

With `K = sum_b x_b x_b' / penalty_b` the penalty is `alpha' K alpha / 2`, and no step needs the columns: only `K` is
formed, from the blocks' own matrices, once for all penalties that are tried (van de Wiel, van Nee and Rauschenberger,
Journal of Computational and Graphical Statistics 2021, doi:10.1080/10618600.2021.1904962, whose working weights
these are). With fewer columns than patients the same steps are taken on the columns (Woodbury).

Newton's equations are solved by conjugate gradients, preconditioned by the same equations with the curvature of each
patient alone. Where the losses of patients do not depend on each other (up to eight labels, two classes, a number) that
is the solution but for rounding; of Cox's likelihood, of more classes and of more labels it leaves products with K.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]
from scipy.linalg.lapack import dpotrf, dpotrs  # type: ignore[import-untyped]
from scipy.sparse.linalg import eigsh  # type: ignore[import-untyped]

from chiasm.linear.loss import Local, Near

Array = NDArray[np.float64]
MOST_STEPS, MOST_INNER = 100, 100
PRECISION = 1e-13  # relative gain of the objective below which a fit has ended
INNER = 1e-6  # of the first size, at which Newton's equations count as solved
FLAT = 1e-10  # least curvature, relative to the largest
SHORTEST = 1e-6  # part of a step that is tried last
MOST_FACTORS = 8  # outputs up to which each has a preconditioner of its own
FEW = 64  # rows up to which all eigenvalues are computed for the largest
NO_SPREAD = 1e-9  # below it a block differs by rounding alone


@dataclass(frozen=True)
class Fitted:
    """A fit: `alpha` (n, S) of the rows it was fitted on, and `gamma` (q, S) of the columns without a penalty."""

    alpha: Array
    gamma: Array


class Blocks:
    """Blocks of columns of the same patients, each in the unit in which its largest component has unit variance.

    Args:
        values: blocks `(n, F_b)`, centred; zeros where a patient lacks one.
        wide: True takes steps on the patients, False on the columns; None: on the fewer of them.
    """

    def __init__(self, values: Sequence[Array], wide: bool | None = None) -> None:
        self.patients = len(values[0])
        self.wide = sum(block.shape[1] for block in values) > self.patients if wide is None else wide
        self.values = list(values)
        self.grams = [block @ block.T for block in values] if self.wide else []
        self.units = []
        for number, block in enumerate(values):
            smaller = block.T @ block if block.shape[1] <= self.patients or not self.wide else self.grams[number]
            self.units.append(_unit(smaller, self.patients))
            if self.wide:
                self.grams[number] /= self.units[-1] ** 2

    def at(self, penalties: Sequence[float]) -> Weighted:
        """Return the blocks of all patients at these penalties."""
        if self.wide:
            gram = sum(own / penalty for own, penalty in zip(self.grams, penalties, strict=True))
            return Weighted(np.asarray(gram), None)
        parts = zip(self.values, self.units, penalties, strict=True)
        return Weighted(None, np.concatenate([own / (unit * np.sqrt(penalty)) for own, unit, penalty in parts], axis=1))

    def coefficients(self, alpha: Array, penalties: Sequence[float]) -> list[Array]:
        """Return `coef_b` `(F_b, S)` of each block, for columns in the unit in which they were given."""
        parts = zip(self.values, self.units, penalties, strict=True)
        return [own.T @ alpha / (penalty * unit**2) for own, unit, penalty in parts]


@dataclass(frozen=True)
class Weighted:
    """`K` of the given penalties, as `gram` `(n, n)` or as `side` `(n, F)` with `K = side side'`."""

    gram: Array | None
    side: Array | None

    def of(self, rows: NDArray[np.int_], factor: float) -> Weighted:
        """Return K of some patients, at penalties `factor` times as strong."""
        if self.side is not None:
            return Weighted(None, self.side[rows] / np.sqrt(factor))
        assert self.gram is not None  # one of the two is there
        return Weighted(self.gram[np.ix_(rows, rows)] / factor, None)

    def added(self, alpha: Array, rows: NDArray[np.int_], of: NDArray[np.int_], factor: float) -> Array:
        """Return what all blocks add to the links of the patients `of`, by a fit on `rows`: `(len(of), S)`."""
        if self.side is not None:
            return np.asarray(self.side[of] @ (self.side[rows].T @ alpha) / factor)
        assert self.gram is not None  # one of the two is there
        return np.asarray(self.gram[np.ix_(of, rows)] @ alpha / factor)

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
            inner = _factor(own.T @ own + np.eye(own.shape[1]), lower=False)
            return lambda right: right - own @ inner(own.T @ right)
        assert self.gram is not None  # one of the two is there
        whole = root[:, None] * self.gram * root
        whole[np.diag_indices(len(whole))] += 1.0
        return _factor(whole, lower=True)


def _factor(square: Array, *, lower: bool) -> Callable[[Array], Array]:
    """Return the function that multiplies the inverse of a positive definite matrix, which is overwritten.

    As `scipy.linalg.cho_solve`, without its checks of shapes, which cost more than a small system.
    """
    if not square.size:
        return lambda right: right
    factor, wrong = dpotrf(square, lower=lower, overwrite_a=True, clean=False)
    if wrong:
        raise linalg.LinAlgError(f"{wrong}-th leading minor of the array is not positive definite")
    return lambda right: np.asarray(dpotrs(factor, right, lower=lower)[0])


def fit_blocks(
    blocks: Weighted, free: Array, local: Local, *, start: Fitted | None = None, precision: float = PRECISION
) -> Fitted:
    """Minimise the loss plus the penalty over `alpha` and `gamma`.

    Args:
        blocks: the penalised blocks.
        free: `(n, q)` columns without a penalty, the first of them the intercept's, of ones.
        local: the loss near a point.
        start: a fit at other penalties, where it is better than none; it changes the speed, not the answer.
        precision: relative gain of a whole step below which the fit ends.
    """
    now = _at(blocks, free, local, _nothing(free, local))
    if start is not None:
        there = _at(blocks, free, local, start)
        now = there if there.value < now.value else now
    for _ in range(MOST_STEPS):
        step, size = _newton(blocks, free, now.near, now.fitted.alpha), 1.0
        inside, beside = blocks @ step.alpha, free @ step.gamma
        while True:
            trial = _Point(
                Fitted(now.fitted.alpha + size * step.alpha, now.fitted.gamma + size * step.gamma),
                now.inside + size * inside,
                local.at(now.link + size * (inside + beside)),
                now.link + size * (inside + beside),
            )
            if trial.value <= now.value or size < SHORTEST:
                break
            size /= 2
        if not trial.value <= now.value:  # no part of the step gains: rounding
            break
        gain, now = now.value - trial.value, trial
        if size == 1.0 and gain <= precision * (1.0 + abs(now.value)):
            break
    found = now.fitted
    if local.shifts:  # of all that are the same, the one of mean zero
        found = Fitted(*(own - own.mean(1, keepdims=True) for own in (found.alpha, found.gamma)))
    return found


@dataclass(frozen=True)
class _Point:
    """A fit on the way: what the blocks add, the loss there, and the links."""

    fitted: Fitted
    inside: Array
    near: Near
    link: Array

    @cached_property
    def value(self) -> float:
        """The loss plus the penalty, `alpha' K alpha / 2`."""
        return self.near.value + 0.5 * float(np.sum(self.fitted.alpha * self.inside))


def _at(blocks: Weighted, free: Array, local: Local, fitted: Fitted) -> _Point:
    inside = blocks @ fitted.alpha
    link = free @ fitted.gamma + inside
    return _Point(fitted, inside, local.at(link), link)


def _nothing(free: Array, local: Local) -> Fitted:
    """Return the fit at which no column says anything."""
    outputs = len(local.start)
    gamma = np.vstack([local.start, np.zeros((free.shape[1] - 1, outputs))])
    return Fitted(np.zeros((len(free), outputs)), gamma)


def _link(blocks: Weighted, free: Array, fitted: Fitted) -> Array:
    return np.asarray(free @ fitted.gamma + blocks @ fitted.alpha)


def _newton(blocks: Weighted, free: Array, near: Near, alpha: Array) -> Fitted:
    """Solve Newton's equations for the step from `alpha`: with its link d, `H d + step.alpha = -(gradient + alpha)`."""
    solve = _Preconditioner(blocks, free, near.curvature)
    left = -(near.gradient + alpha)
    own = solve(left)
    step, toward = Fitted(np.zeros_like(own.alpha), np.zeros_like(own.gamma)), own
    link = _link(blocks, free, own)
    size = first = float(np.sum(link * left))
    for number in range(MOST_INNER):
        if size <= INNER * first or size <= 0:
            break
        link = _link(blocks, free, toward) if number else link
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
        if curvature.shape[1] > MOST_FACTORS:  # a factor for each output would cost more than further products
            curvature = curvature.max(axis=1, keepdims=True)
        self.free = free
        self.parts = [self._part(blocks, own) for own in curvature.T]

    def _part(self, blocks: Weighted, curvature: Array) -> Any:
        if not curvature.any():  # of an output of which nothing is learned
            return None
        root = np.sqrt(np.maximum(curvature, FLAT * float(curvature.max())))
        solver, beside = blocks.solver(root), root[:, None] * self.free
        solved = solver(beside)
        return root, solver, solved, _pseudoinverse(beside.T @ solved)

    def __call__(self, right: Array) -> Fitted:
        alpha, gamma = np.zeros_like(right), np.zeros((self.free.shape[1], right.shape[1]))
        parts = self.parts * right.shape[1] if len(self.parts) == 1 else self.parts
        for output, part in enumerate(parts):
            if part is None:
                continue
            root, solver, solved, inverse = part
            own = right[:, output] / root
            gamma[:, output] = inverse @ (solved.T @ own)
            alpha[:, output] = root * (solver(own) - solved @ gamma[:, output])
        return Fitted(alpha, gamma)


def _pseudoinverse(square: Array) -> Array:
    """Return the pseudoinverse of a symmetric matrix; with an intercept alone it is a number."""
    if square.size == 1 and square[0, 0] > 0:
        return np.asarray(1.0 / square)
    return np.asarray(np.linalg.pinv(square, hermitian=True))


def _unit(square: Array, patients: int) -> float:
    """Return the standard deviation of a block's first component from `x' x` or `x x'`; 1 where it has none."""
    if np.trace(square) <= patients * NO_SPREAD**2:  # the sum of all eigenvalues
        return 1.0
    if len(square) > FEW:  # from a start that no structure of the columns makes zero
        start = np.random.default_rng(0).normal(size=len(square))
        largest = float(eigsh(square, k=1, v0=start, return_eigenvectors=False)[0])
    else:
        largest = float(linalg.eigvalsh(square)[-1])
    return float(np.sqrt(largest / patients))
