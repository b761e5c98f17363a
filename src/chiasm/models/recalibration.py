"""Recalibration of a fitted model on later outcomes: how much is changed is chosen by a closed test.

With eta (n, K) the calibrated links that the model predicts, the candidates are nested:

    none                 eta
    intercept            a + eta
    intercept and slope  a + b eta
    patterns             a + d_pattern + b eta          (where two patterns of modalities have enough patients)

a (K,) shifts the logits of classes and labels, a number, or the logarithm of the baseline hazard of each cause. The
fullest is tested against the smaller ones, the smallest first, each by a likelihood ratio at one level; the first that
the fullest does not beat is kept. Nothing is changed by chance more often than the level says.

The likelihoods are those of classes, of labels each by itself, of a number with normal errors (an F test), and of the
time of an event given the model's own baseline hazard H: the sum over patients of d_i eta_i - H(t_i) exp(eta_i), in
which who is censored counts up to then. For competing risks it is one such sum a cause.

Source: Vergouwe et al. 2017, doi:10.1002/sim.7179 (the closed test); Steyerberg et al. 2004, doi:10.1002/sim.1844; for
times van Houwelingen 2000, Statistics in Medicine 19:3401. We deviate: no model is fitted anew, and a pattern may have
a level of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit, log_softmax, softmax  # type: ignore[import-untyped]

from chiasm.errors import Unsupported
from chiasm.targets import Outcome, Target, kind_of

Array = NDArray[np.float64]
NONE, INTERCEPT, BOTH, PATTERNS = "none", "intercept", "intercept and slope", "patterns"
LEAST_PATIENTS, LEAST_EVENTS = 30, 10
FARTHEST = 30.0  # shift of a logit or a log hazard
SLOPES = (0.01, 20.0)
"""Slopes that are sought: at the lower end the predictions rank these patients no better than chance."""


class TooFew(Unsupported):
    """Error for patients or events too few to say anything of a model by."""


@dataclass(frozen=True)
class Change:
    """One candidate: (K,) `intercept`, `slope`, (K,) `shifts` of patterns, its log likelihood and free parameters."""

    name: str
    intercept: Array
    slope: float
    shifts: Mapping[str, Array] = field(default_factory=dict)
    log_likelihood: float = np.nan
    parameters: int = 0


@dataclass(frozen=True)
class Chosen:
    """The change that is kept, all candidates by name, and the p of the fullest against each smaller one tested."""

    change: Change
    candidates: tuple[Change, ...]
    p: Mapping[str, float]


class Likelihood:
    """Log likelihood of calibrated links (n, K), and its gradient in them.

    Args:
        kind: kind of target.
        outcome: of the n patients, all known.
        hazard: (n, K) cumulative baseline hazard of each patient at the end of the follow-up, for times.
        seen: (n, K) True where the event is within the reach of that hazard, and so counts.
    """

    def __init__(self, kind: str, outcome: Outcome, hazard: Array | None = None, seen: Array | None = None) -> None:
        self.own: type[Target] = kind_of(kind)
        self.value, self.hazard, self.seen = np.asarray(outcome.value, np.float64), hazard, seen
        if self.own.has_times and (hazard is None or seen is None):
            raise ValueError("the likelihood of times needs the baseline hazard at the end of each follow-up")

    def levels_of(self, columns: int) -> int:
        """Number of free levels of links with these columns: of classes one fewer, of labels those that are known."""
        if self.own.has_labels:
            return int((~np.isnan(self.value)).any(axis=0).sum())
        return columns - 1 if self.own.has_classes else columns

    def __call__(self, eta: Array) -> tuple[float, Array]:
        if self.own.has_classes:
            rows, code = np.arange(len(eta)), self.value.astype(np.intp)
            gradient = -softmax(eta, axis=1)
            gradient[rows, code] += 1
            return float(log_softmax(eta, axis=1)[rows, code].sum()), gradient
        if self.own.has_labels:
            known = ~np.isnan(self.value)
            y = np.where(known, self.value, 0.0)
            each = np.where(known, y * eta - np.logaddexp(0.0, eta), 0.0)
            return float(each.sum()), np.where(known, y - expit(eta), 0.0)
        if self.own.has_times:
            assert self.hazard is not None and self.seen is not None
            expected = self.hazard * np.exp(np.clip(eta, -50, 50))
            return float((self.seen * eta - expected).sum()), self.seen - expected
        error = self.value[:, None] - eta
        return -len(error) / 2 * float(np.log(max((error**2).mean(), 1e-300))), error / max((error**2).mean(), 1e-300)


def chosen_change(
    likelihood: Likelihood, eta: Array, patterns: Sequence[str] | None, enough: Sequence[str], level: float
) -> Chosen:
    """Fit the candidates and choose by the closed test.

    Args:
        eta: (n, K) calibrated links.
        patterns: (n,) pattern of modalities of each patient; None asks for no level of their own.
        enough: patterns with enough patients and events for a level of their own; those of fewer than two are not used.
        level: size of the test, between 0 and 1.
    """
    k = eta.shape[1]
    free = likelihood.levels_of(k)
    found = [
        Change(NONE, np.zeros(k), 1.0, {}, likelihood(eta)[0], 0),
        _fitted(INTERCEPT, likelihood, eta, free, sloped=False),
        _fitted(BOTH, likelihood, eta, free + 1, sloped=True),
    ]
    if patterns is not None and len(enough) > 1:
        found.append(_by_pattern(likelihood, eta, np.asarray(patterns), enough, free))
    fullest, p = found[-1], dict[str, float]()
    for smaller in found[:-1]:
        p[smaller.name] = _p_value(likelihood, smaller, fullest, len(eta))
        if p[smaller.name] > level:
            return Chosen(smaller, tuple(found), p)
    return Chosen(fullest, tuple(found), p)


def _p_value(likelihood: Likelihood, smaller: Change, fuller: Change, n: int) -> float:
    gain, more = 2 * (fuller.log_likelihood - smaller.log_likelihood), fuller.parameters - smaller.parameters
    if not (likelihood.own.has_classes or likelihood.own.has_labels or likelihood.own.has_times):
        rest = max(n - fuller.parameters, 1)
        return float(stats.f.sf(np.expm1(max(gain, 0.0) / n) * rest / more, more, rest))
    return float(stats.chi2.sf(max(gain, 0.0), more))


def require_ranking(change: Change) -> None:
    """Refuse a change whose slope is at the lower end.

    Raises:
        Unsupported: the predictions do not rank these patients.
    """
    if change.slope <= SLOPES[0] * 1.01:
        raise Unsupported(
            "the predictions do not rank these patients at all (their slope is zero or below): a recalibration cannot "
            "mend that, look at the data (chiasm monitor), or fit a model anew"
        )


def _fitted(name: str, likelihood: Likelihood, eta: Array, parameters: int, *, sloped: bool) -> Change:
    """Find the intercepts and, with `sloped`, the slope of the largest likelihood."""
    a, slope, _, best = _maximum(likelihood, eta, np.zeros((len(eta), 0)), sloped)
    return Change(name, a, slope, {}, best, parameters)


def _by_pattern(
    likelihood: Likelihood, eta: Array, patterns: NDArray[np.str_], enough: Sequence[str], free: int
) -> Change:
    """Find the same with a shift of each pattern that has enough patients; of the first and of the rest it is zero."""
    member = np.stack([patterns == name for name in enough[1:]], axis=1).astype(np.float64)  # (n, P - 1)
    a, slope, shifts, best = _maximum(likelihood, eta, member, True)
    named = {name: shifts[place] for place, name in enumerate(enough[1:])}
    return Change(PATTERNS, a, slope, named, best, free * (1 + len(named)) + 1)


def _maximum(likelihood: Likelihood, eta: Array, member: Array, sloped: bool) -> tuple[Array, float, Array, float]:
    n, k = eta.shape
    design = np.c_[np.ones(n), member]  # (n, 1 + P)
    own = likelihood.own
    if not (own.has_classes or own.has_labels or own.has_times):  # least squares
        columns = np.c_[design, eta] if sloped else design
        found = np.linalg.lstsq(columns, likelihood.value - (0.0 if sloped else eta[:, 0]), rcond=None)[0]
        slope = float(max(found[-1], SLOPES[0])) if sloped else 1.0
        levels = np.asarray(found[: design.shape[1], None], dtype=np.float64)
        return levels[0], slope, levels[1:], likelihood(design @ levels + slope * eta)[0]
    start = np.r_[np.zeros(design.shape[1] * k), [1.0]]

    def lost(x: Array) -> tuple[float, Array]:
        levels, slope = x[:-1].reshape(design.shape[1], k), x[-1]
        value, gradient = likelihood(design @ levels + slope * eta)
        back = np.r_[(design.T @ gradient).ravel(), [float((gradient * eta).sum()) if sloped else 0.0]]
        return -value, -back

    ends = [(-FARTHEST, FARTHEST)] * (len(start) - 1) + [SLOPES if sloped else (1.0, 1.0)]
    options = {"maxiter": 2000, "ftol": 1e-14, "gtol": 1e-8}
    found = minimize(lost, start, jac=True, bounds=ends, method="L-BFGS-B", options=options)
    levels = np.asarray(found.x[:-1].reshape(design.shape[1], k), dtype=np.float64)
    if own.has_classes:  # of logits of classes only differences count
        levels = levels - levels.mean(axis=1, keepdims=True)
    return levels[0], float(found.x[-1]), levels[1:], -float(found.fun)
