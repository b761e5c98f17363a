"""Ridge Cox regression in numpy: Efron's partial likelihood, its Newton solution, and Breslow's survival curve.

With `S(t) = sum_{t_i >= t} exp(risk_i)` and `D(t)` the same sum over the `d` patients whose event is at t, Efron's
negative log partial likelihood is

    sum_t [ sum_{l < d} log(S(t) - l/d D(t)) - sum_{i: event at t} risk_i ]

(Efron 1977, doi:10.1080/01621459.1977.10480613). Rows are sorted once, so that value, gradient
and Hessian are cumulative sums.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import linalg  # type: ignore[import-untyped]
from scipy.linalg import lapack  # type: ignore[import-untyped]

Array = npt.NDArray[np.float64]


def fit_ridge_cox(
    features: Array,
    time: Array,
    event: npt.NDArray[Any],
    penalty: float,
    start: Array | None = None,
    offset: Array | None = None,
    penalty_weights: Array | None = None,
    sets: RiskSets | None = None,
) -> Array:
    """Minimise `cox_nll(features @ coef + offset) + penalty/2 * sum_j penalty_weights_j coef_j^2` by damped Newton.

    Args:
        features: (n, F), finite.
        time: (n,) follow-up of each patient, in any unit.
        event: (n,) bool, True where the event happened.
        penalty: strength >= 0.
        start: (F,) starting point, e.g. the solution at a larger penalty; it changes the speed, not the answer.
        offset: (n,) known part of the log risk.
        penalty_weights: (F,) >= 0, ones unless given; 0 leaves a coefficient free.
        sets: risk sets of `time` and `event`, if already computed.

    Returns:
        coef (F,); zeros where no event happened. Equals scikit-survival's `CoxPHSurvivalAnalysis(alpha, ties="efron")`.
    """
    x = checked(features, time)
    sets = sets or RiskSets(np.asarray(time, np.float64), np.asarray(event, bool))
    weights = np.ones(x.shape[1]) if penalty_weights is None else np.asarray(penalty_weights, np.float64)
    if penalty < 0 or weights.shape != x.shape[1:] or (weights < 0).any():
        raise ValueError(f"penalty {penalty} and its weights must be >= 0, one a feature of {x.shape[1]}")
    if not len(sets.events):
        return np.zeros(x.shape[1])
    x, scale, back, ridge = x - x.mean(axis=0), np.ones_like(weights), None, penalty * weights
    if (weights > 0).all():
        scale = np.sqrt(weights)
        x, back = row_space(x / scale)
        ridge = np.full(x.shape[1], float(penalty))
    z, shift = x[sets.order], np.zeros(len(x)) if offset is None else np.asarray(offset, np.float64)[sets.order]
    coef = np.zeros(z.shape[1])
    if start is not None:
        scaled = np.asarray(start, np.float64) * scale
        coef = scaled if back is None else back.T @ scaled
    value = sets.nll(z @ coef + shift) + 0.5 * ridge @ coef**2
    for _ in range(100):
        gradient, hessian = sets.derivatives(z, z @ coef + shift)
        gradient += ridge * coef
        hessian.flat[:: len(ridge) + 1] += ridge
        step = -solve(hessian, gradient)
        decrement, size = float(-gradient @ step), 1.0
        while size > 1e-8:
            trial = coef + size * step
            new = sets.nll(z @ trial + shift) + 0.5 * ridge @ trial**2
            if new <= value - 1e-4 * size * decrement or decrement < 1e-9:
                break
            size /= 2
        else:
            break
        coef, value = trial, new
        if decrement < 1e-10:
            break
    return (coef if back is None else back @ coef) / scale


def cox_nll(risk: Array, time: Array, event: npt.NDArray[Any]) -> float:
    """Negative log partial likelihood of the log risks (n,), Efron's ties; 0 where no event happened."""
    sets = RiskSets(np.asarray(time, np.float64), np.asarray(event, bool))
    return sets.nll(np.asarray(risk, np.float64)[sets.order])


def breslow(risk: Array, time: Array, event: npt.NDArray[Any]) -> tuple[Array, Array]:
    """Breslow's estimate `H(t) = sum_{t_g <= t} d_g / sum_{t_i >= t_g} exp(risk_i)` of the cumulative hazard.

    Returns `(event_times, cumulative_hazard)`, both (G,), ascending, for a patient whose log risk is 0.
    """
    sets = RiskSets(np.asarray(time, np.float64), np.asarray(event, bool))
    hazard = np.exp(-np.logaddexp.accumulate(np.asarray(risk, np.float64)[sets.order])[sets.reach - 1])
    times, where = np.unique(np.asarray(time, np.float64)[sets.order][sets.events], return_inverse=True)
    return times, np.cumsum(np.bincount(where, hazard, len(times)))


def survival_at(risk: Array, baseline: tuple[Array, Array], times: Sequence[float] | Array) -> Array:
    """Probability (n, K) of being event-free past each of K times: `exp(-H(t) exp(risk))`, 1 before any event."""
    known, hazard = baseline
    level = np.concatenate([[0.0], hazard])[np.searchsorted(known, np.asarray(times, np.float64), side="right")]
    growth = np.exp(np.clip(np.asarray(risk, np.float64), -500, 500))
    return np.asarray(np.exp(-growth[:, None] * level))


