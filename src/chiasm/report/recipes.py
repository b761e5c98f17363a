"""The recipes side by side: a forest plot of the primary metric and a table of all of them."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.evaluation.metric_table import PERFORMANCE
from chiasm.evaluation.metrics import METRICS, NOT_ESTIMABLE, PRIMARY
from chiasm.evaluation.sides import COMBINED, SINGLE, side_of
from chiasm.report.drawing import FAINT, INK, MARKS, QUIET, Picture, picture, quiet_rows, sheet, style, wrapped
from chiasm.report.wording import better, count, duration, interval, metric_of

CHANCE = {"auroc": 0.5, "harrell_c": 0.5, "r2": 0.0}


@dataclass(frozen=True)
class RecipeRow:
    """One recipe; `values` are its metrics as text, in the order of the table's columns."""

    name: str
    family: str
    values: list[str]
    seconds: str
    trained: str


@dataclass(frozen=True)
class RecipesPart:
    """Columns as (label, how it is read), rows sorted by the primary metric, (paper, its recipes), the forest plot."""

    columns: list[tuple[str, str]]
    rows: list[RecipeRow]
    papers: list[tuple[str, str]]
    picture: Picture


@dataclass(frozen=True)
class Best:
    """The recipe shown in detail for one side; `how` says by what it was chosen."""

    side: str
    name: str
    how: str


def ranked(trial: Trial) -> list[Mapping[str, Any]]:
    """The recipes, the best primary metric first, those not estimable last."""
    rows: Sequence[Mapping[str, Any]] = trial.document["recipes"]
    return sorted(rows, key=lambda row: (row["mean"] is None, -(row["mean"] or 0.0), row["name"]))


def best_of(trial: Trial) -> list[Best]:
    """The recipes to look at closely: combined, then single; of each side the one that inner folds picked most often.

    Without a verdict there is one side, and the best mean stands in for the picks.
    """
    verdict = trial.verdict
    if verdict is not None:
        names = {"combined": verdict.best_fused, "single": verdict.best_single}
        sides = [side_of(row) for row in trial.document["recipes"]]
        alone = {side: sides.count(side) == 1 for side in (SINGLE, COMBINED)}
        how = {True: "the only one", False: "picked most often on inner folds"}
        return [Best(side, name, how[alone[side]]) for side, name in names.items()]
    first = ranked(trial)[0]
    side = side_of(first)
    return [Best(side, str(first["name"]), "highest mean on the test folds, which flatters it")]


def recipes_part(trial: Trial) -> RecipesPart:
    """The metrics of performance of every recipe, as they stand in the trial's document."""
    shown = [metric for metric in METRICS[trial.kind] if metric.table == PERFORMANCE]
    metrics = sorted(shown, key=lambda metric: metric.id != PRIMARY[trial.kind])
    rows, papers = [], dict[str, list[str]]()
    for row in ranked(trial):
        values = [text_of(row["metrics"].get(metric.id)) for metric in metrics]
        trained = f"{row['trained_parameters']:,}"
        rows.append(RecipeRow(row["name"], row["family"], values, duration(row["seconds"]), trained))
        papers.setdefault(row["paper"], []).append(row["name"])
    sources = [(paper, ", ".join(names)) for paper, names in papers.items()]
    return RecipesPart([(metric.label, better(metric)) for metric in metrics], rows, sources, draw_forest(trial))


def text_of(entry: Mapping[str, float | None] | None) -> str:
    """`mean (low to high)` of a metric, or "not estimable"."""
    return NOT_ESTIMABLE if entry is None else interval(entry["mean"], entry["low"], entry["high"])


def draw_forest(trial: Trial) -> Picture:
    """The primary metric of each recipe with its interval, the sides told apart by colour and shape."""
    rows = list(reversed(ranked(trial)))
    metric = metric_of(trial.kind, PRIMARY[trial.kind])
    known = [row for row in rows if row["mean"] is not None]
    bold = {best.name for best in best_of(trial)} if trial.verdict else set()
    with style():
        figure = sheet(0.95 + 0.3 * len(rows))
        axes = figure.add_subplot()
        for y, row in enumerate(rows):
            colour, mark, face, _ = MARKS[side_of(row)]
            if row["mean"] is not None:
                axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
                axes.plot([row["mean"]], [y], mark, color=colour, markerfacecolor=face, markersize=7)
            text = interval(row["mean"], row["low"], row["high"])
            weight = "bold" if row["name"] in bold else "normal"
            axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", weight=weight)
        axes.set(
            yticks=range(len(rows)), yticklabels=[wrapped(row["name"]) for row in rows], ylim=(-0.6, len(rows) - 0.4)
        )
        for label, row in zip(axes.get_yticklabels(), rows, strict=True):
            label.set_fontweight("bold" if row["name"] in bold else "normal")
        chance = CHANCE[metric.id]
        low = min([row["low"] for row in known], default=chance)
        high = max([row["high"] for row in known], default=chance + 0.5)
        if low < chance + 0.5 * (high - low) or low <= chance:
            axes.axvline(chance, color=QUIET, linewidth=1, linestyle=(0, (4, 3)), zorder=0)
            low = min(low, chance)
        pad = 0.04 * (high - low) if math.isfinite(high - low) and high > low else 0.05
        axes.set(xlim=(low - pad, high + pad))
        axes.set_xlabel(f"{metric.label}, mean over test folds with 95 % interval ({better(metric)})")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        legend(axes, {side_of(row) for row in rows})
        described = "; ".join(
            f"{row['name']}: {interval(row['mean'], row['low'], row['high'])}" for row in ranked(trial)
        )
        return picture(figure, f"{metric.label} of {count(len(rows), 'recipe')}. {described}.")


def legend(axes: Any, sides: Container[str]) -> None:
    """The marks of these sides, above the picture."""
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], color=colour, marker=mark, markerfacecolor=face, markersize=7, label=label)
        for side, (colour, mark, face, label) in MARKS.items()
        if side in sides
    ]
    axes.legend(handles=marks, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, labelcolor=INK)
