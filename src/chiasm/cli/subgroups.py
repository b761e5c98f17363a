"""Subgroups on the screen: how a cohort is divided, and how a recipe does in each level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from chiasm import screen

if TYPE_CHECKING:
    from chiasm.api import Cohort

NOT_TOLD = "(not filled in)"


def summary_of(cohort: Cohort) -> list[dict[str, Any]]:
    """The declared subgroups of a cohort: their levels of five patients or more, and where numbers are cut."""
    return [own.described() for own in cohort.subgroups]


def show_division(subgroups: Sequence[Mapping[str, Any]]) -> None:
    """Say into how many levels each declared column divides the patients."""
    for own in subgroups:
        few = ", and others of fewer than five patients" if own.get("others") else ""
        cut = f", cut at {', '.join(f'{edge:.15g}' for edge in own['edges'])} ({own['cut']})" if own["edges"] else ""
        screen.show(f"subgroups by {own['column']}: {len(own['levels'])} levels{few}{cut}")


def show_subgroups(document: Mapping[str, Any]) -> None:
    """The first pick in each level of the declared subgroups: its metric, and the difference to the largest level."""
    found = (document.get("subgroups") or {}).get("rows")
    if not found:
        return
    first = found[0]["recipe"]
    screen.show(f"\n'{first}' in each subgroup:")
    rows = []
    for row in (own for own in found if own["recipe"] == first):
        n = "<5" if row["n"] is None else f"{row['n']:,}"
        score = row["said"] or screen.interval(*(row[key] for key in ("mean", "low", "high")))
        apart = ""
        if row["against"] is not None:
            numbers = screen.interval(*(row[key] for key in ("difference", "difference_low", "difference_high")))
            apart = f"{numbers} to {row['against']}"
        rows.append([row["subgroup"], row["level"] or NOT_TOLD, n, score, apart])
    columns = ["subgroup", "level", "patients", found[0]["metric"], "difference (95 % interval)"]
    screen.show_table(columns, rows, right=["patients"])
