"""What two modalities know of the outcome, as a picture and as a part of the page of a trial that keeps it.

A pair is a stacked bar, and bounds are whiskers. Sentences are made anew of the figures that were kept and of the
verdict of the trial.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from chiasm.cohort import Unsupported
from chiasm.evaluation import Trial
from chiasm.evaluation.beside import INTERACTION, table_of
from chiasm.evaluation.interaction.interaction import BOUNDS, FEWEST_PATIENTS, FEWEST_RAREST, TOO_FEW
from chiasm.evaluation.interaction.words import beside_verdict, foremost, hidden_from_single, says
from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, WIDTH, NewSheet, Picture, own_sheet, sheet, style, wrapped
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import count, interval, listing, number, sentence

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 24
PARTS = (
    ("redundant", "either tells", SERIES[0], ""),
    ("first_alone", "the first alone", SERIES[4], "//"),
    ("second_alone", "the second alone", SERIES[5], "\\\\"),
    ("synergy", "only both", SERIES[1], "xx"),
)

CHANGED = (
    "It was asked of other predictions than this trial has now, so that nothing of it is shown: run chiasm interaction "
    "--trial again."
)


@dataclass(frozen=True)
class InteractionPart:
    """Sentences before the picture, the picture, the table, and pairs of which there are too few to say."""

    said: list[str]
    picture: Picture | None
    table: Table
    few: str


def interaction_part(trial: Trial, new: NewSheet = sheet) -> InteractionPart | None:
    """Build the part from what the folder of the trial keeps; None where it keeps nothing of it."""
    kept = trial.document.get(INTERACTION)
    if kept is None:
        return None
    if kept["changed"]:
        return InteractionPart([CHANGED], None, Table("interaction-table", []), "")
    frame = table_of(kept["rows"])
    rows: list[dict[Any, Any]] = frame.to_dict("records")
    answered = [row for row in rows if row["basis"] != TOO_FEW]
    notes = hidden_from_single(rows)
    if trial.verdict is not None:
        notes += beside_verdict(rows, trial.verdict.outcome)
    several = len({row["outcome"] for row in rows}) > 1
    said = [_said(row, several) for row in foremost(answered)]
    said += [sentence(f"{note}.") for note in notes]
    said += [f"A leak was found, and what it tells is counted: {leak}" for leak in kept["leaks"]]
    said.append(_asked(kept["asked"], answered))
    few = listing(list(dict.fromkeys(_named(row, several) for row in rows if row["basis"] == TOO_FEW)))
    why = f"It takes {FEWEST_PATIENTS} tested patients who have both, and {FEWEST_RAREST} of the rarest outcome."
    return InteractionPart(
        said,
        draw_interaction(frame, new=new) if frame["redundant"].notna().any() else None,
        _table(answered, several),
        f"Too few to say: {few}. {why}" if few else "",
    )


def _named(row: Mapping[Any, Any], several: bool) -> str:
    return f"'{row['first']}' and '{row['second']}'" + (f" of {row['outcome']}" if several else "")


def _said(row: Mapping[Any, Any], several: bool) -> str:
    """What the parts of a pair mean, with its name unless the words begin with it."""
    words, name = says(row), _named(row, several)
    return f"{words}." if words.startswith(name) else f"{name}: {words}."


def _asked(asked: Mapping[str, Any], answered: Sequence[Mapping[Any, Any]]) -> str:
    """How it was asked, in a sentence."""
    outcomes = listing(list(dict.fromkeys(str(row["outcome"]) for row in answered)))
    of = f" of {outcomes}" if outcomes else ""
    folds, repeats = count(asked["folds"], "fold"), asked["repeats"]
    times = "" if repeats in (None, 1) else f", drawn {count(repeats, 'time')}"
    return (
        f"Asked{of}, by {listing(list(asked['states']))} as the states of a modality, which are learned on training "
        f"patients of {folds}{times}; intervals are of {count(asked['draws'], 'bootstrap draw')} of patients, given "
        "the states."
    )


def _table(rows: Sequence[Mapping[Any, Any]], several: bool) -> Table:
    heads = [Heading("modalities", number=False)]
    heads += [Heading("of", number=False)] if several else []
    heads += [Heading("states by", number=False), Heading("patients"), Heading("together", "bits, 95 %")]
    heads += [Heading("either tells"), Heading("first alone"), Heading("second alone"), Heading("only both")]
    return Table("interaction-table", [*heads, Heading("shuffled outcomes", "mean and 95 % of them")], [
        [
            f"{row['first']}, {row['second']}", *([str(row["outcome"])] if several else []), str(row["states_by"]),
            f"{row['patients']:,}", *_figures(row),
        ]
        for row in rows
    ])  # fmt: skip


def _figures(row: Mapping[Any, Any]) -> list[str]:
    """The cells of a row: bounded ones have no sum, and no shuffles."""
    own = {name: _of(row, name) for name in ("together", "redundant", "first_alone", "second_alone", "synergy")}
    chance = f"{number(row['chance'])}, {number(row['chance_high'])}"
    if row["basis"] == BOUNDS:
        between = f"between {number(row['synergy_low'])} and {number(row['synergy_high'])}"
        own |= {"together": "not known", "synergy": between}
        chance = "not known"
    return [*own.values(), chance]


def _of(row: Mapping[Any, Any], name: str) -> str:
    return interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high")))


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
