"""Picture of how recipes fare under faults of growing level."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from chiasm.report.drawing import FAINT, MARKERS, SERIES, NewSheet, Picture, own_sheet, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACROSS = {
    "drift": "standard deviations", "lost": "share of patients", "mixed": "share of patients",
    "labels": "share given another's", **dict.fromkeys(("noise", "fgsm", "pgd"), "standard deviations of tokens"),
}  # fmt: skip
COLUMNS = 4


def draw_stress(table: pd.DataFrame, metric: str, *, new: NewSheet = own_sheet) -> Picture:
    """Draw the primary metric, and below it the share explained, against the level of each fault and modality.

    Args:
        table: what `evaluation.stress.stress.stressed` returns, with one fault or more.
        metric: label of the primary metric.
    """
    drawn = table[table["fault"].isin(list(ACROSS))]
    panels = list(dict.fromkeys(zip(drawn["fault"], drawn["modality"], strict=True)))
    across = min(COLUMNS, len(panels))
    down = -(-len(panels) // across)
    with style():
        figure = new(2 * 2.4 * down + 0.3, 3.2 * across)
        every: list[Axes] = []
        for block, (column, label) in enumerate((("metric", metric), ("explained", "share explained"))):
            first = len(every)
            for number, panel in enumerate(panels):
                place = block * down * across + number + 1
                shared = every[first] if len(every) > first else None
                axes = figure.add_subplot(2 * down, across, place, sharey=shared)
                every.append(axes)
                _draw_panel(axes, table, panel, column)
                axes.set_ylabel(label if number % across == 0 else "")
        figure.legend(*every[0].get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=8)
        return Picture(figure, tuple(every), _told(table, metric))


def _draw_panel(axes: Axes, table: pd.DataFrame, panel: tuple[str, str], column: str) -> None:
    """Draw a line a recipe, from what it reaches without the fault."""
    kind, modality = panel
    plain = table[table["fault"] == "none"].set_index("recipe")
    for k, recipe in enumerate(plain.index):
        own = table[(table["recipe"] == recipe) & (table["fault"] == kind) & (table["modality"] == modality)]
        levels, values = [0.0, *own["level"]], [plain.loc[recipe, column], *own[column]]
        colour, marker = SERIES[k % len(SERIES)], MARKERS[k % len(MARKERS)]
        axes.plot(levels, values, color=colour, marker=marker, markersize=4, label=str(recipe))
    axes.set_title(wrapped(f"{kind} {modality}".strip(), 26))
    axes.set_xlabel(ACROSS[kind])
    axes.grid(color=FAINT, linewidth=0.5)
    axes.set_axisbelow(True)


def _told(table: pd.DataFrame, metric: str) -> str:
    worst = table[table["fault"] != "none"].sort_values("change").drop_duplicates("recipe")
    parts = [
        f"{row['recipe']} loses most by {row['fault']} {row['modality']}".rstrip() + f" at {row['level']:g}"
        for row in worst.to_dict("records")
    ]
    return f"{metric} under faults of growing level. {'; '.join(parts)}."
