"""The page of a stress test: what recipes lose by each fault, at sites they never saw, and to attacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from chiasm.evaluation.stress.faults import ATTACKS, LEVELS, SITES
from chiasm.report.page import filled
from chiasm.report.stress import draw_stress
from chiasm.report.wording import interval, number, percent
from chiasm.shown import NOT_ESTIMABLE

TEMPLATE = "stress.html.j2"
FAULTS = {
    "drift": "Every number of the modality moves by so many standard deviations of the training patients, each column "
    "up or down.",
    "lost": "The modality is taken from a share of those who have it and another one.",
    "mixed": "A share of those who have it get the values of another one of them.",
    "labels": "A share of the training patients get the outcome of another one; the recipe is fitted again.",
}
"""What each fault does, in the order of `LEVELS`."""


@dataclass(frozen=True)
class Line:
    """Row of a table: the names it is about, and its values as text."""

    names: list[str]
    texts: list[str]


def render_stress(
    table: pd.DataFrame,
    attacks: pd.DataFrame,
    metric: str,
    *,
    not_attacked: Mapping[str, str],
    leaks: Sequence[str],
) -> str:
    """Render the page as text; no patient's value or identifier is on it.

    Args:
        table: of `evaluation.stress.stress.stressed`.
        attacks: of `evaluation.stress.attacks.attack_table`.
        metric: label of the primary metric.
        not_attacked: recipes that were to be attacked and were not, with why.
        leaks: findings of the check that may give the outcome away.
    """
    rows = table.to_dict("records")
    drawn = any(row["fault"] in LEVELS or row["fault"] in ATTACKS for row in rows)
    own = {row["fault"] for row in rows}
    return filled(
        TEMPLATE,
        title="What recipes lose",
        metric=metric,
        plain=[
            Line([row["recipe"]], [_of(row, "metric", ""), number(row["explained"])]) for row in rows if _clean(row)
        ],
        picture=draw_stress(table, metric) if drawn else None,
        meanings=[(kind, FAULTS[kind]) for kind in LEVELS if kind in own],
        faults=[_fault(row) for row in rows if row["fault"] in LEVELS],
        sites=[_site(row) for row in rows if row["fault"] == SITES],
        attacks=[_attack(row) for row in attacks.to_dict("records")],
        not_attacked=list(not_attacked.items()),
        leaks=list(leaks),
    )


def _clean(row: Mapping[Any, Any]) -> bool:
    return bool(row["fault"] == "none")


def _of(row: Mapping[Any, Any], name: str, start: str) -> str:
    """A value with its interval; its ends are `low` and `high` with this start."""
    return interval(row[name], row[f"{start}low"], row[f"{start}high"])


def _fault(row: Mapping[Any, Any]) -> Line:
    names = [row["recipe"], row["fault"], row["modality"]]
    changes = _of(row, "change", "change_"), _of(row, "explained_change", "explained_change_")
    return Line(names, [f"{row['level']:g}", f"{row['struck']:.0f}", _of(row, "metric", ""), *changes])


def _site(row: Mapping[Any, Any]) -> Line:
    """Within sites: where the site was known, where it was left out, and the change."""
    known = number(row["metric"] - row["change"])
    return Line([row["recipe"]], [f"{row['level']:g}", known, _of(row, "metric", ""), _of(row, "change", "change_")])


def _attack(row: Mapping[Any, Any]) -> Line:
    lost = NOT_ESTIMABLE if row["lost"] != row["lost"] else percent(row["lost"])
    names = [row["recipe"], row["attack"], row["modality"]]
    return Line(
        names, [f"{row['radius']:g}", number(row["clean"]), number(row["noise"]), _of(row, "attacked", ""), lost]
    )
