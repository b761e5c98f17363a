"""A table of the page: headings, of which some head numbers, and rows of text that begin with a name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chiasm.shown import interval

MASKED = "masked"
"""What stands in the place of a count that must not be told."""


@dataclass(frozen=True)
class Heading:
    """Heading of a column; `note` stands below it, and `number` says that the column holds numbers."""

    label: str
    note: str = ""
    number: bool = True


@dataclass(frozen=True)
class Table:
    """A table of the page, empty where it has no rows.

    Args:
        name: its id on the page.
        headings: of the first column and the others.
        rows: each of as many texts.
        fixed: the order of the rows says something, so that it is not sorted.
    """

    name: str
    headings: list[Heading]
    rows: list[list[str]] = field(default_factory=list)
    fixed: bool = False


@dataclass(frozen=True)
class ToldTable:
    """Part of the page that is a table, and how it is read."""

    said: str
    table: Table


def estimates(row: Mapping[str, Any], measures: Sequence[str]) -> list[str]:
    """Format each measure of a row of the trial's document with its interval, which stands in `_low` and `_high`."""
    return [interval(*(row[measure + end] for end in ("", "_low", "_high"))) for measure in measures]


def count_of(n: int | None) -> str:
    """Format a count, or say that it is masked."""
    return MASKED if n is None else f"{n:,}"
