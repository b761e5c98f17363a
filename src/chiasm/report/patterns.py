"""Performance by pattern of present modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from chiasm.cohort.small_cells import LEAST
from chiasm.evaluation import Trial
from chiasm.metrics.scores import MIN_EVENTS, PRIMARY
from chiasm.report.drawing import FAINT, MARKS, WIDTH, NewSheet, Picture, quiet_rows, sheet, style, wrapped
from chiasm.report.kinds import page_of
from chiasm.report.recipes import Best
from chiasm.report.tables import MASKED
from chiasm.report.wording import count, interval, metric_of, sentence

MAX_ROWS = 12
ONE = "Every tested patient has the same modalities, so that there is one pattern only and nothing to compare."


@dataclass(frozen=True)
class PatternsPart:
    """Row per pattern: its name, patients, events or classes, and the metric of each recipe of `columns`."""

    said: str
    label: str
    counted: str
    columns: list[str]
    rows: list[tuple[str, str, str, list[str]]]
    picture: Picture | None


def patterns_part(trial: Trial, best: Sequence[Best], new: NewSheet = sheet) -> PatternsPart:
    """Tabulate the primary metric within each pattern of present modalities, for the best recipe of each side."""
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    counted = page_of(trial).counted
    if trial.outcomes.loc[trial.predictions["patient"].unique(), "pattern"].nunique() < 2:
        return PatternsPart(ONE, label, counted, [], [], None)
    frame = only(trial, [one.name for one in best]).patterns()
    shown = list(frame["pattern"].unique())[:MAX_ROWS]
    rarer = frame[~frame["pattern"].isin(shown)].drop_duplicates("pattern")
    frame = frame[frame["pattern"].isin(shown)]
    rows = []
    for pattern, part in frame.groupby("pattern", sort=False):
        found = part.set_index("recipe").loc[[one.name for one in best]]
        values = [interval(row["mean"], row["low"], row["high"]) for _, row in found.iterrows()]
        rows.append((str(pattern), f"{int(part['n'].iloc[0]):,}", members(trial, str(pattern)), values))
    rows = masked(rows, [int(part["n"].iloc[0]) for _, part in frame.groupby("pattern", sort=False)])
    few, over, or_folds = f"fewer than {MIN_EVENTS} {page_of(trial).few}", "", ""
    if len(trial.folds) > 1:
        over, or_folds = ", computed within each fold and averaged over folds", ", or too many folds without a value"
    among = f"{sentence(label)} among the tested patients of each pattern"
    said = f"{among}{over}. Not estimable: {few}{or_folds}."
    if len(rarer):
        patients = count(int(rarer["n"].sum()), "patient")
        said += f" {count(len(rarer), 'rarer pattern')}, of {patients} together, not shown."
    columns = [f"{one.name} ({one.side})" for one in best]
    return PatternsPart(said, label, counted, columns, rows, draw(frame, best, label, new))


def masked(rows: list[tuple[str, str, str, list[str]]], sizes: Sequence[int]) -> list[tuple[str, str, str, list[str]]]:
    """Mask what happened to the patients of patterns of fewer than five, and of the next, where one alone is so small.

    Of one alone it would follow from the totals. How many patients have a pattern is told.
    """
    few = {k for k, n in enumerate(sizes) if n < LEAST}
    if len(few) == 1 and len(sizes) > 1:
        few.add(min((k for k in range(len(sizes)) if k not in few), key=lambda k: sizes[k]))
    return [(name, n, MASKED if k in few and told else told, own) for k, (name, n, told, own) in enumerate(rows)]


def only(trial: Trial, names: Sequence[str]) -> Trial:
    """Restrict the trial to these recipes."""
    kept = [row for row in trial.document["recipes"] if row["name"] in names]
    predictions = trial.predictions[trial.predictions["recipe"].isin(list(names))]
    return replace(trial, document={**trial.document, "recipes": kept}, predictions=predictions)


def members(trial: Trial, pattern: str) -> str:
    """Count events, or patients of each class or label, among the tested patients of a pattern."""
    tested = trial.outcomes.loc[trial.predictions["patient"].unique()]
    return page_of(trial).members(trial, tested[tested["pattern"] == pattern])


def draw(frame: pd.DataFrame, best: Sequence[Best], label: str, new: NewSheet = sheet) -> Picture | None:
    """Draw a row per pattern with an estimate, each recipe as a mark with its interval; None without any estimate."""
    frame = frame[frame.groupby("pattern")["mean"].transform("count") > 0]
    if frame.empty:
        return None
    names = list(frame["pattern"].unique())[::-1]
    with style():
        figure = new(0.95 + 0.42 * len(names), WIDTH)
        axes = figure.add_subplot()
        for place, one in enumerate(best):
            colour, mark, face, _ = MARKS[one.side]
            shift = 0.15 - 0.3 * place if len(best) > 1 else 0.0
            part = frame[frame["recipe"] == one.name].set_index("pattern").loc[names]
            y = np.arange(len(names)) + shift
            axes.hlines(y, part["low"], part["high"], color=colour, linewidth=1.8)
            axes.plot(part["mean"], y, mark, color=colour, markerfacecolor=face, label=f"{one.name} ({one.side})")
        sizes = frame.groupby("pattern")["n"].first()
        axes.set(yticks=range(len(names)), yticklabels=[wrapped(f"{name} (n = {sizes[name]:,})", 34) for name in names])
        axes.set(ylim=(-0.6, len(names) - 0.4), xlabel=f"{label}, with 95 % interval")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
        quiet_rows(axes)
        text = f"{label} in each of {len(names)} patterns of present modalities; the numbers stand in the table."
        return Picture(figure, (axes,), text)
