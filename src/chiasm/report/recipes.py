"""Comparison of the recipes: a forest plot of the primary metric, tables of all metrics, and the best of each side."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.fitting.sides import COMBINED, REFERENCE, SINGLE, side_of
from chiasm.metrics.scores import PRIMARY
from chiasm.report.drawing import FAINT, INK, MARKS, QUIET, WIDTH, NewSheet, Picture, quiet_rows, sheet, style, wrapped
from chiasm.report.horizons import truncation_told
from chiasm.report.measures import (
    CONDITIONAL,
    MeasureTable,
    calibration_table,
    horizon_table,
    is_reference,
    performance_table,
)
from chiasm.report.wording import better, count, interval, metric_of

BESIDE = {
    "presence": "which knows which modalities a patient has and nothing of what they contain",
    "best-available": "which takes for each patient the best model of one modality that the patient can have",
    "null": "what the training set says of everybody",
}
"""References of a trial, and what each is."""


@dataclass(frozen=True)
class RecipesPart:
    """Tables sorted by the primary metric, notes on survival times and references, papers of recipes, forest plot."""

    performance: MeasureTable
    horizons: MeasureTable
    calibration: MeasureTable
    times: str
    beside: str
    papers: list[tuple[str, str]]
    picture: Picture


@dataclass(frozen=True)
class Best:
    """Recipe shown in detail for one side; `how` says by what it was chosen."""

    side: str
    name: str
    how: str


def ranked(trial: Trial) -> list[Mapping[str, Any]]:
    """Sort the recipes by the primary metric, the best first, those not estimable last."""
    rows: Sequence[Mapping[str, Any]] = trial.document["recipes"]
    return sorted(rows, key=lambda row: (row["mean"] is None, -(row["mean"] or 0.0), row["name"]))


def best_of(trial: Trial) -> list[Best]:
    """Choose the recipes shown in detail: combined, then single; of each side the one that inner folds picked most.

    Reference rows are never chosen. Without a verdict there is one side, and the best mean stands in for the picks.
    """
    rows = [row for row in ranked(trial) if not is_reference(row)]
    verdict = trial.verdict
    if verdict is None:
        first = next(iter(rows), ranked(trial)[0])
        return [Best(side_of(first), str(first["name"]), "highest mean on the test folds, which flatters it")]
    found = []
    for side, counts in ((COMBINED, verdict.fused_counts), (SINGLE, verdict.single_counts)):
        own = [str(row["name"]) for row in rows if side_of(row) == side]
        picked = sorted((name for name in counts if name in own), key=lambda name: -counts[name])
        if picked:
            found.append(Best(side, picked[0], "the only one" if len(own) == 1 else "picked most often on inner folds"))
        elif own:
            found.append(Best(side, own[0], "highest mean on the test folds, which flatters it"))
    return found


def recipes_part(trial: Trial) -> RecipesPart:
    """Collect every metric of every recipe, as it stands in the trial's document."""
    rows, papers = ranked(trial), dict[str, list[str]]()
    for row in (row for row in rows if side_of(row) != REFERENCE):
        papers.setdefault(row["paper"], []).append(row["name"])
    return RecipesPart(
        performance_table(trial, rows),
        horizon_table(trial, rows),
        calibration_table(trial, rows, [one.name for one in best_of(trial)]),
        truncation_told(trial) if trial.target.has_times else "",
        "; ".join(references_told(trial)),
        [(paper, ", ".join(names)) for paper, names in papers.items()],
        draw_forest(trial),
    )


def references_told(trial: Trial) -> list[str]:
    """Say what each reference is that the trial has: `'null', what the training set says of everybody`."""
    names = {str(row["name"]) for row in trial.document["recipes"]}
    return [f"'{name}', {what}" for name, what in BESIDE.items() if name in names]


def draw_forest(trial: Trial, new: NewSheet = sheet) -> Picture:
    """Draw the primary metric of each recipe with its interval, the sides told apart by colour and shape."""
    rows = list(reversed(ranked(trial)))
    metric = metric_of(trial.kind, PRIMARY[trial.kind])
    known = [row for row in rows if row["mean"] is not None]
    bold = {best.name for best in best_of(trial)} if trial.verdict else set()
    with style():
        figure = new(0.95 + 0.3 * len(rows), WIDTH)
        axes = figure.add_subplot()
        for y, row in enumerate(rows):
            colour, mark, face, _ = MARKS[mark_of(row)]
            if row["mean"] is not None:
                if row["low"] is not None:
                    axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
                axes.plot([row["mean"]], [y], mark, color=colour, markerfacecolor=face, markersize=7)
            text = interval(row["mean"], row["low"], row["high"])
            weight = "bold" if row["name"] in bold else "normal"
            shade = QUIET if is_reference(row) else INK
            axes.text(1.02, y, text, color=shade, transform=axes.get_yaxis_transform(), va="center", weight=weight)
        axes.set(
            yticks=range(len(rows)), yticklabels=[wrapped(row["name"]) for row in rows], ylim=(-0.6, len(rows) - 0.4)
        )
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row["name"] in bold else "normal")
            label.set_color(QUIET if is_reference(row) else INK)
        chance = metric.chance
        drawn = [row[end] for row in known for end in ("mean", "low", "high") if row[end] is not None]
        low, high = min(drawn, default=chance), max(drawn, default=chance + 0.5)
        if low < chance + 0.5 * (high - low) or low <= chance:
            axes.axvline(chance, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            low = min(low, chance)
        pad = 0.04 * (high - low) if math.isfinite(high - low) and high > low else 0.05
        axes.set(xlim=(low - pad, high + pad))
        axes.set_xlabel(f"{metric.label}, mean over test folds; {CONDITIONAL} ({better(metric)})")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        legend(axes, {mark_of(row) for row in rows})
        described = "; ".join(
            f"{row['name']}: {interval(row['mean'], row['low'], row['high'])}" for row in ranked(trial)
        )
        return Picture(figure, (axes,), f"{metric.label} of {count(len(rows), 'recipe')}. {described}.")


def mark_of(row: Mapping[str, Any]) -> str:
    """Side whose mark a recipe has; `presence` is marked as a reference."""
    return REFERENCE if is_reference(row) else side_of(row)


def legend(axes: Any, sides: Container[str]) -> None:
    """Draw the marks of these sides above the picture."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, markersize=7, label=label)
        for side, (colour, mark, face, label) in MARKS.items()
        if side in sides
    ]
    axes.legend(handles=marks, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, labelcolor=INK)
