"""Parameters of a twin fitted to patients' own courses, each with the interval of its profile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq, least_squares  # type: ignore[import-untyped]
from scipy.stats import t as student  # type: ignore[import-untyped]

from chiasm.cohort.tables import Table
from chiasm.dynamics.twins.compartment import Compartment

FEWEST = 5  # measurements of a patient: two more than parameters
FEWEST_PATIENTS = 5  # below which no interval over patients is given
WIDE = np.log(50.0)  # an end of an interval farther than fifty times from the estimate is not told
STARTS = (0.5, 2.0)  # absorption an hour, from which the fit starts; the better one is kept
TOO_FEW = f"fewer than {FEWEST} measurements"
COLUMNS = ("patient", "time", "concentration", "dose")
MOST = 1e9  # of an hour, a dose or a concentration: more is none
OPEN = "the profile does not end: the course does not tell it"


def read_courses(file: Path) -> pd.DataFrame:
    """Read a table of courses, for `fit_courses`: identifiers as they are written, so that 01 and 1 are two patients.

    Raises:
        CohortError: it cannot be read as a table.
    """
    table = Table(file, file.name)
    table.inspect()
    found = table.frame([name for name in COLUMNS if name in table.columns])
    if "patient" in found:
        named = pd.Series(table.texts("patient"), index=found.index, dtype=object).str.strip()
        found = found.assign(patient=named.where(named != ""))
    return found


def concentration(parameters: np.ndarray, times: np.ndarray, given: np.ndarray, doses: np.ndarray) -> np.ndarray:
    """Return the concentration at `times`, in mg/L, after doses by mouth; doses add up.

    `c(t) = sum_i D_i ka / (V (ka - ke)) (e^(-ke (t - t_i)) - e^(-ka (t - t_i)))` over the doses given by then.

    Args:
        parameters: absorption ka and elimination ke, an hour, and volume V, in L/kg.
        times: hours.
        given: hours at which doses were given.
        doses: mg/kg.
    """
    absorb, eliminate, volume = parameters
    apart, slower = max(abs(absorb - eliminate), 1e-9), min(absorb, eliminate)  # the difference of both is symmetric
    since = times[:, None] - given[None]
    part = -np.expm1(-apart * np.clip(since, 0, None)) / apart * np.exp(-slower * np.clip(since, 0, None))
    found: np.ndarray = (np.where(since > 0, part, 0.0) * doses * absorb / volume).sum(1)
    return found


def fit_courses(table: pd.DataFrame) -> pd.DataFrame:
    """Fit absorption, elimination and volume to each patient alone, by least squares on the logarithm of each.

    The interval is that of the profile: all values at which the sum of squares, the others fitted anew, is below
    `S (1 + q^2 / (n - 3))`, q the 97.5 % quantile of Student's t with n - 3 degrees of freedom. Where absorption and
    elimination change places the curve is the same but for the volume: the faster one is called absorption.

    Args:
        table: a row a measurement or a dose; columns `patient`, `time` (hours), `concentration` (mg/L) and `dose`
            (mg/kg), either empty where there is none.

    Returns:
        A row a patient and parameter: `patient` (its number from 1 in the order of the identifiers, numbers as
        numbers, so that the order of rows decides nothing), `parameter`, `estimate`, `low`, `high`, `measurements`, and
        `why`, empty where all of it is estimable.

    Raises:
        ValueError: a column lacks, a row is of no patient, a number is none, or a time or dose is below 0.
    """
    lacking = [own for own in COLUMNS if own not in table]
    if lacking:
        raise ValueError(f"the table of courses has no column '{lacking[0]}': name its columns patient, time, "
                         "concentration and dose")  # fmt: skip
    try:
        numbers = table[["time", "concentration", "dose"]].astype(float)
    except (TypeError, ValueError):
        raise ValueError("the table of courses holds something that is no number: time, concentration and dose are "
                         "numbers or empty") from None  # fmt: skip
    if bool(table["patient"].isna().any()):
        raise ValueError("the table of courses has a row of no patient: say in each row whose it is")
    if bool(numbers["time"].isna().any()) or bool((numbers < 0).any().any()) or bool((numbers > MOST).any().any()):
        raise ValueError(f"the table of courses lacks a time, or has a number below 0 or over {MOST:g}: correct it")
    whose = dict(tuple(numbers.groupby(table["patient"].astype(str).to_numpy())))
    rows: list[dict[str, Any]] = []
    for number, name in enumerate(sorted(whose, key=_in_order), start=1):
        rows += [{"patient": number, **row} for row in _fitted(whose[name].sort_values([*COLUMNS[1:]]))]
    return pd.DataFrame(rows)


def _in_order(name: str) -> tuple[float, str]:
    """What patients are sorted by: numbers first, by their size."""
    return (float(name) if name.isdecimal() and len(name) < 300 else np.inf), name


def _fitted(own: pd.DataFrame) -> list[dict[str, Any]]:
    measured, dosed = own[own["concentration"].notna()], own[own["dose"].notna() & (own["dose"] > 0)]
    times, seen = measured["time"].to_numpy(), measured["concentration"].to_numpy()
    given, doses = dosed["time"].to_numpy(), dosed["dose"].to_numpy()
    n = len(seen)
    if n < FEWEST or not len(doses) or not seen.any():
        why = TOO_FEW if n < FEWEST else "no dose" if not len(doses) else "no concentration above 0"
        return [_row(name, np.nan, np.nan, np.nan, n, why) for name in Compartment.PARAMETERS]

    def missed(logs: np.ndarray) -> np.ndarray:
        off: np.ndarray = concentration(np.exp(np.clip(logs, -12, 12)), times, given, doses) - seen
        return off

    first = max(doses.sum() / seen.max(), 1e-3)
    tried = [least_squares(missed, np.log([start, 0.1, first]), method="lm") for start in STARTS]
    best = min(tried, key=lambda found: float(found.cost)).x
    if best[0] < best[1]:  # the slower one is the elimination: the same curve with the volume in proportion
        best = np.array([best[1], best[0], best[2] + best[1] - best[0]])
    least = float((missed(best) ** 2).sum())
    bound = max(least, 1e-12 * float((seen**2).sum())) * (1 + student.ppf(0.975, n - 3) ** 2 / (n - 3))
    rows = []
    for k, name in enumerate(Compartment.PARAMETERS):
        ends = [_end(missed, best, k, sign, bound) for sign in (-1, 1)]
        why = "" if np.isfinite(ends).all() else OPEN
        rows.append(_row(name, float(np.exp(best[k])), float(np.exp(ends[0])), float(np.exp(ends[1])), n, why))
    return rows


def _end(missed: Callable[[np.ndarray], np.ndarray], best: np.ndarray, k: int, sign: int, bound: float) -> float:
    """The logarithm at which the profile crosses the bound; NaN where it does not within a factor of fifty.

    The others are fitted anew from where they stood at the last distance that was within the bound, and from nowhere
    else: a profile may have two valleys, and from another start one and the same distance is within and beyond it.
    """
    others = [own for own in range(3) if own != k]
    near, start = 0.0, best[others]

    def fitted(distance: float) -> tuple[float, np.ndarray]:
        def own(rest: np.ndarray) -> np.ndarray:
            logs = best.copy()
            logs[k], logs[others] = best[k] + sign * distance, rest
            return missed(logs)

        found = least_squares(own, start, method="lm")
        return 2 * float(found.cost) - bound, found.x

    for far in np.geomspace(0.02, WIDE, 12).tolist():
        over, reached = fitted(far)
        if over > 0:
            return float(best[k] + sign * brentq(lambda at: fitted(at)[0], near, far, xtol=1e-5))
        near, start = far, reached
    return float("nan")


def _row(name: str, estimate: float, low: float, high: float, measurements: int, why: str) -> dict[str, Any]:
    return {"parameter": name, "estimate": estimate, "low": low, "high": high, "measurements": measurements, "why": why}


def whole_patients(fitted: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `fit_courses` of patients all of whose parameters are estimable."""
    return fitted.groupby("patient").filter(lambda own: bool((own["why"] == "").all())) if len(fitted) else fitted


