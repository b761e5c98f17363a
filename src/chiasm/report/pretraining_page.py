"""The page of a pretraining: its curve beside what counts of letters tell, and what watches it apart from the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from chiasm.report.collapse_signs import signs_beside
from chiasm.report.drawing import FAINT, MARKERS, QUIET, SERIES, NewSheet, Picture, own_sheet, style
from chiasm.report.page import filled
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import number

TEMPLATE = "pretraining.html.j2"
WAIT = "held_out_wait"
LETTERS = {
    "uniform": "knows the alphabet alone",
    "unigram": "knows how often each letter occurs",
    "order-1": "counts, by the letter before",
    "order-2": "counts, by the two letters before",
}
EVENTS = {
    "uniform": "knows which concepts there are",
    "unigram": "knows how often each concept occurs",
    "order-1": "counts, by the concept before",
    "order-2": "counts, by the two concepts before",
}


def render_pretraining(
    curve: pd.DataFrame,
    baselines: Mapping[str, float],
    facts: Mapping[str, Any],
    *,
    modality: str,
    method: str,
    sentences: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Render the page as text; no patient's value or identifier is on it.

    Args:
        curve, baselines, facts, sentences, notes: of `api.pretraining.Pretrained`.
        modality, method: what was read, and what was told.
    """
    item = facts.get("item", "sequence")
    events = item == "record"
    return filled(
        TEMPLATE,
        item=item,
        told="concepts" if events else "letters",
        wait=events,
        beside="summaries of the records" if events else "k-mers",
        title="A pretrained encoder",
        modality=modality,
        method=method,
        facts=facts,
        picture=draw_pretraining(curve, baselines, facts["best_epoch"], item=item),
        curve=_curve_table(curve, facts["best_epoch"], item),
        baselines=_baseline_table(facts["perplexity"], baselines, EVENTS if events else LETTERS),
        items=_item_table(facts["perplexity_by_item"]),
        sentences=list(sentences),
        notes=list(notes),
    )


def signs_of(item: str) -> dict[str, str]:
    """Return what watches a training apart from the loss, column of the curve to its words."""
    return {"rank": "effective rank", "spread": f"share between {item}s", "neighbours": "share that is a neighbour"}


def draw_pretraining(
    curve: pd.DataFrame,
    baselines: Mapping[str, float],
    best: int,
    *,
    item: str = "sequence",
    new: NewSheet = own_sheet,
) -> Picture:
    """Draw the held-out perplexity and that of training over the epochs, and the signs of a collapse.

    Args:
        curve: one row an epoch.
        baselines: perplexities that are drawn as lines.
        best: the epoch to which the network returned.
        item: what is read, in a word.
    """
    import numpy as np
    from matplotlib.ticker import ScalarFormatter

    epochs = curve["epoch"]
    with style():
        figure = new(3.4, 8.4)
        losses = figure.add_subplot(1, 2, 1)
        for place, (column, label) in enumerate((("train", "training"), ("held_out", "held out"))):
            losses.plot(
                epochs, np.exp(curve[column].clip(upper=20)), color=SERIES[place], marker=MARKERS[place], markersize=4,
                linewidth=1.2, label=label,
            )  # fmt: skip
        for (name, value), side in _two_lines(baselines):
            losses.axhline(value, color=QUIET, linewidth=0.8, linestyle=":")
            where = (1.0, value), ("axes fraction", "data")
            losses.annotate(name, where[0], xycoords=where[1], fontsize=7, ha="right", va=side)
        losses.axvline(best, color=FAINT, linewidth=1.0)
        losses.set_yscale("log")
        for axis in (losses.yaxis.set_major_formatter, losses.yaxis.set_minor_formatter):
            axis(ScalarFormatter())
        losses.tick_params(axis="y", which="minor", labelsize=7)
        losses.set_title("perplexity")
        losses.set_xlabel("epoch")
        losses.legend(fontsize=8)
        signs = signs_beside(figure, losses, curve, signs_of(item))
        held_out = np.exp(curve["held_out"].clip(upper=20))
        text = (
            f"Held-out perplexity over {len(curve)} epochs, from {number(float(held_out.iloc[0]))} to "
            f"{number(float(held_out.min()))}; baselines: "
            + "; ".join(f"{name} {number(value)}" for name, value in baselines.items())
        )
        return Picture(figure, (losses, signs), text + ".")


def _two_lines(baselines: Mapping[str, float]) -> list[tuple[tuple[str, float], str]]:
    """Return the highest baseline, whose name stands above its line, and the lowest, below: others lie between."""
    ranked = sorted(baselines.items(), key=lambda pair: pair[1])
    return [(ranked[-1], "bottom"), (ranked[0], "top")] if len(ranked) > 1 else [(own, "bottom") for own in ranked]


def _curve_table(curve: pd.DataFrame, best: int, item: str) -> Table:
    signs, wait = signs_of(item), {WAIT: "held-out loss of the time (nats)"} if WAIT in curve else {}
    labels = {"train": "training loss (nats)", "held_out": "held-out loss (nats)", "perplexity": "held-out perplexity"}
    names = {**labels, **wait, **signs}
    headings = [Heading("epoch", number=False), *(Heading(label) for label in names.values())]
    rows = [
        [f"{row['epoch']}{' (kept)' if row['epoch'] == best else ''}", *(_told(row[name]) for name in names)]
        for row in curve.to_dict("records")
    ]
    return Table("curve-table", headings, rows, fixed=True)


def _baseline_table(perplexity: float, baselines: Mapping[str, float], words: Mapping[str, str]) -> Table:
    rows = [["the network", "at its best epoch", _told(perplexity)]]
    rows += [[name, words.get(name, ""), _told(value)] for name, value in baselines.items()]
    headings = [Heading("who tells", number=False), Heading("how", number=False), Heading("held-out perplexity")]
    return Table("baseline-table", headings, rows)


def _item_table(items: Sequence[float]) -> Table:
    rows = [[f"{place}", _told(value)] for place, value in enumerate(items, start=1)]
    return Table("item-table", [Heading("item of a pack", number=False), Heading("held-out perplexity")], rows)


def _told(value: float | None) -> str:
    return "too few to say" if value is None or value != value else number(float(value))
