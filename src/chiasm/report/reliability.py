"""Pictures of calibration: predicted against observed, one panel per recipe."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from chiasm.report.drawing import FAINT, MARKERS, QUIET, SERIES, NewSheet, Picture, sheet, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS = [k / 20 for k in range(21)]


@dataclass(frozen=True)
class Group:
    """Patients of similar prediction: their mean prediction, and what was observed with its 95 % interval."""

    n: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Panel:
    """Panel of one recipe: a name, its series as (label, groups), and each series' predictions for the histogram."""

    title: str
    series: list[tuple[str, list[Group]]]
    spread: list[NDArray[np.float64]]


def draw_panels(panels: Sequence[Panel], across: str, up: str, *, unit: bool, new: NewSheet = sheet) -> Picture:
    """Draw one panel per recipe on common axes, with a histogram of the predictions below where the panels have them.

    Args:
        across, up: names of the axes.
        unit: True if both axes run from 0 to 1.
    """
    with_bars = any(panel.spread for panel in panels)
    named = max((panel.series for panel in panels), key=len, default=[])
    columns = 2 if len(panels) > 1 else 1
    below = 0.2 * math.ceil(len(named) / columns) + 0.1 if len(named) > 1 else 0.0  # inches of the legend
    with style():
        figure, main = new((4.9 if with_bars else 3.9) + below, 4.2 * max(len(panels), 1)), []
        grid = figure.add_gridspec(2 if with_bars else 1, len(panels), height_ratios=[3.4, 1] if with_bars else [1])
        low, high = limits(panels, unit=unit)
        for column, panel in enumerate(panels):
            axes = figure.add_subplot(grid[0, column])
            main.append(axes)
            axes.plot([low, high], [low, high], color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
            for k, (label, groups) in enumerate(panel.series):
                colour, marker = SERIES[k % len(SERIES)], MARKERS[k % len(MARKERS)]
                x = [group.predicted for group in groups]
                axes.vlines(
                    x, [g.low for g in groups], [g.high for g in groups], color=colour, linewidth=1.2, alpha=0.7
                )
                axes.plot(
                    x,
                    [g.observed for g in groups],
                    marker=marker,
                    color=colour,
                    label=label,
                    linewidth=1.2,
                    markersize=5,
                )
            axes.set(
                xlim=(low, high), ylim=(low, high), title=wrapped(panel.title, 40), ylabel=up if column == 0 else ""
            )
            axes.grid(color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
            if not with_bars:
                axes.set_aspect("equal", adjustable="box")
                axes.set_xlabel(across)
                continue
            draw_bars(figure.add_subplot(grid[1, column]), panel, across, first=column == 0)
        if below:
            drawn = next(axes for axes, panel in zip(main, panels, strict=True) if panel.series is named)
            figure.legend(*drawn.get_legend_handles_labels(), loc="outside lower left", fontsize=8, ncols=columns)
        return Picture(figure, tuple(main), f"{up.capitalize()} against {across}. {described(panels)}")


def draw_bars(axes: Axes, panel: Panel, across: str, *, first: bool) -> None:
    """Draw how many patients got each probability."""
    for k, values in enumerate(panel.spread):
        colour = SERIES[k % len(SERIES)]
        if len(panel.spread) == 1:
            axes.hist(values, bins=_BINS, color=colour, alpha=0.8, rwidth=0.9)
        else:
            axes.hist(values, bins=_BINS, color=colour, histtype="step", linewidth=1.4)
    axes.set(xlim=(-0.02, 1.02), xlabel=across, ylabel="patients" if first else "")


def limits(panels: Sequence[Panel], *, unit: bool) -> tuple[float, float]:
    """Common limits of both axes."""
    if unit:
        return -0.02, 1.02
    groups = [group for panel in panels for _, series in panel.series for group in series]
    ends = [end for group in groups for end in (group.predicted, group.low, group.high)]
    low, high = min(ends, default=0.0), max(ends, default=1.0)
    pad = 0.06 * (high - low) or 1.0
    return low - pad, high + pad


def described(panels: Sequence[Panel]) -> str:
    """Describe the groups in words, for readers who cannot see the picture."""
    parts = []
    for panel in panels:
        for label, groups in panel.series:
            name = f"{panel.title}, {label}" if label else panel.title
            pairs = ", ".join(f"{group.predicted:.2g} came out as {group.observed:.2g}" for group in groups)
            parts.append(f"{name}: {pairs or 'too few patients for groups'}.")
    return " ".join(parts)
