"""Channels part of the report: what is explained of each channel, beside what repetitions say could be explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from chiasm.evaluation import Trial
from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, NewSheet, Picture, sheet, style, wrapped
from chiasm.report.wording import count, number

BINS = 40
WHOLE = -1.0, 1.0
"""R2 below is drawn in the first bin: a channel that is predicted far worse than by its mean."""


@dataclass(frozen=True)
class ChannelsPart:
    """How it is read, a row for each recipe, and the picture."""

    said: str
    rows: list[tuple[str, list[str]]]
    picture: Picture


def channels_part(trial: Trial, new: NewSheet = sheet) -> ChannelsPart | None:
    """Build the part from the trial's document; None for targets without channels."""
    document: Mapping[str, Any] | None = trial.document.get("channels")
    if not document or not document["recipes"]:
        return None
    rows = []
    for row in document["recipes"]:
        low, middle, high = row["r2_quartiles"]
        above = f"{row['above_zero']:,} of {row['channels']:,}"
        rows.append((str(row["recipe"]), [above, number(low), number(middle), number(high), number(row["cc_norm"])]))
    return ChannelsPart(ceiling_told(document["ceiling"]), rows, draw(trial.channels(), new))


def ceiling_told(ceiling: Mapping[str, Any] | None) -> str:
    """Say how much of the response could be predicted at all, or that it is not known."""
    read = (
        "R² of each channel, a mean over test folds: one is a perfect prediction, and zero one as good as the mean of "
        "the tested items. "
    )
    if ceiling is None:
        return read + "No item was repeated, so that how much of it could be predicted at all is not known."
    if ceiling["explainable"] is None:
        return read + f"The noise ceiling is not estimable: {count(ceiling['items'], 'item')} were repeated."
    told = (
        f"{read}The noise ceiling, of {count(ceiling['items'], 'repeated item')}: {number(ceiling['explainable'])} of "
        "the variance of their means is signal, on average over channels, and no model explains more but by chance; "
        f"two halves of the repetitions agree by {number(ceiling['split_half'])}, brought to all of them by "
        "the formula of Spearman and Brown. CC_norm is Pearson's r by the largest that noise leaves."
    )
    if ceiling["without_signal"]:
        told += (
            f" {ceiling['without_signal']:,} of {ceiling['channels']:,} channels have no signal that repetitions show: "
            "their estimated signal power is zero or below. They count in the means of R² and of the ceiling, and have "
            "no CC_norm."
        )
    return told


def draw(table: pd.DataFrame, new: NewSheet = sheet) -> Picture:
    """Draw how many channels have which R2, one outline a recipe, and what of them is explainable behind."""
    recipes = list(dict.fromkeys(table["recipe"]))
    edges = np.linspace(*WHOLE, BINS + 1)
    with style():
        figure = new(3.4, 8.4)
        axes = figure.add_subplot(1, 1, 1)
        first = table[table["recipe"] == recipes[0]]
        ceiling = first["explainable"].to_numpy(np.float64)
        ceiling = ceiling[np.isfinite(ceiling)]
        if len(ceiling):
            shown = np.clip(ceiling, *WHOLE)
            axes.hist(shown, edges.tolist(), color=FAINT, label="explainable, from repetitions")
        for place, recipe in enumerate(recipes):
            own = table.loc[table["recipe"] == recipe, "r2"].to_numpy(np.float64)
            shown = np.clip(own[np.isfinite(own)], *WHOLE)
            colour = SERIES[place % len(SERIES)]
            axes.hist(shown, edges.tolist(), histtype="step", color=colour, linewidth=1.5, label=wrapped(recipe, 40))
        axes.axvline(0, color=INK, linewidth=0.9)
        axes.set(xlabel="R² of a channel (below -1 at -1)", ylabel="channels", xlim=WHOLE)
        axes.tick_params(colors=QUIET)
        axes.set_axisbelow(True)
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower left", ncols=2, fontsize=8)
        return Picture(
            figure, (axes,), f"Number of channels by their R², of {', '.join(recipes)}; quartiles in the table."
        )
