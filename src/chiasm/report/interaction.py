"""Picture of what two modalities know of the outcome: a stacked bar a pair, and bounds as whiskers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

from chiasm.cohort import Unsupported
from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, WIDTH, NewSheet, Picture, own_sheet, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 24
PARTS = (
    ("redundant", "either tells", SERIES[0], ""),
    ("first_alone", "the first alone", SERIES[4], "//"),
    ("second_alone", "the second alone", SERIES[5], "\\\\"),
    ("synergy", "only both", SERIES[1], "xx"),
)


def draw_interaction(table: pd.DataFrame, *, new: NewSheet = own_sheet) -> Picture:
    """Draw the parts of each pair that there are enough patients for, in bits.

    A line through the end of a bar is the 95 % interval of the sum; where the synergy is bounded, it is a whisker from
    its least to its most upon what is known. A tick marks what shuffled outcomes reach in 95 % of the shuffles.

    Args:
        table: what `evaluation.interaction.table.tabled` returns.

    Raises:
        Unsupported: there are too few patients for every pair.
    """
    known = table[table["redundant"].notna()].head(SHOWN)
    if not len(known):
        raise Unsupported("there are too few patients for every pair of modalities: there is nothing to draw")
    rows = known.to_dict("records")
    several = known["outcome"].nunique() > 1
    with style():
        figure = new(1.2 + 0.42 * len(rows), WIDTH)
        axes = figure.add_subplot(1, 1, 1)
        for place, row in enumerate(rows):
            _draw_bar(axes, place, row)
        axes.set_yticks(range(len(rows)), [_label(row, several) for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlim(left=0)
        axes.set_xlabel("bits of the outcome")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        for _, label, colour, hatch in PARTS:
            axes.barh([0], [0], color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=4, fontsize=8)
        return Picture(figure, (axes,), _told(rows))


def _draw_bar(axes: Axes, place: int, row: Mapping[Any, Any]) -> None:
    """Stack the parts of one row."""
    start = 0.0
    for name, _, colour, hatch in PARTS:
        if math.isfinite(row[name]):
            axes.barh(
                [place], [row[name]], left=start, height=0.62, color=colour, hatch=hatch, edgecolor="white", linewidth=0
            )
            start += row[name]
    ends = [start + row[f"synergy{end}"] for end in ("_low", "_high")]
    if math.isfinite(row["together"]):
        ends = [row[f"together{end}"] for end in ("_low", "_high")]
        axes.plot([row["chance_high"]] * 2, [place - 0.4, place + 0.4], color=QUIET, linewidth=1, linestyle=(0, (2, 2)))
    axes.plot(ends, [place, place], color=INK, linewidth=1.2, marker="|", markersize=7)


def _label(row: Mapping[Any, Any], several: bool) -> str:
    what = f" of {row['outcome']}" if several else ""
    return wrapped(f"{row['first']}, {row['second']}{what} by {row['states_by']}", 40)


def _told(rows: list[dict[Any, Any]]) -> str:
    parts = [f"{row['first']} and {row['second']} by {row['states_by']}: {row['says']}" for row in rows]
    return f"What two modalities tell of the outcome, in bits. {'; '.join(parts)}."