def of_cohort(fitted: pd.DataFrame) -> pd.DataFrame:
    """Return what the patients have in common, a row a parameter, of those of whom all is estimable.

    The geometric mean of the patients' estimates, with the interval of Student's t on their logarithms: a bootstrap of
    few patients is too narrow. And the standard deviation of the logarithms, which errors of the estimates widen.

    Args:
        fitted: as `fit_courses` returns it.

    Returns:
        Columns `parameter`, `unit`, `mean`, `low`, `high`, `spread` and `patients`; with fewer than five patients the
        ends are NaN.
    """
    whole, rows = whole_patients(fitted), []
    for name, unit in zip(Compartment.PARAMETERS, Compartment.UNITS, strict=True):
        logs = np.log(whole.loc[whole["parameter"] == name, "estimate"].to_numpy(float))
        n = len(logs)
        mean, spread = (float(logs.mean()), float(logs.std(ddof=1))) if n > 1 else (np.nan, np.nan)
        wide = student.ppf(0.975, n - 1) * spread / np.sqrt(n) if n >= FEWEST_PATIENTS else np.nan
        middle, low, high = (float(np.exp(own)) for own in (mean, mean - wide, mean + wide))
        rows.append(
            {"parameter": name, "unit": unit, "mean": middle, "low": low, "high": high, "spread": spread, "patients": n}
        )
    return pd.DataFrame(rows)


def twins_of_courses(
    table: pd.DataFrame, train: float, seed: int
) -> tuple[tuple[Compartment, Compartment], pd.DataFrame]:
    """Fit patients' courses; return a twin of those to train on, one of the others, and the fit of all.

    Patients of whom a parameter is not estimable are left out; who is on which side is drawn.

    Raises:
        ValueError: fewer than two patients are estimable, or the table is wrong.
    """
    fitted = fit_courses(table)
    whole = whole_patients(fitted)
    numbers = whole["patient"].unique() if len(whole) else np.empty(0, int)
    if len(numbers) < 2:
        every = fitted["patient"].nunique() if len(fitted) else 0
        raise ValueError(
            f"{len(numbers)} of {every} patients have estimable parameters: "
            "two are the fewest, and each needs five measurements that tell absorption and elimination"
        )
    drawn = np.random.default_rng(seed).permutation(numbers)
    first = min(max(1, round(train * len(drawn))), len(drawn) - 1)
    wide = whole.pivot(index="patient", columns="parameter", values="estimate")[list(Compartment.PARAMETERS)]

    def twin(own: np.ndarray) -> Compartment:
        chosen = np.sort(own)
        names = tuple(f"fitted-{number:03d}" for number in chosen)
        return Compartment(names, torch.tensor(wide.loc[chosen].to_numpy(float)))

    return (twin(drawn[:first]), twin(drawn[first:])), fitted
