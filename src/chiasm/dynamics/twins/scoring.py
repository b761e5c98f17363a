"""What patients of a twin went through: cost, time in range, low episodes, doses; with intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from chiasm.dynamics.twins.goals import Goal, cost
from chiasm.dynamics.twins.rollout import Course

EPISODE_MINUTES = 15.0
"""A low episode lasts as long or longer, as the consensus on glucose monitoring counts it (Danne et al., 2017)."""
FEWEST = 5
"""Patients below which no interval over patients is given."""
DRAWS = 2000
MEASURES = {
    "cost": "mean cost of a step",
    "in_range": "share of the time in range",
    "below": "share of the time below the range",
    "above": "share of the time above the range",
    "very_low": "share of the time below the second threshold",
    "episodes": "low episodes a day",
    "dose": "mean dose of a step",
}
"""What is scored for each patient, by column."""


def scored(goal: Goal, course: Course, most: Tensor, minutes: float) -> pd.DataFrame:
    """Score each patient of a course, a row a patient in its order; the columns are those of `MEASURES`.

    A low episode is a run of measurements below the range that lasts 15 minutes or more; where a step has no unit of
    time, a run of any length, and episodes count a hundred steps instead of a day.

    Args:
        goal: whose range it is.
        course: what happened.
        most: `(A,)`, highest doses, for the cost.
        minutes: length of a step, 0 where it has no unit.
    """
    value = goal.value(course.measured[1:])  # (T, B)
    low, high = value < goal.low, value > goal.high
    needed = max(1, int(np.ceil(EPISODE_MINUTES / minutes))) if minutes else 1
    days = len(value) * minutes / 1440 if minutes else len(value) / 100
    very = value < goal.very_low if goal.very_low is not None else torch.full_like(low, False)
    found = {
        "cost": cost(goal, course, most),
        "in_range": (~low & ~high).double().mean(0),
        "below": low.double().mean(0),
        "above": high.double().mean(0),
        "very_low": very.double().mean(0) if goal.very_low is not None else torch.full((low.shape[1],), torch.nan),
        "episodes": runs(low.numpy(), needed) / days,
        "dose": course.doses.mean((0, 2)),
    }
    return pd.DataFrame({name: np.asarray(own, float) for name, own in found.items()})


def runs(low: np.ndarray, needed: int) -> np.ndarray:
    """Count the runs of True of at least `needed` rows in each column of `low`, `(T, B)`."""
    length, found = np.zeros(low.shape[1], int), np.zeros(low.shape[1], int)
    for row in low:
        length = np.where(row, length + 1, 0)
        found += length == needed
    return found


def interval_over_patients(values: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Return the mean over patients and the ends of its 95 % percentile bootstrap interval.

    The ends are NaN with fewer than five patients: too few to say.
    """
    own = values[np.isfinite(values)]
    if len(own) < len(values) or not len(own):
        return float("nan"), float("nan"), float("nan")
    if len(own) < FEWEST:
        return float(own.mean()), float("nan"), float("nan")
    rng = np.random.default_rng(seed)
    means = own[rng.integers(len(own), size=(DRAWS, len(own)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(own.mean()), float(low), float(high)


def summary(by_controller: Mapping[str, pd.DataFrame], seed: int = 0) -> pd.DataFrame:
    """Return a row a controller: each measure with the ends of its interval, as `cost`, `cost_low`, `cost_high`.

    Args:
        by_controller: for each controller a row a patient, as `scored`, mean over scenarios.
        seed: of the bootstrap, which draws the same patients for every controller.
    """
    rows = []
    for name, frame in by_controller.items():
        row: dict[str, object] = {"controller": name, "patients": len(frame)}
        for measure in MEASURES:
            ends = interval_over_patients(frame[measure].to_numpy(), seed)
            row.update(zip((measure, f"{measure}_low", f"{measure}_high"), ends, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def differences(by_controller: Mapping[str, pd.DataFrame], of: str, seed: int = 0) -> pd.DataFrame:
    """Return a row for each other controller: each measure of `of` less that of the other, paired by patient."""
    rows = []
    for name, frame in by_controller.items():
        if name == of:
            continue
        row: dict[str, object] = {"controller": of, "against": name}
        for measure in MEASURES:
            ends = interval_over_patients((by_controller[of][measure] - frame[measure]).to_numpy(), seed)
            row.update(zip((measure, f"{measure}_low", f"{measure}_high"), ends, strict=True))
        rows.append(row)
    return pd.DataFrame(rows)


def bands(courses: Sequence[Course], goal: Goal) -> dict[str, list[float]]:
    """Return median and 5th and 95th percentile over patients and scenarios at each step, of value and first dose."""
    value = torch.cat([goal.value(own.measured) for own in courses], 1).numpy()
    dose = torch.cat([own.doses[:, :, 0] for own in courses], 1).numpy()
    found = {}
    for name, table in (("value", value), ("dose", dose)):
        for end, at in (("low", 5), ("middle", 50), ("high", 95)):
            found[f"{name}_{end}"] = [float(own) for own in np.percentile(table, at, axis=1)]
    return found
