"""Cells of a table that says what each holds, of a spreadsheet or a statistics program, brought to numbers and text.

A column of nothing but numbers is one of numbers. Every other is text as a CSV would have it, and is read by the rules
of a CSV from there on: so the same table is the same cohort whatever file it comes in.
"""

from __future__ import annotations

import csv
import datetime
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.dialect import Form
from chiasm.cohort.notation import number

Numbers = NDArray[np.float64]
Texts = NDArray[np.object_]


class GridError(ValueError):
    """Error for a file that is refused: `what` is wrong, the `fix` and the row; none quotes a cell."""

    def __init__(self, what: str, fix: str, row: int | None = None) -> None:
        super().__init__(f"{what}; {fix}")
        self.what, self.fix, self.row = what, fix, row

    def __reduce__(self) -> tuple[type[GridError], tuple[str, str, int | None]]:
        return type(self), (self.what, self.fix, self.row)


@dataclass(frozen=True)
class Note:
    """What a file's owner should know of how it was read: a warning of the check."""

    what: str
    fix: str
    finding: str
    row: int | None = None


@dataclass(frozen=True)
class Grid:
    """A table of `rows` rows: each of its `columns` by name, numbers `(n,)` with NaN or text with "" where missing.

    `codes` are those of the columns in which the words of labels stand for them.
    """

    columns: dict[str, Numbers | Texts]
    rows: int
    notes: tuple[Note, ...] = ()
    codes: dict[str, Numbers | Texts] = field(default_factory=dict)

    @cached_property
    def words(self) -> dict[str, None]:
        """Names of the columns of text but for those of labels, which are words whatever they look like, in order."""
        texts = (name for name, values in self.columns.items() if values.dtype == object)
        return {name: None for name in texts if name not in self.codes}

    def as_csv(self) -> bytes:
        """Return the columns of text as CSV in UTF-8, with their header."""
        frame = pd.DataFrame({name: self.columns[name] for name in self.words}, index=range(self.rows))
        text: str = frame.to_csv(index=False, quoting=csv.QUOTE_ALL)  # a carriage return alone would end the row
        return text.encode("utf-8", "replace")


def column_of(values: Sequence[Any], form: Form) -> Numbers | Texts:
    """Bring a column of cells `(n,)` to numbers, where every filled one is a number, or else to text.

    Args:
        values: numbers, truth values, texts, dates, times and durations; None and blank text are missing.
        form: its `missing` numbers become missing; its decimal sign is that of a number among words.
    """
    filled = [not (value is None or (isinstance(value, str) and not value.strip())) for value in values]
    kinds = {type(value) for value, own in zip(values, filled, strict=True) if own}
    if kinds and kinds <= {int, float}:
        return without_marks(
            np.array([value if own else np.nan for value, own in zip(values, filled, strict=True)], np.float64), form
        )
    found = np.empty(len(values), dtype=object)
    comma = form.decimal == ","
    found[:] = [written(value, comma=comma) if own else "" for value, own in zip(values, filled, strict=True)]
    return found


def without_marks(values: Numbers, form: Form) -> Numbers:
    """Return numbers `(n,)` with those missing that the owner says stand for a missing value."""
    marks = [mark for text in form.missing or () if (mark := number(text)) is not None]
    return np.where(np.isin(values, marks), np.nan, values) if marks else values


def written(value: Any, *, comma: bool = False) -> str:
    """Write a cell as a CSV has it: 7.0 as `7`, dates and times by ISO 8601, true as `TRUE`."""
    if isinstance(value, str):
        return value.replace("\0", "").strip()  # a parser of text would end at it
    if isinstance(value, bool | np.bool_):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ").removesuffix(" 00:00:00")
    if isinstance(value, datetime.timedelta):
        return str(pd.Timedelta(value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).replace(".", ",") if comma and isinstance(value, float) else str(value)


def lettered(column: int) -> str:
    """Name a column as a spreadsheet does: 0 is A, 26 is AA."""
    found, column = "", column + 1
    while column:
        column, letter = divmod(column - 1, 26)
        found = string.ascii_uppercase[letter] + found
    return found


def refuse_repeated(names: Iterable[str]) -> None:
    """Raise `GridError` for a name that stands twice in a header."""
    if twice := stands_twice(list(names)):
        raise GridError(*twice)


def stands_twice(names: Sequence[str]) -> tuple[str, str] | None:
    """Say which columns of a header share a name, by their places, and what to do; None if none do.

    The name is not said: without a header it is the value of a patient.
    """
    index = pd.Index(list(names))
    if not index.has_duplicates:
        return None
    second = int(np.flatnonzero(index.duplicated())[0])
    first = list(names).index(names[second])
    what = f"the name of column {first + 1:,} stands twice in the header, in column {second + 1:,} too"
    return what, "rename one of the two, or write a header where there is none"
