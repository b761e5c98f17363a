"""What was observed of times in a group of patients: survival, or the incidence of the main of several causes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.evaluation import Trial
from chiasm.metrics.incidence import incidence_interval

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Curve = tuple[Floats, Floats, Floats]
Observed = tuple[float, float, float]


@dataclass(frozen=True)
class Told:
    """How a page speaks of what happens with time, and the estimates of it.

    Args:
        what, short: what is predicted at a horizon, in full and in one word.
        estimate: name of the estimate of it in a group of patients.
        curves: what the estimates are called as curves.
        column: column of a trial's outcomes that says what happened at the time.
        observed: `(horizon, time, outcome) -> (value, low, high)`, 95 %; NaN where it is unknown.
        curve: `(grid, time, outcome) -> (value, low, high)` at the times of a grid, each an array.
    """

    what: str
    short: str
    estimate: str
    curves: str
    column: str
    observed: Callable[[float, Floats, Ints], Observed]
    curve: Callable[[Floats, Floats, Ints], Curve]


def told_of(trial: Trial) -> Told:
    """Return how the trial's outcome is told."""
    if not trial.target.has_causes:
        observed, curve = kaplan_meier_at, kaplan_meier_curve
        return Told("survival", "survival", "Kaplan-Meier survival", "Kaplan-Meier", "event", observed, curve)
    main = trial.classes[0]
    return Told(
        f"incidence of '{main}'", "incidence", f"Aalen-Johansen incidence of '{main}'", "Cumulative incidence", "cause",
        incidence_of_main, incidence_curve,
    )  # fmt: skip


def kaplan_meier_at(horizon: float, time: Floats, event: Ints | NDArray[np.bool_]) -> Observed:
    """Kaplan-Meier survival at a horizon with its 95 % interval; NaN past the last time of a group still at risk."""
    from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]

    fitter = KaplanMeierFitter().fit(time, event)
    value = float(fitter.predict(horizon))
    if horizon > time.max() and value > 0:
        return math.nan, math.nan, math.nan
    bounds = fitter.confidence_interval_survival_function_
    low, high = bounds[bounds.index <= horizon].iloc[-1].to_numpy(np.float64)
    return value, float(low), float(high)


def kaplan_meier_curve(grid: Floats, time: Floats, event: Ints) -> Curve:
    """Kaplan-Meier survival at the times of a grid that starts at zero, with its 95 % interval."""
    from lifelines import KaplanMeierFitter

    fitter = KaplanMeierFitter().fit(time, event)
    bounds = fitter.confidence_interval_survival_function_.reindex(grid, method="ffill").to_numpy(np.float64)
    return fitter.survival_function_at_times(grid).to_numpy(), bounds[:, 0], bounds[:, 1]


def incidence_of_main(horizon: float, time: Floats, cause: Ints) -> Observed:
    """Aalen-Johansen incidence of the main cause at a horizon with its 95 % interval."""
    value, low, high = incidence_interval(time, cause, [horizon])
    return float(value[0]), float(low[0]), float(high[0])


def incidence_curve(grid: Floats, time: Floats, cause: Ints) -> Curve:
    """Aalen-Johansen incidence of the main cause at the times of a grid; zero, without an interval, at first."""
    value, low, high = incidence_interval(time, cause, grid)
    return value, np.where(np.isnan(low), value, low), np.where(np.isnan(high), value, high)
