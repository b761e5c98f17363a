"""Times of follow-up, as targets that have times read and check them, and the estimates of their null models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from chiasm.errors import Problem, error, warning
from chiasm.limits import HORIZONS
from chiasm.targets.cells import Cells
from chiasm.targets.reach import EXTREME, is_extreme, reach_problems

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# if half of the patients were followed for longer than this (55 years), the unit must be wrong
LONGEST_MEDIAN = {"hours": 480_000.0, "days": 20_000.0, "weeks": 2_900.0, "months": 660.0, "years": 55.0}
SHORT_DAYS = 400.0
TIME_QUANTILES = 3  # strata of the folds within events, and within the censored
FEWEST_EVENTS = 5  # by which models are weighed
CENSORED, MEAN_MONTHS = 0.35, 30.0  # of what is drawn


def times_of(cells: Cells, column: str, *, half_of: str) -> tuple[Floats, Bools]:
    """Read a column of times; return them (B,) with NaN where missing, and True where one is out of bounds.

    Args:
        half_of: the other column of the outcome, which must be filled where this one is; "" for none.
    """
    time = cells.numbers(column, half_of=half_of)
    early = (time <= 0) | np.isinf(time)
    fix = "count from a start that lies before the event, or leave the patient out"
    cells.note(f"column '{column}' must be a time above zero and finite", fix, early)
    extreme = is_extreme(time) & ~early
    cells.note(f"column '{column}' {EXTREME}", "correct the cell, or leave the patient out", extreme)
    return time, early | extreme


def follow_up_problems(column: str, unit: str, times: Floats, path: str | None) -> list[Problem]:
    """List the known times that are out of reach, or do not fit their unit."""
    odd = odd_unit(column, unit, times)
    reach = reach_problems(column, times, path)
    return [*reach, *(warning(what, fix, path=path, finding="odd-unit") for what, fix in odd)]


def odd_unit(column: str, unit: str, times: Floats) -> list[tuple[str, str]]:
    """Say if the times do not fit their unit, judged by summary statistics that are not quoted."""
    unit = unit.strip().lower()
    unit = unit if unit.endswith("s") else f"{unit}s"
    longest = LONGEST_MEDIAN.get(unit)
    said = f"column '{column}' is said to be in {unit}, and"
    if longest is not None and float(np.median(times)) > longest:
        what = f"{said} half of the times are longer than {longest:,.0f}"
        return [(what, "correct `unit` or the times: are they in a smaller unit?")]
    fractions = float(np.mean(times != np.round(times)))
    if unit == "days" and fractions > 0.5 and float(times.max()) < SHORT_DAYS:
        what = f"{said} most times are short fractions of them"
        return [(what, "correct `unit` or the times: are they in months?")]
    return []


def refused_horizons(keys: Mapping[str, Any], path: str) -> list[Problem]:
    """List what is wrong with the `times` of a manifest's `[target]`."""
    if len(keys["times"]) > HORIZONS or any(abs(time) > 1e300 for time in keys["times"]):
        what = f"'times' of the target are {HORIZONS:,} at most, each a number that fits"
        return [error(what, "correct them", path=path, finding="manifest-value")]
    if not increasing([float(time) for time in keys["times"]]):
        what = "'times' of the target must be positive and increasing"
        return [error(what, "correct them", path=path, finding="manifest-value")]
    return []


def increasing(times: Sequence[float]) -> bool:
    """True if all times are positive, finite and increasing."""
    return all(np.isfinite(time) and time > 0 for time in times) and list(times) == sorted(set(times))


def given_horizons(times: Sequence[float], whose: str) -> tuple[float, ...]:
    """The horizons of a target as numbers.

    Raises:
        ValueError: they are not positive, finite and increasing.
    """
    own = tuple(float(time) for time in times)
    if not increasing(own):
        raise ValueError(f"the times of {whose} must be positive, finite and increasing")
    return own


def quartiles(times: Floats) -> tuple[float, ...]:
    """Default horizons: the quartiles of the times of the event, to three significant digits; () without any."""
    if not len(times):
        return ()
    return tuple(sorted({float(f"{value:.3g}") for value in np.quantile(times, (0.25, 0.5, 0.75))}))


def written_time(time: float) -> str:
    """A horizon as the end of a column's name: six digits where these are the time, else all."""
    short = f"{time:g}"
    return short if float(short) == time else repr(float(time))


def censored_times(times: Floats, rng: np.random.Generator) -> tuple[Floats, Bools]:
    """Censor times of events at independent exponential ones for 35 %: the times (n,), and True for an event's own."""
    wait = rng.exponential(1.0, size=len(times))
    wait *= np.quantile(times / wait, 1 - CENSORED)  # censored where the wait is shorter
    return np.maximum(np.minimum(times, wait), 1e-6), times <= wait


def event_free_survival(train_time: ArrayLike, train_event: ArrayLike, at: ArrayLike) -> Floats:
    """Kaplan-Meier estimate S(t) of being event-free at t from the training patients: the null model's prediction.

    After the last training time it stays where it is, zero or not.
    """
    observed, died = np.asarray(train_time, dtype=np.float64), np.asarray(train_event, dtype=np.bool_)
    asked = np.asarray(at, dtype=np.float64)
    if len(observed) == 0:
        return np.full(asked.shape, np.nan)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    events = np.bincount(index, weights=died, minlength=len(unique))
    at_risk = len(observed) - np.r_[0, np.cumsum(count)[:-1]]
    survival = np.r_[1.0, np.cumprod(1.0 - events / at_risk)]
    return np.asarray(survival[np.searchsorted(unique, asked, side="right")], dtype=np.float64)


def cumulative_incidence(time: ArrayLike, cause: ArrayLike, causes: int, at: ArrayLike) -> Floats:
    """Aalen-Johansen estimate `(K, T)` of the probability that each cause has happened by each of T times.

        F_k(t) = sum_{t_j <= t} S(t_j-) d_kj / n_j          S(t) = prod_{t_j <= t} (1 - d_j / n_j)

    d_kj are the events of cause k at t_j, d_j those of any cause, n_j the patients at risk. Equals `cmprsk::cuminc` and
    `survival::survfit` of R. After the last time it stays where it is.

    Args:
        time: (n,) times.
        cause: (n,) 0 for censored, else the cause from 1 to K.
        causes: K.
        at: (T,) times.

    Source: Aalen and Johansen 1978, Scandinavian Journal of Statistics 5:141-150.
    """
    observed, of = np.asarray(time, dtype=np.float64), np.asarray(cause, dtype=np.intp)
    asked = np.asarray(at, dtype=np.float64)
    if len(observed) == 0:
        return np.full((causes, len(asked)), np.nan)
    unique, index, count = np.unique(observed, return_inverse=True, return_counts=True)
    at_risk = len(observed) - np.r_[0, np.cumsum(count)[:-1]]
    events = np.stack([np.bincount(index, of == k + 1, len(unique)) for k in range(causes)])  # (K, J)
    before = np.r_[1.0, np.cumprod(1.0 - np.bincount(index, of > 0, len(unique)) / at_risk)[:-1]]
    incidence = np.c_[np.zeros(causes), np.cumsum(before * events / at_risk, axis=1)]
    return np.asarray(incidence[:, np.searchsorted(unique, asked, side="right")], dtype=np.float64)
