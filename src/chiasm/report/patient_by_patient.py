"""Part of the report on groups: of how many patients every item, or most, is told rightly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.evaluation import Trial
from chiasm.metrics.grouped import MEASURES
from chiasm.report.tables import Heading, Table, ToldTable, estimates

READ = (
    "Rows of the cohort are items of groups, as crops of an image or visits of a person, and the scores above count "
    "items. Here groups count: of how many every item is told rightly, of how many more than half are, and the share "
    "of a group's items that are right, on average over groups. What is told is the class of the largest probability. "
    "Means over test folds, with intervals over groups."
)


def grouped_part(trial: Trial) -> ToldTable | None:
    """Build the part from the trial's document; None where no groups of several items are told classes."""
    document: list[Mapping[str, Any]] | None = trial.document.get("grouped")
    if not document:
        return None
    headings = [
        Heading("recipe", number=False), Heading("groups"), Heading("items"), Heading("every item right"),
        Heading("more than half right"), Heading("share right"),
    ]  # fmt: skip
    rows = [
        [str(row["recipe"]), f"{row['groups']:,}", f"{row['items']:,}", *estimates(row, MEASURES)] for row in document
    ]
    return ToldTable(READ, Table("grouped-table", headings, rows, fixed=True))
