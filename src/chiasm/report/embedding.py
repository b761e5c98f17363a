"""Picture of what embeddings are worth: the metric against the patients learned from, a panel for each method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chiasm.report.drawing import FAINT, MARKERS, QUIET, SERIES, NewSheet, Picture, own_sheet, style
from chiasm.report.wording import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_curves(table: pd.DataFrame, metric: str, chance: float, *, new: NewSheet = own_sheet) -> Picture:
    """Draw a curve of learning for each embedding, with 95 % intervals, in a panel for each method.

    Args:
        table: of `evaluation.embeddings.judged`, with one figure or more.
        metric: label of the primary metric.
        chance: its value where nothing is known, drawn as a line.
    """
    methods = list(dict.fromkeys(table["method"]))
    names = list(dict.fromkeys(table["embedding"]))
    with style():
        figure = new(3.4, 8.4)
        every: list[Axes] = []
        for place, method in enumerate(methods, start=1):
            axes = figure.add_subplot(1, len(methods), place, sharey=every[0] if every else None)
            every.append(axes)
            _draw_panel(axes, table[table["method"] == method], names)
            axes.axhline(chance, color=QUIET, linewidth=0.8, linestyle=":")
            axes.set_title(method)
            axes.set_xlabel("training patients")
            axes.set_ylabel(metric if place == 1 else "")
        figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=8)
        return Picture(figure, tuple(every), _told(table, metric))


def _draw_panel(axes: Axes, table: pd.DataFrame, names: list[str]) -> None:
    """Draw the curves of one method, each a little aside of the others so that the intervals can be told apart."""
    for k, name in enumerate(names):
        own = table[(table["embedding"] == name) & table["metric"].notna()]
        patients, mean, low, high = own[["patients", "metric", "low", "high"]].to_numpy(np.float64).T
        aside = patients * (1 + 0.03 * (k - (len(names) - 1) / 2))
        bounds = np.nan_to_num(np.maximum([mean - low, high - mean], 0.0))
        axes.errorbar(
            aside, mean, yerr=bounds, color=SERIES[k % len(SERIES)], marker=MARKERS[k % len(MARKERS)],
            markersize=4, linewidth=1.2, elinewidth=0.8, label=name,
        )  # fmt: skip
    axes.set_xscale("log")
    sizes = sorted(set(table.loc[table["metric"].notna(), "patients"].round().astype(int)))
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)


def _told(table: pd.DataFrame, metric: str) -> str:
    known = table[table["metric"].notna()]
    most = known[known["share"] == known["share"].max()]
    parts = [f"{row['embedding']} by {row['method']} {number(row['metric'])}" for row in most.to_dict("records")]
    return f"{metric} against the number of training patients. With the most: {'; '.join(parts)}."
