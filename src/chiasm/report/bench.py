"""The page of a benchmark: what a candidate scores beside its controls, by tag, and which options it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, NewSheet, Picture, quiet_rows, sheet, style, wrapped
from chiasm.report.page import filled
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import interval, number
from chiasm.shown import ends

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TEMPLATE = "bench.html.j2"
CANDIDATE = "candidate"
Document = Mapping[str, Any]


def render_bench(document: Document) -> str:
    """Render the page of a run's document as text; no question and no answer of an item is on it."""
    return filled(
        TEMPLATE,
        document=document,
        items=items_told(document),
        scores=score_table(document),
        apart=apart_table(document),
        tags=tag_table(document),
        positions=position_table(document),
        ways=way_table(document),
        picture=draw_scores(document),
        tag_picture=draw_tags(document),
        position_picture=draw_positions(document),
        told=list(document["askings"].items()),
    )


def items_told(document: Document) -> str:
    """How many items were asked, of how many."""
    own = document["items"]
    limited = f", drawn in whole groups from {own['read']:,}" if own["asked"] < own["read"] else ""
    return f"{own['asked']:,} items{limited}"


def score_table(document: Document) -> Table:
    """Every figure of the candidate and its controls."""
    headings = [Heading("asked", number=False), Heading("figure", number=False), Heading("value", "95 %")]
    headings += [Heading("Wilson", "95 %, n = groups"), Heading("chance"), Heading("items"), Heading("groups")]
    rows = []
    for row in document["scores"]:
        label = document["figures"][row["figure"]]["label"]
        rows.append(
            [
                row["asking"], label, interval(row["value"], row["low"], row["high"]),
                "-" if row["wilson_low"] is None else ends(row["wilson_low"], row["wilson_high"]),
                "-" if row["chance"] is None else number(row["chance"]), f"{row['n']:,}", f"{row['units']:,}",
            ]
        )  # fmt: skip
    return Table("score-table", headings, rows)


def apart_table(document: Document) -> Table:
    """The candidate less each control, in every figure."""
    headings = [Heading("less", number=False), Heading("figure", number=False), Heading("difference", "95 %")]
    rows = [
        [row["asking"], document["figures"][row["figure"]]["label"], interval(row["value"], row["low"], row["high"])]
        for row in document["differences"]
        if row["value"] is not None
    ]
    return Table("difference-table", headings, rows)


def tag_table(document: Document) -> Table:
    """The primary figure within each tag; too few items have no value."""
    headings = [
        Heading("tag", number=False),
        Heading("value", number=False),
        Heading("items"),
        Heading("score", "95 %"),
    ]
    rows = [
        [
            row["tag"], row["level"], f"{row['n']:,}",
            "too few to say" if row["value"] is None else interval(row["value"], row["low"], row["high"]),
        ]
        for row in document["by_tag"]
    ]  # fmt: skip
    return Table("tag-table", headings, rows)


def position_table(document: Document) -> Table:
    """How often each position, or label, was answered and is right."""
    headings = [Heading("option", number=False), Heading("answered"), Heading("right")]
    own = document["positions"]
    rows = [] if own is None else [
        [name, f"{answered:,}", f"{right:,}"]
        for name, answered, right in zip(own["names"], own["answered"], own["right"], strict=True)
    ]  # fmt: skip
    return Table("position-table", headings, rows, fixed=True)


def way_table(document: Document) -> Table:
    """How answers were read, for each way of asking."""
    headings = [Heading("asked", number=False), Heading("an answer that", number=False), Heading("items")]
    rows = [[name, way, f"{n:,}"] for name, ways in document["ways"].items() for way, n in ways.items()]
    return Table("way-table", headings, rows)


def draw_scores(document: Document, *, new: NewSheet = sheet) -> Picture | None:
    """Draw the primary figure of the candidate and its controls, with chance."""
    rows = [row for row in document["scores"] if row["figure"] == document["primary"] and row["value"] is not None]
    chance = next((row["chance"] for row in rows if row["chance"] is not None), None)
    return forest([(row["asking"], row) for row in rows], document, chance, new)


def draw_tags(document: Document, *, new: NewSheet = sheet) -> Picture | None:
    """Draw the primary figure within each tag."""
    rows = [row for row in document["by_tag"] if row["value"] is not None]
    return forest([(f"{row['tag']}: {row['level']}", row) for row in rows], document, None, new)


def forest(
    rows: Sequence[tuple[str, Mapping[str, Any]]], document: Document, chance: float | None, new: NewSheet
) -> Picture | None:
    """Draw a value with its interval in each row; None without rows."""
    if not rows:
        return None
    label = document["figures"][document["primary"]]["label"]
    with style():
        figure = new(0.32 * len(rows) + 0.9, 7.2)
        axes: Axes = figure.add_subplot()
        for k, (name, row) in enumerate(rows):
            colour = SERIES[1] if name == CANDIDATE else SERIES[0]
            if row["low"] is not None and row["high"] is not None:
                axes.plot([row["low"], row["high"]], [k, k], color=colour, linewidth=1.6)
            axes.plot([row["value"]], [k], "o", color=colour, markersize=5)
        if chance is not None:
            axes.axvline(chance, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axes.set_yticks(range(len(rows)), [wrapped(name, 34) for name, _ in rows], color=INK)
        axes.invert_yaxis()
        axes.set_xlim(-0.02, 1.02)
        axes.set_xlabel(label + ("" if chance is None else f" (dashed: chance, {chance:.3f})"))
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        told = "; ".join(f"{name} {interval(row['value'], row['low'], row['high'])}" for name, row in rows)
        return Picture(figure, (axes,), f"{label} with 95 % intervals: {told}.")


def draw_positions(document: Document, *, new: NewSheet = sheet) -> Picture | None:
    """Draw how often each position was answered beside how often it is right."""
    own = document["positions"]
    if own is None or not own["n"]:
        return None
    with style():
        figure = new(2.6, 7.2)
        axes: Axes = figure.add_subplot()
        for side, (what, shift) in enumerate((("answered", -0.2), ("right", 0.2))):
            shares = [count / own["n"] for count in own[what]]
            axes.bar([k + shift for k in range(len(shares))], shares, 0.38, label=what, color=SERIES[1 - side])
        axes.set_xticks(range(len(own["names"])), [wrapped(name, 16) for name in own["names"]])
        axes.set_ylabel("share of items")
        axes.legend(fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, frameon=False)  # above the bars
        told = "; ".join(
            f"{n} {a:,} and {r:,}" for n, a, r in zip(own["names"], own["answered"], own["right"], strict=True)
        )
        return Picture(figure, (axes,), f"Items for which each option was answered, and is right: {told}.")
