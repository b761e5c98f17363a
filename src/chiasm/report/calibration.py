"""Calibration part of the report: predictions against what was observed, in groups of patients.

Only groups are drawn and tabulated, never a single patient. Each patient counts once, by the predictions of the first
repeat; pooling folds is sound here, since a calibrated prediction means the same in every fold.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial
from chiasm.evaluation.intervals import one_label, trial_scores
from chiasm.evaluation.trial import VALUE_OF
from chiasm.metrics.choice import credit
from chiasm.metrics.shares import wilson
from chiasm.report.drawing import NewSheet, Picture, sheet
from chiasm.report.horizons import at_middle, middle_horizons, when
from chiasm.report.measures import text_of
from chiasm.report.observed import told_of
from chiasm.report.recipes import Best
from chiasm.report.reliability import Group, Panel, draw_panels
from chiasm.report.wording import interval, number, rounded, sentence
from chiasm.shown import NOT_ESTIMABLE

Floats = NDArray[np.float64]
NOTHING = 1e-6  # of the spread: what a mean differs from zero by rounding alone


NO_SPREAD = "No number of the outcome differs between the tested patients, so that nothing is held against it."
NO_PROBABILITY = "A text is said without a probability, so that nothing is calibrated."


@dataclass(frozen=True)
class CalibrationPart:
    """Description, table and picture of calibration; only `said` where there is nothing to show.

    `named`: True if the second column of the table holds names, not numbers.
    """

    said: str
    columns: list[str]
    rows: list[list[str]]
    picture: Picture | None
    named: bool = False


def calibration_part(trial: Trial, best: Sequence[Best], new: NewSheet = sheet) -> CalibrationPart:
    """Build the calibration of the recipes in `best`, according to the kind of target."""
    if trial.target.has_times:
        return calibration_at_horizon(trial, best, new)
    if trial.target.has_texts:
        return CalibrationPart(NO_PROBABILITY, [], [], None)
    probable = trial.target.has_classes or trial.target.has_labels
    if trial.target.has_options:
        return calibration_of_choice(trial, best, new)
    panels, rows = [], []
    for one in best:
        table = first_repeat(trial, one.name)
        title = f"{one.name} ({one.side})"
        if probable:
            panel, found = class_panel(trial, one, table, title)
            rows += found
        else:
            table = in_standard_units(trial, table) if trial.target.has_channels else table
            if table.empty:
                return CalibrationPart(NO_SPREAD, [], [], None)
            groups = groups_of(table["prediction"].to_numpy(np.float64), table["value"].to_numpy(np.float64), most=10)
            panel = Panel(title, [("", groups)], [])
            rows.append([title, *number_row(table)])
        panels.append(panel)
    if probable:
        noun, verb = ("label", "have the label") if trial.target.has_labels else ("class", "belong to the class")
        said = (
            "Patients in groups of similar predicted probability: on the diagonal, of those given 30 % three in ten "
            f"{verb}. Bars below: how many patients got each probability."
        )
        columns = ["recipe", noun, "mean predicted", "observed share", "calibration slope (ideal is 1)"]
        drawn = draw_panels(panels, "predicted probability", "observed share", unit=True, new=new)
        return CalibrationPart(said, columns, rows, drawn, named=True)
    said = (
        "Patients in groups of similar prediction: on the diagonal, what was predicted is what was observed on average."
    )
    columns = ["recipe", "mean predicted", "mean observed", "slope of observed on predicted (ideal is 1)"]
    target = trial.document["cohort"]["target"]
    unit = f" ({target['unit']})" if target.get("unit") else ""
    if trial.target.has_channels:
        said = f"All channels of all items together, each channel in units of its spread. {said}"
        unit = " (standard units)"
    drawn = draw_panels(panels, f"mean predicted{unit}", f"mean observed{unit}", unit=False, new=new)
    return CalibrationPart(said, columns, rows, drawn)


def calibration_of_choice(trial: Trial, best: Sequence[Best], new: NewSheet = sheet) -> CalibrationPart:
    """Compare the probability of the option that is chosen with how often it is the right one."""
    panels, rows = [], []
    for one in best:
        table, title = first_repeat(trial, one.name), f"{one.name} ({one.side})"
        p = table[trial.target.answers(trial.classes)].to_numpy(np.float64)
        sure, right = p.max(axis=1), credit(p, table["value"].to_numpy(np.float64).astype(int))
        metrics = next(row["metrics"] for row in trial.document["recipes"] if row["name"] == one.name)
        panels.append(Panel(title, [("", groups_of(sure, right, most=10, share=True))], [sure]))
        slope = text_of(metrics.get("calibration_slope"))
        rows.append([title, number(float(sure.mean())), number(float(right.mean())), slope])
    said = (
        "Patients in groups of similar probability of the option that was chosen: on the diagonal, of those chosen "
        "with 60 % six in ten are right. Bars below: how many patients got each probability."
    )
    columns = ["recipe", "mean probability of the chosen option", "share right", "calibration slope (ideal is 1)"]
    drawn = draw_panels(panels, "probability of the chosen option", "share right", unit=True, new=new)
    return CalibrationPart(said, columns, rows, drawn)


def in_standard_units(trial: Trial, table: pd.DataFrame) -> pd.DataFrame:
    """A row for every channel of every item: prediction and value, less the channel's mean and by its spread."""
    value = np.stack([np.asarray(own, dtype=np.float64) for own in table["value"]])
    known = np.isfinite(value).all(axis=1)
    value, guess = value[known], trial.target.links(table, trial.classes)[known]
    mean, spread = value.mean(axis=0), value.std(axis=0)
    told = spread > 0
    both = (((own - mean)[:, told] / spread[told]).ravel() for own in (guess, value))
    return pd.DataFrame(dict(zip(("prediction", "value"), both, strict=True)))


