"""Part of the page on outcomes that were not seen: the verdict if they lie delta from what those seen say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from chiasm.evaluation import Trial
from chiasm.evaluation.beside import NOT_AT_RANDOM
from chiasm.evaluation.stress.not_at_random import DRAWS
from chiasm.metrics.scores import PRIMARY
from chiasm.report.drawing import (
    COMBINED,
    FAINT,
    INK,
    QUIET,
    SINGLE,
    WIDTH,
    NewSheet,
    Picture,
    sheet,
    style,
)
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import count, interval, metric_of, number, rounded

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CHANGED = (
    "It was asked of other predictions than this trial has now, so that nothing of it is shown: run chiasm "
    "not-at-random again."
)
Row = Mapping[str, Any]


@dataclass(frozen=True)
class NotAtRandomPart:
    """What was found, in sentences, the picture, and the table of every delta."""

    said: list[str]
    picture: Picture | None
    table: Table


def not_at_random_part(trial: Trial, new: NewSheet = sheet) -> NotAtRandomPart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(NOT_AT_RANDOM)
    if kept is None:
        return None
    if kept["changed"]:
        return NotAtRandomPart([CHANGED], None, Table("delta-table", []))
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    ratio, seen = ("hazard times", "events") if trial.target.has_times else ("odds times", "cells that are 1")
    heads = [
        Heading("delta", number=False), Heading(ratio), Heading(seen), Heading("combined", label),
        Heading("single", label), Heading("total", "95 %"), Heading("combining", "95 %"),
        Heading("verdict", number=False),
    ]  # fmt: skip
    rows: Sequence[Row] = kept["rows"]
    said = [
        kept["sentence"],
        f"Recipes are not fitted again. Each outcome was drawn {kept['imputations']:,} times, and intervals hold the "
        f"spread of the draws too (Rubin's rules; {count(DRAWS, 'bootstrap draw')} of patients).",
    ]
    return NotAtRandomPart(said, draw_deltas(rows, kept["tipping"], label, new), Table(
        "delta-table", heads,
        [
            [
                _delta(row["delta"]), rounded(row["ratio"], 2), rounded(row["events"]), number(row["combined"]),
                number(row["single"]), _of(row, "difference"), _of(row, "combining"), str(row["outcome"]),
            ]
            for row in rows
        ],
        fixed=True,
    ))  # fmt: skip


def draw_deltas(rows: Sequence[Row], tipping: Sequence[float | None], label: str, new: NewSheet = sheet) -> Picture:
    """Draw the total contrast with its interval, and the metric of both picks, against delta.

    A filled mark has the verdict that holds at delta 0, an open one another; a dotted line is a tipping point.
    """
    (here,) = [row["outcome"] for row in rows if row["delta"] == 0]
    with style():
        figure = new(3.4, WIDTH)
        contrast, metric = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
        contrast.axhline(0, color=QUIET, linewidth=1)
        for row in rows:
            _draw_total(contrast, row, here)
        for name, colour, mark in (("combined", COMBINED, "s"), ("single", SINGLE, "o")):
            known = [row for row in rows if row[name] is not None]
            metric.plot(
                [row["delta"] for row in known], [row[name] for row in known], marker=mark, color=colour,
                markersize=5, markerfacecolor=colour if mark == "s" else "white", label=name,
            )  # fmt: skip
        contrast.set_ylabel(f"combined less single, {label}")
        metric.set_ylabel(label)
        metric.legend(fontsize=8)
        for axes in (contrast, metric):
            for tip in tipping:
                if tip is not None:
                    axes.axvline(tip, color=INK, linewidth=1, linestyle=(0, (1, 2)))
            axes.set_xlabel("delta, standard deviations")
            axes.grid(axis="y", color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
        told = "; ".join(f"{_delta(row['delta'])}: {_of(row, 'difference')}, {row['outcome']}" for row in rows)
        return Picture(figure, (contrast, metric), f"Combined less single by delta, and the verdict. {told}.")


def _draw_total(axes: Axes, row: Row, here: str) -> None:
    low, high = row["difference_low"], row["difference_high"]
    if low is not None and high is not None:
        axes.plot([row["delta"]] * 2, [low, high], color=INK, linewidth=1.6, solid_capstyle="butt")
    if row["difference"] is not None:
        filling = INK if row["outcome"] == here else "white"
        axes.plot([row["delta"]], [row["difference"]], "o", color=INK, markerfacecolor=filling, markersize=6)


def _of(row: Row, name: str) -> str:
    return interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))


def _delta(delta: float) -> str:
    return f"{delta:+g}" if delta else "0"
