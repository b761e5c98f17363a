"""Subgroups part of the report: how a recipe does in each declared group of patients, and how groups differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.cohort.small_cells import LEAST
from chiasm.cohort.subgroups import written_edge
from chiasm.evaluation import Trial
from chiasm.evaluation.subgroups import LEAST_EVENTS, LEAST_PATIENTS, MEASURES, TOO_FEW, measures_of
from chiasm.metrics.scores import PRIMARY
from chiasm.report.drawing import FAINT, QUIET, SERIES, WIDTH, NewSheet, Picture, quiet_rows, sheet, style, wrapped
from chiasm.report.kinds import page_of
from chiasm.report.wording import count, interval, listing, metric_of, number, sentence

NOT_TOLD = "not filled in"
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SubgroupTable:
    """Table of one recipe: its name, and rows of group, level, patients, events and values with intervals."""

    name: str
    rows: list[tuple[str, str, str, str, list[str]]]


@dataclass(frozen=True)
class SubgroupsPart:
    """How it was done, where numbers are cut, the headings, a table for each recipe, and the picture of the first."""

    said: str
    cuts: str
    counted: str
    columns: list[str]
    tables: list[SubgroupTable]
    picture: Picture | None


def subgroups_part(trial: Trial, new: NewSheet = sheet) -> SubgroupsPart | None:
    """Build the part from the trial's document; None where the cohort declares no subgroups."""
    stored = trial.document.get("subgroups")
    if not stored:
        return None
    metric, measures = metric_of(trial.kind, PRIMARY[trial.kind]), measures_of(trial.kind)
    kept = [(short, metric_of(trial.kind, key)) for short, key in zip(MEASURES, measures, strict=True) if key]
    names = list(dict.fromkeys(row["recipe"] for row in stored["rows"]))
    tables = [
        SubgroupTable(
            name, [table_row(row, [short for short, _ in kept]) for row in stored["rows"] if row["recipe"] == name]
        )
        for name in names
    ]
    said = (
        f"{sentence(metric.label)} and calibration among the tested patients of each group that the cohort declares; "
        "no model reads these columns unless a modality has them too. Differences are to the largest level, on the "
        f"same draws. {sentence(TOO_FEW)}: fewer than {LEAST_PATIENTS} patients, or fewer than {LEAST_EVENTS} "
        f"{page_of(trial).few}. Of twenty intervals of a difference one misses zero by chance where nothing differs."
    )
    columns = [metric.label, "difference", *(own.label for _, own in kept)]
    counted = "" if page_of(trial).few == "patients" else page_of(trial).few
    first = [row for row in stored["rows"] if row["recipe"] == names[0]] if names else []
    return SubgroupsPart(said, cuts_told(stored["columns"]), counted, columns, tables, draw(first, metric.label, new))


def cuts_told(columns: Sequence[Row]) -> str:
    """Say at which numbers columns are cut, and who says so; empty without any."""
    told = [
        f"'{own['column']}' is cut at {listing([written_edge(edge) for edge in own['edges']])} ({own['cut']})"
        for own in columns
        if own["edges"]
    ]
    return f"{sentence('; '.join(told))}." if told else ""


def level_name(row: Row) -> str:
    """Name of the level of a row."""
    return row["level"] or NOT_TOLD


def table_row(row: Row, measures: Sequence[str]) -> tuple[str, str, str, str, list[str]]:
    """Format a row: group, level, patients, events, and the values."""
    n, fewest = (f"<{LEAST}" if row[key] is None else f"{row[key]:,}" for key in ("n", "fewest"))
    if row["said"]:
        return row["subgroup"], level_name(row), n, fewest, [row["said"], *[""] * (1 + len(measures))]
    apart = "" if row["against"] is None else estimate(row, "difference")
    if row["against"] is None and row["level"]:
        apart = "the largest level"
    values = [estimate(row, "mean"), apart, *(estimate(row, name) for name in measures)]
    return row["subgroup"], level_name(row), n, fewest, values


def estimate(row: Row, name: str) -> str:
    """Format an estimate of a row with its interval."""
    ends = ("low", "high") if name == "mean" else (f"{name}_low", f"{name}_high")
    return interval(row[name], *(row[end] for end in ends))


def draw(rows: Sequence[Row], label: str, new: NewSheet = sheet) -> Picture | None:
    """Draw a row for each level with an estimate, with its interval; None without any."""
    known = [row for row in rows if row["mean"] is not None]
    if not known:
        return None
    columns = list(dict.fromkeys(row["subgroup"] for row in known))
    names = [f"{row['subgroup']}: {level_name(row)} (n = {row['n']:,})" for row in known]
    with style():
        figure = new(0.8 + 0.32 * len(known), WIDTH)
        axes = figure.add_subplot()
        for place, row in enumerate(known):
            y, colour = len(known) - 1 - place, SERIES[columns.index(row["subgroup"]) % len(SERIES)]
            if row["low"] is not None:
                axes.plot([row["low"], row["high"]], [y, y], color=colour, linewidth=1.8, solid_capstyle="butt")
            axes.plot([row["mean"]], [y], "o", color=colour, markersize=6)
            if place and row["subgroup"] != known[place - 1]["subgroup"]:
                axes.axhline(y + 0.5, color=QUIET, linewidth=0.6)
        axes.set(yticks=range(len(known)), yticklabels=[wrapped(name, 40) for name in names[::-1]])
        axes.set(ylim=(-0.6, len(known) - 0.4), xlabel=f"{label} of '{known[0]['recipe']}', with 95 % interval")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        told = "; ".join(f"{name}: {number(row['mean'])}" for name, row in zip(names, known, strict=True))
        return Picture(figure, (axes,), f"{label} in {count(len(known), 'level')} of the declared subgroups. {told}.")