def calibration_at_horizon(trial: Trial, best: Sequence[Best], new: NewSheet = sheet) -> CalibrationPart:
    """Compare what is predicted at each fold's middle horizon with what was observed, with times as shares of it.

    Observed is the Kaplan-Meier survival, or the Aalen-Johansen incidence of the main of several causes.
    """
    middle, told = middle_horizons(trial), told_of(trial)
    if not middle:
        return CalibrationPart(f"No recipe predicts {told.what}, so that there is none to compare.", [], [], None)
    panels, rows = [], []
    for one in best:
        title = f"{one.name} ({one.side})"
        table = at_middle(trial, first_repeat(trial, one.name), middle)
        if table is None:
            rows.append([title, f"no {told.what}", NOT_ESTIMABLE])
            continue
        predicted, share = (table[name].to_numpy(np.float64) for name in ("predicted", "share"))
        outcome = table[told.column].to_numpy(np.intp)
        groups = [
            Group(int(mask.sum()), float(predicted[mask].mean()), *told.observed(1.0, share[mask], outcome[mask]))
            for mask in masks(predicted, most=5, size=25)
        ]
        panels.append(Panel(title, [("", [group for group in groups if math.isfinite(group.observed)])], []))
        rows.append([title, number(float(predicted.mean())), interval(*told.observed(1.0, share, outcome))])
    at, given = when(trial, middle), bool(trial.document["cohort"]["target"]["times"])
    said = (
        f"{sentence(told.what)} at {at}{', the middle horizon' if given else ''}: patients in groups of similar "
        f"predicted {told.short}, against the {told.estimate} of each group. On the diagonal, predictions come true."
    )
    columns = ["recipe", f"mean predicted {told.short} at {at}", f"{told.estimate}, all tested patients"]
    across = f"predicted {told.short} at {at if given else 'the middle horizon'}"
    drawn = draw_panels(panels, across, f"observed {told.short}", unit=True, new=new) if panels else None
    return CalibrationPart(said, columns, rows, drawn)


