"""Horizons of a trial of times: each test fold has its own, unless the target names them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pandas as pd

from chiasm.evaluation import Trial
from chiasm.evaluation.trial import fold_key
from chiasm.metrics.scores import horizons_of, uno_tau
from chiasm.report.wording import rounded

Key = tuple[int, str]


def fold_horizons(trial: Trial) -> dict[Key, tuple[float, ...]]:
    """Collect the horizons of each fold, ascending; () where no recipe predicts anything there."""
    found: dict[Key, tuple[float, ...]] = dict.fromkeys(trial.folds, ())
    for frames in trial.frames.values():
        for key, frame in frames.items():
            found[key] = found[key] or horizons_of(frame)
    return found


def middle_horizons(trial: Trial) -> dict[Key, float]:
    """Find the middle horizon of each fold that has one."""
    return {key: own[len(own) // 2] for key, own in fold_horizons(trial).items() if own}


def at_middle(trial: Trial, table: pd.DataFrame, middle: Mapping[Key, float]) -> pd.DataFrame | None:
    """Add to `table` each patient's `horizon`, what is `predicted` there, and `share`, time over horizon.

    Predicted is the survival, or the incidence of the main of several causes. Times divided by the horizon of the
    patient's fold put all folds on one scale, on which every horizon is 1.

    Args:
        table: `repeat`, `fold`, `value` and the prediction's columns, one row per tested patient.

    Returns:
        The extended table; None where a patient has no predicted survival at the horizon of the fold.
    """
    parts = []
    for key, own in table.groupby(["repeat", "fold"], sort=True):
        horizon = middle.get(fold_key(key))
        if horizon is None:
            return None
        column = trial.target.horizon_columns(own).get(horizon)
        if column is None or own[column].isna().any():
            return None
        parts.append(own.assign(horizon=horizon, predicted=own[column].astype(float), share=own["value"] / horizon))
    return pd.concat(parts).loc[table.index]


def when(trial: Trial, middle: Mapping[Key, float]) -> str:
    """Name the middle horizon: `1825 days`, or `the middle horizon of each fold (between 410 and 460 days)`."""
    unit, times = unit_of(trial), trial.document["cohort"]["target"]["times"]
    if times:
        return f"{times[len(times) // 2]:g} {unit}".strip()
    low, high = rounded(min(middle.values())), rounded(max(middle.values()))
    span = f"at about {low}" if low == high else f"between {low} and {high}"
    return f"the middle horizon of each fold ({span} {unit}".rstrip() + ")"


def horizons_told(trial: Trial) -> str:
    """Describe the horizons in words: times that the target names, or where those of the folds lie."""
    unit, times = unit_of(trial), trial.document["cohort"]["target"]["times"]
    what, whose = "survival is predicted", "event times"
    if trial.target.has_causes:
        what, whose = "the incidence of each cause is predicted", "times of the main cause"
    if times:
        return f"{what} at {', '.join(f'{time:g}' for time in times)} {unit}".strip()
    own = [horizons for horizons in fold_horizons(trial).values() if horizons]
    if not own:
        return "none"
    spans = []
    for place in range(min(map(len, own))):
        low, high = (rounded(end(horizons[place] for horizons in own)) for end in (min, max))
        spans.append(low if low == high else f"{low} to {high}")
    return (
        f"each fold's own, the quartiles of its training patients' {whose}, which lie at {', '.join(spans)} {unit}"
    ).strip()


def range_told(values: Iterable[float], unit: str, digits: int = 3) -> str:
    """Format rounded values as `at 410 days`, or as `between 400 and 425 days` over folds."""
    own = list(values)
    low, high = rounded(min(own), digits), rounded(max(own), digits)
    return (f"at {low} {unit}" if low == high else f"between {low} and {high} {unit}").strip()


def truncation_told(trial: Trial) -> str:
    """Say up to when Uno's or Wolbers' C counts events, and what the integrated Brier score spans, over the folds."""
    unit, own = unit_of(trial), [horizons for horizons in fold_horizons(trial).values() if horizons]
    taus = [uno_tau(fold.train) for fold in trial.folds.values()]  # may be one patient's time: two digits
    index = "Wolbers' C ranks by the incidence at the last horizon and" if trial.target.has_causes else "Uno's C"
    said = (
        f"{index} counts events up to the time after which too few patients are still watched to weight them, "
        f"{range_told(taus, unit, 2)}{'' if len(taus) == 1 else ' over the folds'}."
    )
    if not own:
        return said
    first, last = (range_told([horizons[place] for horizons in own], unit) for place in (0, -1))
    return f"{said} The integrated Brier score spans the horizons, the first {first}, the last {last}."


def unit_of(trial: Trial) -> str:
    """Unit of time, "" where none is known."""
    return str(trial.document["cohort"]["target"].get("unit") or "")
