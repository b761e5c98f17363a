"""How much of what a network adds to a model is kept: a gate from 0 to 1, chosen by patients that neither has seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar  # type: ignore[import-untyped]

from chiasm.cohort import Outcome
from chiasm.linear.likelihood import FoldLikelihood
from chiasm.linear.target_units import TargetUnits

Array = NDArray[np.float64]
SHRINKAGE = 10.0  # how strongly a gate is held to zero, in events (or patients), as the weights of `stacked-fusion`
MARGIN = 2.0  # log-likelihood that the network must gain: noise gains it once in forty times


def choose_gate(
    kind: str, start: Array, added: Array, outcome: Outcome, folds: NDArray[np.int_], *, margin: float = MARGIN
) -> float:
    """Choose the share g of `added` that is kept beside `start`, both `(n, K)` out-of-fold links; 0 unless it pays.

        argmin over g in [0, 1] of nll(start + g added) + SHRINKAGE / 2 g^2 mean(added^2)

    The gate is 0 unless this falls by more than `margin` from g = 0 to its minimum. `nll` is summed within folds, a
    number counts in standard units. Under noise twice the gain of one weight that may not be negative is a half zero,
    a half chi-square of one degree of freedom, which exceeds 4 in a fortieth of cases.

    Args:
        folds: `(n,)` the models that each link comes from.
        margin: log-likelihood that must be gained.
    """
    units = TargetUnits.of(kind, outcome)
    likelihood = FoldLikelihood(kind, units.inside(outcome), folds)
    begun, step = units.number(start), added / units.scale
    size = SHRINKAGE / 2 * float((step**2).mean())

    def objective(gate: float) -> float:
        return likelihood(begun + gate * step) + size * gate**2

    found = minimize_scalar(objective, bounds=(0.0, 1.0), method="bounded", options={"xatol": 1e-3})
    best = min((float(found.x), 1.0), key=objective)
    return best if objective(0.0) - objective(best) > margin else 0.0