def first_repeat(trial: Trial, recipe: str) -> pd.DataFrame:
    """Table of the first repeat's predictions, `fold`, and the outcome (`value`, `event`, `cause`) of each patient."""
    rows: pd.DataFrame = trial.predictions[trial.predictions["recipe"] == recipe]
    rows = rows[rows["repeat"] == rows["repeat"].min()].set_index("patient")
    known = [
        name for name in map(str, trial.outcomes) if name in ("value", "event", "cause") or name.startswith(VALUE_OF)
    ]
    joined: pd.DataFrame = rows.join(trial.outcomes[known])
    return joined


def class_panel(trial: Trial, one: Best, table: pd.DataFrame, title: str) -> tuple[Panel, list[list[str]]]:
    """Build the series and table rows: one for two classes (the second is positive), else one per class or label."""
    several = trial.target.has_labels
    codes = range(len(trial.classes)) if several or len(trial.classes) > 2 else [1]
    metrics = next(row["metrics"] for row in trial.document["recipes"] if row["name"] == one.name)
    slope = text_of(metrics.get("calibration_slope"))
    series, spread = [], []
    rows: list[list[str]] = []
    for code in codes:
        label = trial.classes[code]
        predicted = table[f"p_{label}"].to_numpy(np.float64)
        if several:
            member = table[f"{VALUE_OF}{label}"].to_numpy(np.float64)
            predicted, member = predicted[~np.isnan(member)], member[~np.isnan(member)]
            if not len(member):
                continue
        else:
            member = (table["value"].to_numpy(np.float64) == code).astype(np.float64)
        series.append((label, groups_of(predicted, member, most=10, share=True)))
        spread.append(predicted)
        if several:
            slope = label_slope(trial, one.name, code)
        shown = slope if several or not rows else "(mean over classes, above)"
        rows.append([title, label, number(float(predicted.mean())), number(float(member.mean())), shown])
    return Panel(title, series, spread), rows


def label_slope(trial: Trial, recipe: str, label: int) -> str:
    """Estimate the calibration slope of one of several labels, over the patients of a repeat."""
    folds, frames = list(trial.folds.values()), [trial.frames[recipe][key] for key in trial.folds]
    alone = one_label(folds, frames, trial.classes, label)
    found = trial_scores(trial.kind, *alone, trial.draws, ["calibration_slope"])["calibration_slope"]
    return interval(found.mean, found.low, found.high)


def number_row(table: pd.DataFrame) -> list[str]:
    """Format the mean predicted, the mean observed, and the slope of observed on predicted."""
    predicted, observed = table["prediction"].to_numpy(np.float64), table["value"].to_numpy(np.float64)
    spread = float(predicted.var())
    slope = (
        math.nan
        if spread == 0
        else float(np.mean((predicted - predicted.mean()) * (observed - observed.mean()))) / spread
    )
    least = NOTHING * float(observed.std())
    means = [0.0 if abs(own) < least else own for own in (float(predicted.mean()), float(observed.mean()))]
    return [*map(rounded, means), number(slope)]


def masks(predicted: Floats, *, most: int, size: int = 20) -> list[NDArray[np.bool_]]:
    """Split patients into up to `most` groups of similar prediction, of about `size` or more; ties stay together."""
    wanted = max(1, min(most, len(predicted) // size))
    edges = np.unique(np.quantile(predicted, np.arange(1, wanted) / wanted))
    place = np.searchsorted(edges, predicted, side="left")
    found = [place == k for k in np.unique(place)]
    return [mask for mask in found if mask.sum() >= LEAST]


def groups_of(predicted: Floats, observed: Floats, *, most: int, share: bool = False) -> list[Group]:
    """Summarise each group: Wilson's interval for a share, else the mean +- 1.96 standard errors."""
    groups = []
    for mask in masks(predicted, most=most):
        n, mean = int(mask.sum()), float(observed[mask].mean())
        half = 1.96 * float(observed[mask].std(ddof=1)) / math.sqrt(n)
        low, high = wilson(mean, n) if share else (mean - half, mean + half)
        groups.append(Group(n, float(predicted[mask].mean()), mean, low, high))
    return groups