class RiskSets:
    """Risk sets: the patients at risk at each of E events, which are the terms of the likelihood, at G event times."""

    def __init__(self, time: Array, event: npt.NDArray[np.bool_]) -> None:
        if time.ndim != 1 or time.shape != event.shape:
            raise ValueError(f"time has shape {time.shape} and event {event.shape}: both must be (n,), n the same")
        if not np.isfinite(time).all():
            raise ValueError("time must be finite: leave out the patients whose outcome is unknown")
        self.order = np.argsort(-time, kind="stable")  # latest first: a risk set is a prefix
        late, happened = time[self.order], event[self.order]
        self.events = np.flatnonzero(happened)  # (E,)
        times = late[self.events]
        self.reach = np.searchsorted(-late, -times, side="right")  # (E,) size of each event's risk set
        first = np.ones(len(times), bool)
        first[1:] = times[1:] != times[:-1]
        self.starts = np.flatnonzero(first)  # (G,) first event of each tied group
        self.group = np.cumsum(first) - 1  # (E,)
        ties = np.bincount(self.group)
        self.fraction = (np.arange(len(times)) - self.starts[self.group]) / ties[self.group]  # (E,) l/d

    def nll(self, risk: Array) -> float:
        """Negative log partial likelihood of risks (n,) sorted as in `order`."""
        return float(self.nlls(risk[None])[0])

    def nlls(self, risks: Array) -> Array:
        """Negative log partial likelihood (S,) of S risks (S, n) sorted as in `order`, in logarithms throughout."""
        if not len(self.events):
            return np.zeros(len(risks))
        own = risks[:, self.events]  # (S, E)
        tied = np.logaddexp.reduceat(own, self.starts, axis=1)[:, self.group]
        whole = np.logaddexp.accumulate(risks, axis=1)[:, self.reach - 1]
        return np.asarray(
            np.sum(whole + np.log1p(-self.fraction * np.exp(np.minimum(tied - whole, 0.0))) - own, axis=1)
        )

    def curves(self, risk: Array) -> tuple[Array, Callable[[Array], Array]]:
        """Expected events (n,) at risks sorted as in `order`, and the product with the Hessian in the risks.

        The Hessian is `diag(expected) - M' M`, where a row of M (E, n) weighs the patients at risk at an event.
        """
        if not len(self.events):
            return np.zeros(len(risk)), np.zeros_like
        weight, size, expected = self._shares(risk)

        def times(x: Array) -> Array:
            own = weight * x
            tied = np.add.reduceat(own[self.events], self.starts)[self.group]
            means = (np.cumsum(own)[self.reach - 1] - self.fraction * tied) / size / size  # (E,)
            back = np.cumsum(np.bincount(self.reach - 1, means, len(risk))[::-1])[::-1].copy()
            back[self.events] -= np.bincount(self.group, self.fraction * means)[self.group]
            return np.asarray(expected * x - weight * back)

        return expected, times

    def _shares(self, risk: Array) -> tuple[Array, Array, Array]:
        """Weights (n,), sizes (E,) of the risk sets, and expected events (n,)."""
        weight = np.exp(risk - risk.max())
        tied = np.add.reduceat(weight[self.events], self.starts)[self.group]
        size = np.maximum(np.cumsum(weight)[self.reach - 1] - self.fraction * tied, 1e-300)  # (E,)
        share = np.cumsum(np.bincount(self.reach - 1, 1 / size, len(risk))[::-1])[::-1].copy()  # (n,)
        share[self.events] -= np.bincount(self.group, self.fraction / size)[self.group]
        share *= weight
        return weight, size, np.asarray(share)

    def derivatives(self, x: Array, risk: Array) -> tuple[Array, Array]:
        """Gradient (F,) and Hessian (F, F) of the negative log partial likelihood in the coefficients of x (n, F)."""
        weight, size, share = self._shares(risk)
        gradient = x.T @ share - x[self.events].sum(axis=0)
        weighted = weight[:, None] * x
        means = np.cumsum(weighted, axis=0)[self.reach - 1]  # (E, F)
        later = np.flatnonzero(self.fraction)  # of tied events all but the first
        if len(later):
            tied = np.add.reduceat(weighted[self.events], self.starts, axis=0)[self.group[later]]
            means[later] -= self.fraction[later, None] * tied
        means /= size[:, None]
        return gradient, x.T @ (share[:, None] * x) - means.T @ means


def row_space(x: Array) -> tuple[Array, Array | None]:
    """Reduce x (n, F) to its row space.

    Returns `(reduced (n, n), back (F, n))` with `x = reduced @ back.T` and orthonormal back; `(x, None)` where F <= n.
    """
    if x.shape[1] <= x.shape[0]:
        return x, None
    back, triangle = linalg.qr(x.T, mode="economic")
    return np.ascontiguousarray(triangle.T), back


def checked(features: Array, rows: npt.NDArray[Any]) -> Array:
    """Return the features as float64 (n, F); refuse them unless they are finite and as long as `rows`."""
    x = np.asarray(features, np.float64)
    if x.ndim != 2 or len(x) != len(rows):
        raise ValueError(f"features have shape {x.shape}: they must be (n, F) with n = {len(rows)}")
    if not np.isfinite(x).all():
        raise ValueError("features must be finite: impute or clip them on the training rows first")
    return x


def solve(matrix: Array, vector: Array) -> Array:
    """Solve `matrix @ x = vector` for a symmetric matrix (F, F), positive definite in a sound problem.

    LAPACK is called directly: for a few columns the checks around it take twenty times as long as the solution.
    """
    if not len(matrix):
        return np.zeros_like(vector)
    _, solution, failed = lapack.dposv(matrix, vector)
    if failed or not np.isfinite(solution).all():  # some direction has no curvature: take the step of least norm
        return np.asarray(linalg.lstsq(matrix, vector)[0])
    return np.asarray(solution)
