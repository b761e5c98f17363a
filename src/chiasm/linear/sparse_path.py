"""Elastic nets of any loss, with an offset: what is known of the links before the first column is read.

    sum_i loss_i(offset_i + x_i @ coef + intercept) + penalty * (l1_ratio |coef|_1 + (1 - l1_ratio) / 2 |coef|^2)

Proximal Newton: near a point the loss is a quadratic (`Local`), whose elastic net is solved as that of least squares,
from its moments (`proximal.py`); a shorter step is taken where the whole would not descend (Lee, Sun and Saunders, SIAM
J. Optimization 2014, doi:10.1137/130921428). Of Cox's likelihood that is close to the method of Simon, Friedman, Hastie
and Tibshirani (J. Statistical Software 2011, doi:10.18637/jss.v039.i05), here with Efron's ties. Columns enter a
working set where they violate the conditions of optimality, so that the result is that of all columns.

A penalty factor f of a block is a block divided by f: its L1 norm is then penalised f times as much, its square f^2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.loss import Local, Near
from chiasm.linear.moments import MomentBlock
from chiasm.linear.proximal import TOLERANCE, fit_working_set

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
LEAST_ENTERING = 20  # columns that may enter the working set at once; a quarter of it if that is more
MOST_STEPS, MOST_ROUNDS = 100, 100
FLAT = 1e-8  # least curvature of a patient, relative to the largest
NO_CURVATURE = 1e-12
SHORTEST = 1e-6  # part of a step that is tried last
ROUNDING = 1e-12  # of an objective


@dataclass(frozen=True)
class _Weighted:
    """What `fit_working_set` asks of the problem: weighted least squares."""

    l1_ratio: float
    curvature: float = 1.0


class SparsePath:
    """Fits along a path of penalties, each started from the one before; penalties should fall.

    Args:
        x: columns `(n, F)`.
        local: the loss of these patients.
        l1_ratio: share of the L1 norm, above 0 and at most 1.
        offset: `(n, S)` added to the links; None is zero.
    """

    def __init__(self, x: Array, local: Local, l1_ratio: float, offset: Array | None = None) -> None:
        self.x, self.local, self.l1_ratio = x, local, l1_ratio
        self.offset = np.zeros((len(x), len(local.start))) if offset is None else offset
        self.varies = np.ptp(x, axis=0) > 0
        self.coef = np.zeros((x.shape[1], len(local.start)))
        self.intercept = np.array(local.start, np.float64) if offset is None else np.zeros(len(local.start))
        self.slope = np.zeros_like(self.coef)
        self._fit(np.zeros(0, int), 1.0)

    @property
    def largest_penalty(self) -> float:
        """Smallest penalty at which every coefficient is zero, if nothing has been fitted yet."""
        return float(np.abs(self.slope).max(initial=0.0)) / self.l1_ratio

    def at(self, penalty: float) -> tuple[Array, Array]:
        """Fit at one penalty; return coefficients `(F, S)` and intercept `(S,)`."""
        inside = (self.coef != 0).any(axis=1)
        if inside.any():
            self._fit(np.flatnonzero(inside), penalty)
        for _ in range(MOST_ROUNDS):
            beyond = np.where(inside, 0.0, np.abs(self.slope).max(axis=1, initial=0.0))
            order = np.argsort(-beyond, kind="stable")[: max(LEAST_ENTERING, int(inside.sum()) // 4)]
            entering = order[beyond[order] > self.l1_ratio * penalty * (1 + TOLERANCE)]
            if not len(entering):
                break
            inside[entering] = True
            self._fit(np.flatnonzero(inside), penalty)
        return self.coef, self.intercept

    def _slope(self, near: Near) -> Array:
        """Minus the gradient of the loss, `(F, S)`; exactly zero for a constant column."""
        return np.asarray(np.where(self.varies[:, None], -(near.gradient.T @ self.x).T, 0.0))

    def _fit(self, chosen: Ints, penalty: float) -> None:
        """Fit these columns, the others being zero, until every condition of optimality holds."""
        threshold, ridge = penalty * self.l1_ratio, penalty * (1 - self.l1_ratio)
        x = np.asfortranarray(self.x[:, chosen])
        coef, intercept = self.coef[chosen], self.intercept
        base = x @ coef
        near = self.local.at(self.offset + base + intercept)

        def objective(value: float, own: Array) -> float:
            return value + ridge / 2 * float(np.vdot(own, own)) + threshold * float(np.abs(own).sum())

        for _ in range(MOST_STEPS):
            slope = -(x.T @ near.gradient) - ridge * coef
            missed = np.where(coef != 0, np.abs(slope - threshold * np.sign(coef)), np.abs(slope) - threshold)
            if max(missed.max(initial=0.0), np.abs(near.gradient.sum(0)).max()) <= TOLERANCE * threshold:
                break
            aim, level = self._aim(x, near, penalty, coef, intercept)
            before, along, part = objective(near.value, coef), x @ aim - base, 1.0
            while part >= SHORTEST:
                own, free = coef + part * (aim - coef), intercept + part * (level - intercept)
                ahead = self.local.at(self.offset + base + part * along + free)
                if objective(ahead.value, own) <= before + ROUNDING * abs(before):
                    break
                part /= 2
            else:
                break  # nothing descends but by rounding
            gained = before - objective(ahead.value, own)
            coef, intercept, base, near = own, free, base + part * along, ahead
            if gained <= ROUNDING * abs(before):
                break
        self.coef = np.zeros_like(self.coef)
        self.coef[chosen], self.intercept = coef, intercept
        self.slope = self._slope(near)

    def _aim(self, x: Array, near: Near, penalty: float, coef: Array, intercept: Array) -> tuple[Array, Array]:
        """Solve the elastic net of the quadratic that the loss is near here."""
        if near.square is not None:
            return self._together(x, near.square, near.gradient, penalty, coef, intercept)
        aim, level = coef.copy(), intercept.copy()
        for output in range(coef.shape[1]):
            weight = near.curvature[:, output]
            if weight.any():  # else nothing is known of this label
                weight = np.maximum(weight, FLAT * weight.max())

                def square(values: Array, weight: Array = weight) -> Array:
                    return np.asarray(values.T @ (values * weight[:, None]))

                one = slice(output, output + 1)
                aim[:, one], level[one] = self._together(
                    x, square, near.gradient[:, one], penalty, coef[:, one], intercept[one]
                )
        return aim, level

    def _together(
        self, x: Array, square: Callable[[Array], Array], gradient: Array, penalty: float, coef: Array, intercept: Array
    ) -> tuple[Array, Array]:
        """The same for outputs that depend on each other; their intercepts, free of penalty, are solved for."""
        width, outputs = coef.shape
        design = np.concatenate([x, np.ones((len(x), 1))], axis=1)
        left = -(design.T @ gradient).T.ravel()  # one output after another
        whole = square(design)
        place = np.arange(len(left)).reshape(outputs, width + 1)
        order, bound, free = (
            np.append(place[:, :-1], place[:, -1]),
            slice(width * outputs),
            slice(width * outputs, None),
        )
        if outputs > 1:  # else it is in this order
            whole, left = whole[np.ix_(order, order)], left[order]
        inverse = _inverse(whole[free, free], float(np.trace(whole)))
        across = whole[bound, free] @ inverse
        own, nothing = coef.T.reshape(-1, 1), np.zeros(1)
        if width:
            gram = whole[bound, bound] - across @ whole[free, bound]
            cross = gram @ own + (left[bound] - across @ left[free])[:, None]
            block = MomentBlock(gram, cross, nothing, 1)
            aim = fit_working_set(_Weighted(self.l1_ratio), block, penalty, own, nothing)[0]
        else:
            aim = own
        change = inverse @ left[free] - across.T @ (aim - own)[:, 0]
        return aim.reshape(outputs, width).T, intercept + change


def _inverse(square: Array, size: float) -> Array:
    """Pseudoinverse of the Hessian in the intercepts: zero where links are compared, but for rounding of `size`."""
    if len(square) == 1:
        return np.array([[1 / square[0, 0] if square[0, 0] > NO_CURVATURE * size else 0.0]])
    return np.asarray(np.linalg.pinv(square, hermitian=True))
