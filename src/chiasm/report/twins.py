"""Picture of a control study: what is measured and what is given over time, under each controller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chiasm.report.drawing import FAINT, SERIES, NewSheet, Picture, own_sheet, style, wrapped

LINES = ("-", "--", "-.", ":", (0, (5, 1)))


def draw_twin(
    shown: Mapping[str, Mapping[str, Sequence[float]]],
    value: str,
    dose: str,
    minutes: float,
    low: float,
    high: float,
    *,
    new: NewSheet = own_sheet,
) -> Picture:
    """Draw the median course of each controller, with the 5th to 95th percentile of the last one, and the doses below.

    Args:
        shown: by controller what `dynamics.twins.scoring.bands` returns.
        value: what is measured, with its unit.
        dose: what is given, with its unit.
        minutes: length of a step; 0 where it has no unit, and steps are counted.
        low: lower end of the range.
        high: upper end of the range.
    """
    across, unit = (minutes / 60, "hours") if minutes else (1.0, "steps")
    with style():
        figure = new(5.2, 8.4)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        above.axhspan(low, high, color=FAINT, alpha=0.5, linewidth=0)
        for number, (name, own) in enumerate(shown.items()):
            colour, line = SERIES[number % len(SERIES)], LINES[number % len(LINES)]
            times = [across * step for step in range(len(own["value_middle"]))]
            above.plot(times, own["value_middle"], color=colour, linestyle=line, linewidth=1.4, label=name)
            below.step(
                times[:-1], own["dose_middle"], where="post", color=colour, linestyle=line, linewidth=1.2, label=name
            )
        last, own = list(shown.items())[-1]
        times = [across * step for step in range(len(own["value_low"]))]
        colour = SERIES[(len(shown) - 1) % len(SERIES)]
        above.fill_between(times, own["value_low"], own["value_high"], color=colour, alpha=0.15, linewidth=0)
        seen = [end for one in shown.values() for end in one["value_middle"]] + [*own["value_low"], *own["value_high"]]
        room = 2 * (high - low)
        bottom, top = max(min(seen), low - room), min(max(seen), high + room)
        above.set_ylim(*((bottom, top) if bottom < top else (low - room, high + room)))  # alike, or far off
        above.set_ylabel(wrapped(value))
        below.set_ylabel(wrapped(dose))
        below.set_xlabel(unit)
        for axes in (above, below):
            axes.grid(color=FAINT, linewidth=0.5)
            axes.set_axisbelow(True)
        figure.legend(*above.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=8)
        told = (
            f"Median {value} over {unit} under {', '.join(shown)}, with the 5th to 95th percentile under {last}; the "
            f"range {low:g} to {high:g} is shaded. Below, the median {dose}."
        )
        return Picture(figure, (above, below), told)
