"""Survival of the patients in the low, middle and high risk group of the best combined recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.evaluation import Trial
from chiasm.report.calibration import LEAST, Floats, first_repeat
from chiasm.report.drawing import FAINT, INK, WIDTH, NewSheet, Picture, sheet, style
from chiasm.report.horizons import Key, middle_horizons, unit_of, when
from chiasm.report.recipes import Best
from chiasm.report.wording import interval

NAMES = ("low", "middle", "high")
_COLOURS = ("#009e73", "#56b4e9", "#d55e00")
_LINES = ("-", (0, (6, 2)), (0, (1.5, 1.5)))
_POINTS = 120  # steps of a curve: an equal grid, so that no patient's own time can be read off


@dataclass(frozen=True)
class RiskPart:
    """Survival curves, and a row per group: name, patients, events, survival at the middle horizon.

    There is no p-value: the groups were made by models that saw the other folds' outcomes, so that a log-rank test of
    them rejects too often where there is nothing to find.
    """

    said: str
    columns: list[str]
    rows: list[tuple[str, str, str, str]]
    picture: Picture | None


def risk_part(trial: Trial, one: Best, new: NewSheet = sheet) -> RiskPart:
    """Draw Kaplan-Meier curves by tertile of the risk predicted out of fold, tertiles taken within each fold."""
    from chiasm.report.calibration import kaplan_meier_at

    table = first_repeat(trial, one.name)
    middle = middle_horizons(trial)
    group = tertiles(table)
    time, event = table["value"].to_numpy(np.float64), table["event"].to_numpy(bool)
    shown = [k for k in range(3) if (group == k).sum() >= LEAST]
    if len(shown) < 2:
        return RiskPart("The predicted risks do not split the patients into groups of five or more.", [], [], None)
    share = time / horizon_of(table, middle, float(np.median(time)))
    rows = []
    for k in shown:
        mask = group == k
        at = interval(*kaplan_meier_at(1.0, share[mask], event[mask]))
        rows.append((NAMES[k], f"{int(mask.sum()):,}", f"{int(event[mask].sum()):,}", at))
    apart = "the patients are split into thirds by the risk predicted for them"
    if len(trial.folds) > 1:
        apart = f"within each test fold {apart}, then pooled over folds (first repeat)"
    said = (
        f"'{one.name}': {apart}. Curves end where fewer than {LEAST} patients of a group are at risk. The groups are "
        "described, not tested."
    )
    at = when(trial, middle) if middle else "the median time"
    columns = ["predicted risk", "patients", "events", f"survival at {at}"]
    return RiskPart(said, columns, rows, draw_curves(time, event, group, shown, unit_of(trial) or "time", new))


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
    time: Floats, event: NDArray[np.bool_], group: NDArray[np.intp], shown: list[int], unit: str, new: NewSheet = sheet
) -> Picture:
    """Draw the curves with their intervals, and the numbers at risk below."""
    from lifelines import KaplanMeierFitter  # type: ignore[import-untyped]

    ends = [float(np.sort(time[group == k])[-LEAST]) for k in shown]
    with style():
        figure = new(4.6, WIDTH)
        axes, below = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [5, 0.42 * len(shown)]})
        axes.set_xlim(0, max(ends))
        ticks = [tick for tick in axes.get_xticks() if 0 <= tick <= max(ends)]
        described = []
        for place, k in enumerate(shown):
            mask = group == k
            fitter = KaplanMeierFitter().fit(time[mask], event[mask])
            grid = np.linspace(0, ends[place], _POINTS, endpoint=False)
            curve = fitter.survival_function_at_times(grid).to_numpy()
            bounds = fitter.confidence_interval_survival_function_.reindex(grid, method="ffill").to_numpy(np.float64)
            axes.fill_between(grid, bounds[:, 0], bounds[:, 1], step="post", color=_COLOURS[k], alpha=0.14, linewidth=0)
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
        axes.set(ylim=(0, 1.02), ylabel="survival")
        axes.grid(color=FAINT, linewidth=0.5)
        axes.legend(loc="upper right", handlelength=3.2)
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
        text = f"Kaplan-Meier curves. Survival half-way and at the end of each curve, {'; '.join(described)}."
        return Picture(figure, (axes,), text)
