"""The page of a pretraining on signals, images or volumes: its curve, and what watches it apart from the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.report.collapse_signs import signs_beside
from chiasm.report.drawing import FAINT, MARKERS, QUIET, SERIES, NewSheet, Picture, own_sheet, style
from chiasm.report.page import filled
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import number

TEMPLATE = "raster_pretraining.html.j2"
SIGNS = {
    "rank": "effective rank",
    "spread": "share between items",
    "neighbours": "share that is a neighbour",
    "compared": "share that differs",
}
"""What watches the training apart from its loss; the last one of methods that compare whole items."""


def render_raster_pretraining(
    curve: pd.DataFrame,
    facts: Mapping[str, Any],
    *,
    modality: str,
    method: str,
    sentences: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Render the page as text; no patient's value or identifier is on it.

    Args:
        curve, facts, sentences, notes: of `api.pretraining_rasters.PretrainedRasters`.
        modality, method: what was read, and how it was learned from.
    """
    return filled(
        TEMPLATE,
        title="A pretrained encoder",
        modality=modality,
        method=method,
        facts=facts,
        picture=draw_raster_pretraining(curve, facts["nothing"], facts["best_epoch"]),
        curve=_curve_table(curve, facts["best_epoch"]),
        network=_network_table(facts),
        sentences=list(sentences),
        notes=list(notes),
    )


def draw_raster_pretraining(
    curve: pd.DataFrame, nothing: float | None, best: int, *, new: NewSheet = own_sheet
) -> Picture:
    """Draw the held-out loss and that of training over the epochs, and the signs of a collapse.

    Args:
        curve: one row an epoch.
        nothing: the loss of one who knows nothing, drawn as a line; None: not known.
        best: the epoch that was kept.
    """
    epochs = curve["epoch"]
    with style():
        figure = new(3.4, 8.4)
        losses = figure.add_subplot(1, 2, 1)
        for place, (column, label) in enumerate((("train", "training"), ("held_out", "held out"))):
            losses.plot(
                epochs, curve[column], color=SERIES[place], marker=MARKERS[place], markersize=4, linewidth=1.2,
                label=label,
            )  # fmt: skip
        if nothing is not None:
            losses.axhline(nothing, color=QUIET, linewidth=0.8, linestyle=":")
            losses.annotate("knows nothing", (1.0, nothing), xycoords=("axes fraction", "data"), fontsize=7, ha="right")
        losses.axvline(best, color=FAINT, linewidth=1.0)
        losses.set_title("loss")
        losses.set_xlabel("epoch")
        losses.legend(fontsize=8)
        signs = signs_beside(figure, losses, curve, _signs(curve))
        held_out = curve["held_out"]
        text = (
            f"Held-out loss over {len(curve)} epochs, from {number(float(held_out.iloc[0]))} to "
            f"{number(float(held_out.min()))}"
        )
        text += "" if nothing is None else f"; one who knows nothing has {number(nothing)}"
        return Picture(figure, (losses, signs), text + ".")


def _signs(curve: pd.DataFrame) -> dict[str, str]:
    return {name: label for name, label in SIGNS.items() if name in curve}


def _curve_table(curve: pd.DataFrame, best: int) -> Table:
    signs = _signs(curve)
    names = ("train", "held_out", *signs)
    labels = ("training loss", "held-out loss", *signs.values())
    headings = [Heading("epoch", number=False), *(Heading(label) for label in labels)]
    rows = [
        [f"{row['epoch']}{' (kept)' if row['epoch'] == best else ''}", *(_told(row[name]) for name in names)]
        for row in curve.to_dict("records")
    ]
    return Table("curve-table", headings, rows, fixed=True)


def _network_table(facts: Mapping[str, Any]) -> Table:
    """Return what was asked for: the network and the options, and what was taken where nothing was."""
    options = RasterOptions(**facts["options"])
    told = {**facts["network"], **facts["options"], "share": options.drawn_share, "flips": options.flips or "none"}
    if not options.how.share:
        del told["share"]  # the method hides nothing
    rows = [[name, f"{value}"] for name, value in told.items()]
    return Table("network-table", [Heading("option", number=False), Heading("value", number=False)], rows, fixed=True)


def _told(value: float | None) -> str:
    return "too few to say" if value is None or value != value else number(float(value))
