"""Sparse linear predictors along a path of elastic-net penalties: logistic and least squares, few of many columns.

In the convention of `chiasm.linear.linear`, with the L1 norm beside the ridge:

    sum_i loss_i(features_i @ coef + intercept) + penalty * (l1_ratio |coef|_1 + (1 - l1_ratio) / 2 |coef|^2)

The path goes down from the smallest penalty at which every coefficient is zero. At each penalty only a working set of
columns is fitted; the conditions of optimality are then checked on all columns, and the worst violators enter the set,
until there are none: the active sets of glmnet (Friedman, Hastie, Tibshirani, J. Statistical Software 2010,
doi:10.18637/jss.v033.i01). The result is that of all columns.

`proximal.py` solves the working set. Measured against scikit-learn on one core, 20 penalties on 300 x 37,000:
`enet_path` takes 152 s, the same on these working sets 3.1 s, and this solver 0.6 s. For five classes on a working set,
weighted least squares by its coordinate descent is 3 to 27 times slower; `saga` is 1 to 5 times slower, and stops at a
small change instead of at the optimum.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit  # type: ignore[import-untyped]

from chiasm.linear.linear import Linear
from chiasm.linear.logistic import over_all_classes
from chiasm.linear.losses import LOSSES
from chiasm.linear.moments import MomentProblem, Moments, worth_summing
from chiasm.linear.proximal import TOLERANCE, Problem, SparseProblem, fit_working_set
from chiasm.linear.ridge_cox import Array
from chiasm.linear.shared_rows import Rows, SharedRows, checked_rows
from chiasm.targets import Outcome

STEPS = 12
LEAST_ENTERING = 50  # columns that may enter the working set at once; a quarter of it if that is more


def fit_elastic_net(
    kind: str,
    features: Rows,
    outcome: Outcome,
    penalties: Sequence[float],
    *,
    l1_ratio: float = 0.5,
    classes: int | None = None,
) -> list[Linear]:
    """Fit one sparse linear predictor per penalty, warm-started from the largest penalty to the smallest.

    Two classes are fitted as one logit z, written as (-z/2, +z/2); the penalty is on the coefficients of z. A class
    without a row is treated as by the ridge: half a patient, and no coefficient.

    Args:
        kind: kind of target whose loss has a sparse form: "classification" or "regression".
        features: (n, F), finite. Patients whose outcome is unknown are left out.
        outcome: outcomes of the same n patients: class codes or numbers.
        penalties: strengths > 0, in any order.
        l1_ratio: share of the L1 norm, above 0 and at most 1.
        classes: number of classes, where the given rows may lack one.

    Returns:
        One `Linear` for each penalty, in the order given. Equals `sklearn.linear_model.ElasticNet(alpha=penalty / n)`
        and `LogisticRegression(solver="saga", C=1 / penalty)` with the same `l1_ratio`.

    Raises:
        ValueError: a penalty of 0 or less, an `l1_ratio` outside (0, 1], survival, or features that are not finite.
    """
    if not len(penalties) or min(penalties) <= 0:
        raise ValueError(f"penalties must be a list of numbers > 0, not {list(penalties)}")
    problem, codes = _problem(kind, features, outcome, l1_ratio)
    fits: dict[float, Linear] = {}
    for penalty, coef, intercept in _path(problem, sorted(set(penalties), reverse=True)):
        if not problem.squared:
            fits[penalty] = Linear(kind, *over_all_classes(coef, intercept, problem.mean, codes, classes))
        else:
            fits[penalty] = Linear(kind, coef, intercept - problem.mean @ coef)
    return [fits[penalty] for penalty in penalties]


def largest_penalty(kind: str, features: Rows, outcome: Outcome, *, l1_ratio: float = 0.5) -> float:
    """Smallest penalty at which every coefficient is zero: `max |x_j' (y - mean y)| / l1_ratio`.

    0 where no column varies with the outcome. Arguments as for `fit_elastic_net`.
    """
    return _largest(_problem(kind, features, outcome, l1_ratio)[0].start()[1], l1_ratio)


def penalty_grid(kind: str, features: Rows, outcome: Outcome, *, l1_ratio: float = 0.5) -> tuple[float, ...]:
    """Grid of `STEPS` penalties, ascending and geometric, up to the largest one of use.

    They span two decades with more columns than patients, else three, where hardly any penalty is left.
    """
    top = largest_penalty(kind, features, outcome, l1_ratio=l1_ratio) or 1.0
    decades = 2 if features.shape[1] > int(np.sum(outcome.known)) else 3
    return tuple(float(top * share) for share in np.geomspace(10.0**-decades, 1.0, STEPS))


def _problem(kind: str, features: Rows, outcome: Outcome, l1_ratio: float) -> tuple[Problem, NDArray[np.int_]]:
    """Build the problem of the patients with known outcomes, and return their class codes."""
    if kind not in LOSSES or not LOSSES[kind].has_elastic_net:
        able = " and ".join(name for name, loss in LOSSES.items() if loss.has_elastic_net)
        raise ValueError(f"no elastic net for a target of kind {kind!r}: it is for {able}")
    if not 0 < l1_ratio <= 1:
        raise ValueError(f"l1_ratio must lie above 0 and be at most 1, not {l1_ratio}: without L1 take the ridge")
    known = np.asarray(outcome.known, bool)
    x, y = checked_rows(features, known), np.asarray(outcome.value, np.float64)
    if not known.all():
        x, y = x[known], y[known]
    sparse = LOSSES[kind].sparse(Outcome(y, None, np.ones(len(y), bool)))
    varies = x.varies if isinstance(x, SharedRows) else np.ptp(x, axis=0) > 0
    if sparse.squared and worth_summing(x):
        return MomentProblem(Moments(x, sparse.targets), varies, l1_ratio), sparse.codes
    mean = np.asarray(x.mean(axis=0))
    return SparseProblem(sparse.squared, x, mean, varies, sparse.targets, l1_ratio), sparse.codes


def _largest(slope: Array, l1_ratio: float) -> float:
    return float(np.abs(slope).max(initial=0.0)) / l1_ratio


def _path(problem: Problem, penalties: Sequence[float]) -> Iterator[tuple[float, Array, Array]]:
    """Yield `(penalty, coef (F, K), intercept (K,) at the mean of the columns)` from the largest penalty down."""
    intercept, slope = problem.start()
    coef, top = np.zeros_like(slope), _largest(slope, problem.l1_ratio)
    if not problem.squared:
        intercept = logit(intercept) if len(intercept) == 1 and intercept < 1 else np.log(intercept)
        intercept = intercept - (intercept.mean() if len(intercept) > 1 else 0.0)
    for penalty in penalties:
        if penalty < top:
            coef, intercept, slope = _at(problem, penalty, coef, intercept, slope)
        yield penalty, coef, intercept


def _at(problem: Problem, penalty: float, coef: Array, intercept: Array, slope: Array) -> tuple[Array, Array, Array]:
    """Fit at one penalty, from the solution at a larger one; return coefficients, intercept and gradient."""
    inside = (coef != 0).any(axis=1)
    entering = _entering(problem, penalty, slope, inside)
    while len(entering) or inside.any():
        inside[entering] = True
        chosen = np.flatnonzero(inside)
        block = problem.block(chosen)
        own, intercept = fit_working_set(problem, block, penalty, coef[chosen], intercept)
        coef = np.zeros_like(coef)
        coef[chosen] = own
        slope = problem.slope(block, chosen, own, intercept)
        entering = _entering(problem, penalty, slope, inside)
        if not len(entering):
            break
    return coef, intercept, slope


def _entering(problem: Problem, penalty: float, slope: Array, inside: NDArray[np.bool_]) -> NDArray[np.int_]:
    """Find the columns outside the working set whose gradient exceeds the L1 threshold, the furthest first."""
    beyond = np.where(inside, 0.0, np.abs(slope).max(axis=1))
    order = np.argsort(-beyond, kind="stable")[: max(LEAST_ENTERING, int(inside.sum()) // 4)]
    return order[beyond[order] > problem.l1_ratio * penalty * (1 + TOLERANCE)]
