"""The signs of a collapse over the epochs of a pretraining, drawn beside its losses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from chiasm.report.drawing import FAINT, MARKERS, SERIES


def signs_beside(figure: Any, losses: Any, curve: pd.DataFrame, signs: Mapping[str, str]) -> Any:
    """Draw the signs as a second picture of a figure, each divided by its first value, and give both the same epochs.

    Args:
        figure: matplotlib's figure, whose first picture is `losses`.
        curve: one row an epoch, with a column `epoch` and one for each sign.
        signs: column of the curve to its words; one that is NaN throughout is not drawn.

    Returns:
        the axes of the second picture.
    """
    from matplotlib.ticker import FixedLocator, MaxNLocator

    drawn = figure.add_subplot(1, 2, 2)
    for place, (column, label) in enumerate(signs.items(), start=2):
        own = curve[column].astype(float)
        if own.notna().any():
            first = float(own.dropna().iloc[0]) or 1.0
            drawn.plot(
                curve["epoch"], own / first, color=SERIES[place], marker=MARKERS[place], markersize=4, linewidth=1.2,
                label=label,
            )  # fmt: skip
    drawn.set_title("signs of a collapse, the first epoch as 1")
    drawn.set_xlabel("epoch")
    drawn.set_ylim(bottom=0.0)
    if drawn.lines:
        drawn.legend(fontsize=8)
    for axes in (losses, drawn):
        axes.grid(color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_locator(FixedLocator([1]) if len(curve) == 1 else MaxNLocator(integer=True))
    return drawn
