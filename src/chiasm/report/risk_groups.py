"""Survival, or incidence, of the patients in the low, middle and high risk group of the best combined recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial
from chiasm.palette import CHANGED, COMBINED, LIGHTER
from chiasm.report.calibration import Floats, first_repeat
from chiasm.report.drawing import FAINT, INK, WIDTH, NewSheet, Picture, sheet, style
from chiasm.report.horizons import Key, middle_horizons, unit_of, when
from chiasm.report.observed import Told, told_of
from chiasm.report.recipes import Best
from chiasm.report.wording import interval, sentence

NAMES = ("low", "middle", "high")
_COLOURS = (CHANGED, LIGHTER, COMBINED)
_LINES = ("-", (0, (6, 2)), (0, (1.5, 1.5)))
_POINTS = 120  # steps of a curve: an equal grid, so that no patient's own time can be read off


@dataclass(frozen=True)
class RiskPart:
    """Curves, and a row per group: name, patients, events, survival or incidence at the middle horizon.

    There is no p-value: the groups were made by models that saw the other folds' outcomes, so that a log-rank test of
    them rejects too often where there is nothing to find.
    """

    said: str
    columns: list[str]
    rows: list[tuple[str, str, str, str]]
    picture: Picture | None
    title: str


def risk_part(trial: Trial, one: Best, new: NewSheet = sheet) -> RiskPart:
    """Draw what was observed by tertile of the risk predicted out of fold, tertiles taken within each fold."""
    told, table = told_of(trial), first_repeat(trial, one.name)
    title = f"{sentence(told.what)} by predicted risk"
    middle = middle_horizons(trial)
    group = tertiles(ranked(trial, table))
    time, event = table["value"].to_numpy(np.float64), table[told.column].to_numpy(np.intp)
    shown = [k for k in range(3) if (group == k).sum() >= LEAST]
    if len(shown) < 2:
        few = "The predicted risks do not split the patients into groups of five or more."
        return RiskPart(few, [], [], None, title)
    share = time / horizon_of(table, middle, float(np.median(time)))
    rows = []
    for k in shown:
        mask = group == k
        at = interval(*told.observed(1.0, share[mask], event[mask]))
        rows.append((NAMES[k], f"{int(mask.sum()):,}", f"{int((event[mask] == 1).sum()):,}", at))
    apart = "the patients are split into thirds by the risk predicted for them"
    if len(trial.folds) > 1:
        apart = f"within each test fold {apart}, then pooled over folds (first repeat)"
    said = (
        f"'{one.name}': {apart}. Curves end where fewer than {LEAST} patients of a group are at risk. The groups are "
        "described, not tested."
    )
    at = when(trial, middle) if middle else "the median time"
    columns = ["predicted risk", "patients", "events", f"{told.what} at {at}"]
    drawn = draw_curves(told, time, event, group, shown, unit_of(trial) or "time", new)
    return RiskPart(said, columns, rows, drawn, title)


def ranked(trial: Trial, table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with a `risk`: as predicted, or the main cause's incidence at the last horizon of the fold."""
    if not trial.target.has_causes:
        return table
    risk = pd.Series(np.nan, index=table.index)
    for _, own in table.groupby("fold", sort=False):
        named = trial.target.horizon_columns(own.dropna(axis=1, how="all"))
        if named:
            risk.loc[own.index] = own[named[max(named)]]
    return table.assign(risk=risk)


def horizon_of(table: pd.DataFrame, middle: Mapping[Key, float], otherwise: float) -> Floats:
    """Middle horizon of each patient's fold, (n,); `otherwise` where it has none."""
    keys = zip(table["repeat"], table["fold"], strict=True)
    return np.array([middle.get((int(repeat), str(fold)), otherwise) for repeat, fold in keys])


def tertiles(table: pd.DataFrame) -> NDArray[np.intp]:
    """Third of its own fold, 0, 1 or 2, that each patient's risk lies in, (n,); equal risks share one."""
    risk, group = table["risk"].to_numpy(np.float64), np.zeros(len(table), dtype=np.intp)
    for fold in table["fold"].unique():
        rows = np.flatnonzero(table["fold"] == fold)
        lower = np.searchsorted(np.sort(risk[rows]), risk[rows], side="left")  # how many of the fold have a lower risk
        group[rows] = 3 * lower // len(rows)
    return group


def draw_curves(
    told: Told,
    time: Floats,
    event: NDArray[np.intp],
    group: NDArray[np.intp],
    shown: list[int],
    unit: str,
    new: NewSheet = sheet,
) -> Picture:
    """Draw the curves with their intervals, and the numbers at risk below."""
    ends = [float(np.sort(time[group == k])[-LEAST]) for k in shown]
    with style():
        figure = new(4.6, WIDTH)
        axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 0.42 * len(shown)]})
        axes.set_xlim(0, max(ends))
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= max(ends)]
        described = []
        for place, k in enumerate(shown):
            mask = group == k
            grid = np.linspace(0, ends[place], _POINTS, endpoint=False)
            curve, low, high = told.curve(grid, time[mask], event[mask])
            axes.fill_between(grid, low, high, step="post", color=_COLOURS[k], alpha=0.14, linewidth=0)
            axes.step(
                grid,
                curve,
                where="post",
                color=_COLOURS[k],
                linestyle=_LINES[k],
                linewidth=1.8,
                label=f"{NAMES[k]} risk",
            )
            at_risk = [int((time[mask] >= tick).sum()) for tick in ticks]
            for tick, n in zip(ticks, at_risk, strict=True):
                below.text(
                    tick,
                    len(shown) - 1 - place,
                    f"{n:,}" if n == 0 or n >= LEAST else f"<{LEAST}",
                    ha="center",
                    va="center",
                )
            described.append(f"{NAMES[k]} risk: {', '.join(f'{curve[i]:.2f}' for i in (_POINTS // 2, _POINTS - 1))}")
        axes.set(ylim=(0, 1.02), ylabel=told.what)
        axes.grid(color=FAINT, linewidth=0.5)
        axes.legend(loc="upper right" if told.column == "event" else "upper left", handlelength=3.2)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(unit)
        below.set(
            ylim=(-0.6, len(shown) - 0.4),
            yticks=range(len(shown)),
            yticklabels=[f"{NAMES[k]} risk" for k in shown[::-1]],
        )
        below.set_title("at risk", fontsize=9, color=INK)
        below.tick_params(length=0, labelbottom=False, pad=16)
        for side in ("left", "bottom"):
            below.spines[side].set_visible(False)
        text = (
            f"{told.curves} curves. {told.short.capitalize()} half-way and at the end of each curve, "
            f"{'; '.join(described)}."
        )
        return Picture(figure, (axes,), text)
