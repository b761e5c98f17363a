"""The page of what came in to a model at work: whether there is an alarm, over the looks, and what differs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chiasm.report.drawing import COMBINED, FAINT, QUIET, SINGLE, NewSheet, Picture, sheet, style
from chiasm.report.page import filled

if TYPE_CHECKING:
    from chiasm.models.looks import Judged, Look

TEMPLATE = "monitoring.html.j2"
LABELS = 14  # looks that are named below the picture
HIGHEST = 6.0  # of the height of a point, in decades beyond the level
SHOWN = 3  # parts of a test that are told


def render_monitored(found: Any) -> str:
    """Render the page of a `Monitored` as text; no identifier and no value of a single patient is on it."""
    latest = found.found[-1]
    alarms = [(look.label, own) for look in found.found for own in look.tests if own.alarm]
    return filled(
        TEMPLATE,
        title=f"Patients who came in to '{found.recipe}'",
        found=found,
        picture=draw_looks(found.found) if len(found.found) > 1 else None,
        latest=latest.label,
        tests=[row_of(own) for own in latest.tests],
        alarms=[(label, *row_of(own)) for label, own in alarms if label != latest.label],
    )


def row_of(own: Judged) -> tuple[str, str, str, str, str, list[str]]:
    """A test as text: its name, of whom, how many, p and the level, whether it is an alarm, and what differs most."""
    p = "below 0.0001" if own.adjusted < 1e-4 else f"{own.adjusted:.4f}"
    said = [part.said for part in own.test.parts if own.alarm and part.p <= 10 * own.level] or [
        part.said if part.p < 1 else "Nothing that chance alone would not make." for part in own.test.parts[:1]
    ]
    word = "alarm" if own.alarm else "no alarm"
    return own.test.name, f"{own.scope}, {own.test.patients:,}", p, f"{own.level:.2g}", word, said[:SHOWN]


def draw_looks(looks: tuple[Look, ...], new: NewSheet = sheet) -> Picture:
    """Draw how far the most different test of each look is from its level: above the line is an alarm."""
    height = [min(max(-math.log10(max(look.smallest, 10**-HIGHEST)), -3.0), HIGHEST) for look in looks]
    with style():
        figure = new(2.8, 8.4)
        axes = figure.add_subplot()
        places = range(len(looks))
        axes.axhline(0, color=QUIET, linewidth=1, linestyle=(0, (4, 3)))
        axes.plot(list(places), height, color=FAINT, linewidth=1)
        for alarm, colour, marker, name in ((False, SINGLE, "o", "no alarm"), (True, COMBINED, "s", "alarm")):
            here = [place for place in places if looks[place].alarm == alarm]
            if here:
                axes.plot(here, [height[k] for k in here], marker, color=colour, label=name)
        step = max(1, math.ceil(len(looks) / LABELS))
        axes.set_xticks(list(places)[::step], [look.label for look in looks][::step], rotation=30, ha="right")
        axes.set_ylabel("decades below the level")
        axes.set_title("The most different test of each look; the line is the level of an alarm")
        axes.legend(fontsize=8, loc="upper left")
        number = sum(look.alarm for look in looks)
        return Picture(figure, (axes,), f"{len(looks):,} looks, of which {number:,} are an alarm.")
