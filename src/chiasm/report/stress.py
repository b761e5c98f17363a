"""Picture of how recipes fare under faults of growing level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from chiasm.report.drawing import FAINT, MARKERS, SERIES, NewSheet, Picture, own_sheet, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = {
    "drift": "standard deviations", "lost": "share of patients", "mixed": "share of patients", "labels": "share wrong"
}  # fmt: skip
COLUMNS = 4


def draw_stress(table: pd.DataFrame, metric: str, *, new: NewSheet = own_sheet) -> Picture:
    """Draw the primary metric against the level of each fault, a panel for each kind and modality.

    Args:
        table: what `evaluation.stress.stress.stressed` returns.
        metric: label of the primary metric.
    """
    recipes = list(dict.fromkeys(table["recipe"]))
    plain = table[table["fault"] == "none"].set_index("recipe")
    panels = list(dict.fromkeys(zip(table["fault"], table["modality"], strict=True)))[1:]
    across = min(COLUMNS, max(1, len(panels)))
    down = -(-len(panels) // across)
    with style():
        figure = new(2.6 * down + 0.3, 3.2 * across)
        every: list[Axes] = []
        for number, (kind, modality) in enumerate(panels):
            axes = figure.add_subplot(down, across, number + 1, sharey=every[0] if every else None)
            every.append(axes)
            for k, recipe in enumerate(recipes):
                own = table[(table["recipe"] == recipe) & (table["fault"] == kind) & (table["modality"] == modality)]
                colour = SERIES[k % len(SERIES)]
                levels, values = [0.0, *own["level"]], [plain.loc[recipe, "metric"], *own["metric"]]
                axes.plot(levels, values, color=colour, marker=MARKERS[k % len(MARKERS)], markersize=4, label=recipe)
            axes.set_title(wrapped(f"{kind} {modality}".strip(), 26))
            axes.set(xlabel=ACROSS[kind], ylabel=metric if number % across == 0 else "")
            axes.grid(color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
        if every:
            figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=8)
        return Picture(figure, tuple(every), _told(table, metric))


def _told(table: pd.DataFrame, metric: str) -> str:
    worst = table[table["fault"] != "none"].sort_values("change").drop_duplicates("recipe")
    parts = [
        f"{row['recipe']} loses most by {row['fault']} {row['modality']}".rstrip() + f" at {row['level']:g}"
        for row in worst.to_dict("records")
    ]
    return f"{metric} under faults of growing level. {'; '.join(parts)}."
