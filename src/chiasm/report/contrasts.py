"""Contrasts behind the verdict: what each of them compares, and its interval against zero and the margin."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from chiasm.evaluation import Trial, Verdict
from chiasm.evaluation.contrasts import Contrast
from chiasm.evaluation.judging import Judging
from chiasm.evaluation.sentences import numbers
from chiasm.fitting.sides import BEST_AVAILABLE
from chiasm.metrics.scores import PRIMARY
from chiasm.palette import GAINS
from chiasm.report.drawing import (
    COMBINED,
    FAINT,
    INK,
    NARROW,
    QUIET,
    WIDTH,
    NewSheet,
    Picture,
    quiet_rows,
    sheet,
    style,
)
from chiasm.report.wording import count, metric_of
from chiasm.shown import NO_INTERVAL, NOT_ESTIMABLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAME = f"equal rankings, {NO_INTERVAL}"
_NOTHING = 1e-9  # an interval no wider than this is zero by construction


@dataclass(frozen=True)
class Row:
    """One contrast: its short name, what it compares, in whom, and (mean, low, high), NaN where not estimable."""

    name: str
    compares: str
    whom: str
    numbers: tuple[float, float, float]

    @property
    def said(self) -> str:
        """Text of the contrast: `0.015 (-0.049 to 0.082)`, no interval, equal rankings on both sides, not estimable."""
        own = Contrast(*self.numbers)
        if self.drawn or (own.estimable and not own.bounded):
            return numbers(own)
        return SAME if own.estimable else NOT_ESTIMABLE

    @property
    def drawn(self) -> bool:
        """True if there is an interval to draw."""
        return all(map(math.isfinite, self.numbers)) and self.numbers[2] - self.numbers[1] > _NOTHING


def contrast_rows(trial: Trial, verdict: Verdict) -> list[Row]:
    """Build the rows: total, coverage, combining, the gain over `presence`, and the fixed pair."""
    patients = count(int(trial.predictions["patient"].nunique()), "patient")
    several = f"{verdict.several:,} with two modalities or more"
    like = "of similar presence" if in_fifths(trial) else "of the same modalities"
    total = (verdict.difference, verdict.low, verdict.high)
    pair = f"'{verdict.best_fused}' less '{verdict.best_single}', in every fold"
    return [
        Row("in all", "picked combined recipe less picked single one", patients, total),
        Row("coverage", f"{BEST_AVAILABLE} less picked single recipe", patients, verdict.coverage),
        Row("combining", f"picked combined recipe less {BEST_AVAILABLE}", f"{several}, {like}", verdict.combining),
        Row("beyond presence", "picked combined recipe less presence", patients, verdict.beyond_presence),
        Row("fixed pair", pair, patients, verdict.fixed),
    ]


def in_fifths(trial: Trial) -> bool:
    """Return True if combining is judged within fifths of what `presence` predicts, patterns being too sparse."""
    return Judging(trial, {}).strata[1]


def draw_contrasts(
    rows: Sequence[Row], margin: float, label: str, *, narrow: bool = False, new: NewSheet = sheet
) -> Picture | None:
    """Draw every contrast with its interval, a line at zero, and the gains worth having shaded; None if there is none.

    Args:
        narrow: for a phone, with the names above the intervals instead of beside them.
    """
    ends = [abs(end) for row in rows if row.drawn for end in row.numbers[1:]]
    if not ends:
        return None
    plate = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 1.0}
    reach = 1.1 * max(*ends, 2 * margin)
    with style():
        figure = new(0.85 + (0.56 if narrow else 0.36) * len(rows), NARROW if narrow else WIDTH)
        axes = figure.add_subplot()
        axes.axvspan(margin, reach, color=GAINS, linewidth=0)
        axes.axvline(0, color=INK, linewidth=1)
        axes.axvline(margin, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        places = range(len(rows) - 1, -1, -1)
        for y, row in zip(places, rows, strict=True):
            if row.drawn:
                draw_interval(axes, y, row.numbers, total=y == len(rows) - 1)
            weight = "bold" if y == len(rows) - 1 else "normal"
            if narrow:
                across = axes.get_yaxis_transform()
                axes.text(
                    0, y + 0.38, f"{row.name}: {row.said}", transform=across, va="center", weight=weight, bbox=plate
                )
            else:
                axes.text(1.02, y, row.said, transform=axes.get_yaxis_transform(), va="center", weight=weight)
        axes.set(xlim=(-reach, reach), ylim=(-0.6, len(rows) - 0.4), yticks=[])
        if not narrow:
            axes.set(yticks=list(places), yticklabels=[row.name for row in rows])
            axes.get_yticklabels()[0].set_fontweight("bold")
        axes.locator_params(axis="x", nbins=5 if narrow else 9)
        less = "\n" if narrow else ", "
        axes.set_xlabel(f"difference in {label}, 95 % interval{less}dashed: margin {margin:g}, shaded: worth having")
        axes.grid(axis="x", color=FAINT, linewidth=0.5)
        axes.set_axisbelow(True)
        quiet_rows(axes)
        told = "; ".join(f"{row.name}: {row.said}" for row in rows)
        return Picture(figure, (axes,), f"Difference in {label}, against zero and the margin {margin:g}. {told}.")


def draw_interval(axes: Axes, y: float, numbers: tuple[float, float, float], *, total: bool) -> None:
    """Draw a mean with its interval, the total more heavily."""
    mean, low, high = numbers
    axes.plot(
        [low, high], [y, y], color=COMBINED if total else INK, linewidth=3 if total else 1.8, solid_capstyle="butt"
    )
    axes.plot([mean], [y], "s" if total else "o", color=COMBINED if total else INK, markersize=8 if total else 6)


def pictures(trial: Trial, verdict: Verdict, rows: Sequence[Row]) -> tuple[Picture | None, Picture | None]:
    """Draw the picture for a page and the one for a narrow screen."""
    label = metric_of(trial.kind, PRIMARY[trial.kind]).label
    wide, narrow = (draw_contrasts(rows, verdict.margin, label, narrow=own) for own in (False, True))
    return wide, narrow
