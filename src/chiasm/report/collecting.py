"""Picture of what collecting a modality brings, against what an outcome known for certain is worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

from chiasm.report.drawing import FAINT, INK, QUIET, SERIES, NewSheet, Picture, own_sheet, style, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = 4
BEYOND = 3.0  # the axis ends at this multiple of the middle break-even, or of the worth that is asked about


def draw_net_gain(advice: pd.DataFrame, worth: float | None = None, *, new: NewSheet = own_sheet) -> Picture | None:
    """Draw the net gain of each modality with a price, with its 95 % band; a panel for what the patients have.

    Args:
        advice: what `evaluation.prices.weighed` returns.
        worth: marked on the axis.

    Returns:
        The panels of the up to four patterns that most patients have; None where no gain with an interval has a price.
    """
    known = advice[advice["low"].notna() & advice["high"].notna() & advice["cost"].notna()]
    if not len(known):
        return None
    patterns = list(dict.fromkeys(known["have"]))[:PANELS]
    known = known[known["have"].isin(patterns)]
    adds = sorted(known["add"].unique())
    end = _end(known, worth)
    with style():
        figure = new(3.6, min(4.2 * len(patterns), 12.6))
        every: list[Axes] = []
        for number, have in enumerate(patterns):
            axes = figure.add_subplot(1, len(patterns), number + 1, sharey=every[0] if every else None)
            every.append(axes)
            axes.axhline(0, color=QUIET, linewidth=1)
            if worth is not None:
                axes.axvline(worth, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
            for row in known[known["have"] == have].to_dict("records"):
                colour = SERIES[adds.index(row["add"]) % len(SERIES)]
                start = -row["cost"]
                ends = [end * row[name] - row["cost"] for name in ("low", "high")]
                axes.fill_between([0, end], [start, ends[0]], [start, ends[1]], color=colour, alpha=0.15, linewidth=0)
                axes.plot([0, end], [start, end * row["gain"] - row["cost"]], color=colour, label=f"with {row['add']}")
            axes.set(xlim=(0, end), xlabel="worth of an outcome known for certain")
            axes.set_title(wrapped(f"who has {have.replace('+', ', ') or 'nothing'}", 36), color=INK)
            axes.set_ylabel("net gain a patient" if number == 0 else "")
            axes.locator_params(axis="x", nbins=5)
            axes.grid(color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
            axes.legend(fontsize=8, loc="upper left")
        return Picture(figure, tuple(every), _told(known))


def _end(known: pd.DataFrame, worth: float | None) -> float:
    """Where the axis of the worth ends."""
    even = [value for value in known["break_even"] if 0 < value < math.inf]
    middle = float(pd.Series(even).median()) if even else 0.0
    return max(BEYOND * middle, BEYOND / 2 * (worth or 0.0)) or max(10 * float(known["cost"].max()), 1.0)


def _told(known: pd.DataFrame) -> str:
    parts = [
        f"{row['add']} for who has {row['have'] or 'nothing'} "
        + ("never breaks even" if row["break_even"] == math.inf else f"breaks even at {row['break_even']:.3g}")
        for row in known.to_dict("records")
    ]
    return f"Net gain a patient against what an outcome known for certain is worth. {'; '.join(parts)}."
