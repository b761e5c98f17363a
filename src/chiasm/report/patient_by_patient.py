"""Part of the report on groups: of how many patients every item, or most, is told rightly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chiasm.evaluation import Trial
from chiasm.metrics.grouped import MEASURES
from chiasm.report.tables import Heading, Table
from chiasm.report.wording import number

READ = (
    "Rows of the cohort are items of groups, as crops of an image or visits of a person, and the scores above count "
    "items. Here groups count: of how many every item is told rightly, of how many more than half are, and the share "
    "of a group's items that are right, on average over groups. What is told is the class of the largest probability. "
    "Means over test folds, with intervals over groups."
)


@dataclass(frozen=True)
class GroupedPart:
    """How it is read, and the table: a row for each recipe."""

    said: str
    table: Table


def grouped_part(trial: Trial) -> GroupedPart | None:
    """Build the part from the trial's document; None where no groups of several items are told classes."""
    document: list[Mapping[str, Any]] | None = trial.document.get("grouped")
    if not document:
        return None
    headings = [
        Heading("recipe", number=False), Heading("groups"), Heading("items"), Heading("every item right"),
        Heading("more than half right"), Heading("share right"),
    ]  # fmt: skip
    rows = [
        [str(row["recipe"]), f"{row['groups']:,}", f"{row['items']:,}", *(_told(row, own) for own in MEASURES)]
        for row in document
    ]
    return GroupedPart(READ, Table("grouped-table", headings, rows, fixed=True))


def _told(row: Mapping[str, Any], measure: str) -> str:
    if row[measure] is None:
        return "not estimable"
    ends = row[f"{measure}_low"], row[f"{measure}_high"]
    return number(row[measure]) if None in ends else f"{number(row[measure])} ({number(ends[0])} to {number(ends[1])})"
