"""The page of a control study: what each controller reached on patients it was not chosen on, and what it gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from chiasm.dynamics.twins import DISCLAIMER
from chiasm.dynamics.twins.fitting import of_cohort
from chiasm.dynamics.twins.study import NETWORK, Study
from chiasm.report.page import filled
from chiasm.report.twins import draw_twin
from chiasm.report.wording import count
from chiasm.shown import interval, number

TEMPLATE = "twins.html.j2"


@dataclass(frozen=True)
class Line:
    """Row of a table: the names it is about, and its values as text."""

    names: list[str]
    texts: list[str]


def measured_as(study: Study) -> str:
    """What the goal is of, with its unit: `glucose (mg/dL)`, or `C / B`."""
    own, measures = study.settings.goal, study.settings.test.measures
    return f"{measures[own.of].name} / {measures[own.over].name}" if own.kind == "ratio" else str(measures[own.of])


def render_twin(study: Study) -> str:
    """Render the page as text."""
    own = study.settings
    each = "a day" if own.test.minutes else "in 100 steps"
    second = own.goal.very_low is not None
    heads = ["cost (95 %)", "in range, %", "below, %", *(["very low, %"] if second else []), "above, %",
             f"low episodes {each}", f"mean {own.test.doses[0]}"]  # fmt: skip
    return filled(
        TEMPLATE,
        title=own.keys.name or f"Control of the twin '{own.keys.twin}'",
        disclaimer=DISCLAIMER,
        sentences=study.sentences,
        picture=draw_twin(
            study.shown, measured_as(study), str(own.test.doses[0]), own.test.minutes, own.goal.low, own.goal.high
        ),
        heads=heads,
        rows=[Line([row["controller"]], _texts(row, second)) for row in study.table.to_dict("records")],
        less=[Line([row["against"]], _texts(row, second)) for row in study.against.to_dict("records")],
        diverged=list(study.diverged.items()),
        fitted=[] if own.fitted is None else _fitted(own.fitted),
        facts=_facts(study),
        network=NETWORK,
    )


def _texts(row: Mapping[Any, Any], second: bool) -> list[str]:
    def of(name: str, times: float, digits: int) -> str:
        middle, low, high = (times * row[f"{name}{end}"] for end in ("", "_low", "_high"))
        return interval(middle, low, high, digits=digits)

    shares = ["in_range", "below", *(["very_low"] if second else []), "above"]
    return [of("cost", 1, 3), *(of(name, 100, 1) for name in shares), of("episodes", 1, 2), of("dose", 1, 3)]


def _fitted(fitted: pd.DataFrame) -> list[Line]:
    """Parameters of the patients' own courses: what they have in common, and of no single patient."""
    return [
        Line(
            [f"{row['parameter']} ({row['unit']})"],
            [interval(row["mean"], row["low"], row["high"]), number(row["spread"]), f"{row['patients']:,}"],
        )
        for row in of_cohort(fitted).to_dict("records")
    ]


def _facts(study: Study) -> list[tuple[str, str]]:
    """What was done, as pairs of a name and a sentence."""
    own = study.settings
    goal, limits, keys = own.goal, own.limits, own.keys
    hours = f" ({keys.test.steps * own.test.minutes / 60:.3g} hours)" if own.test.minutes else ""
    aim = {"risk": "the risk of blood glucose"}.get(goal.kind, f"{measured_as(study)} at {goal.target:g}")
    bound = [
        f"{quantity.name} from {least:g} to {most:g} {quantity.unit}".rstrip()
        + (f", rising by {rise:g} a step at most" if rise else "")
        + (f", in whole {increment:g}" if increment else "")
        for quantity, least, most, rise, increment in zip(
            own.test.doses, limits.least, limits.most, limits.rise, limits.increment, strict=True
        )
    ]
    stop = (
        ""
        if limits.stop_below is None
        else f"; the lowest dose whenever the instrument shows under {limits.stop_below:g}"
    )
    through = "its gradient" if keys.training.through == "gradient" else "a metamodel of it"
    fitted = []
    if own.fitted is not None:
        left_out = f"{count(own.left_out, 'patient')} left out, as a course does not tell them"
        fitted = [("Parameters are fitted", f"to their own courses, one by one; {left_out}")]
    return [
        *fitted,
        ("Trained and chosen on", f"{count(len(own.train.patients), 'patient')}, scenarios that no test has"),
        ("Tested on", f"{count(len(own.test.patients), 'other patient')}, {count(len(own.tests), 'scenario')} of "
         f"{keys.test.steps:,} steps{hours} each"),
        ("Asked for", f"{aim}; in range is {goal.low:g} to {goal.high:g}"),
        ("Limits that always hold", f"{'; '.join(bound)}{stop}"),
        ("The network", f"trained through the simulator by {through} in {count(keys.training.epochs, 'epoch')}, "
         f"{study.trained.diverged:,} of which diverged and were left out; {_fell(study)}"),
    ]  # fmt: skip


def _fell(study: Study) -> str:
    """How the cost fell on the scenarios that no epoch had, and which weights are kept."""
    checked = study.trained.checked
    epoch, least = min(checked, key=lambda own: own[1])
    return (
        f"its mean cost on training patients in scenarios that no epoch had fell from {checked[0][1]:.3f} to "
        f"{least:.3f} in epoch {epoch:,}, whose weights are kept"
    )
