"""The columns of a target as the user wrote them: labels, numbers and codes, with what is wrong in them."""

from __future__ import annotations

import re
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, Severity, count, first_rows

EVENT_CODES = {
    **dict.fromkeys(("1", "1.0", "true", "t", "yes", "y"), 1.0),
    **dict.fromkeys(("0", "0.0", "false", "f", "no", "n"), 0.0),
}
STATUS = {**dict.fromkeys(("dead", "deceased", "died"), 1.0), **dict.fromkeys(("alive", "living"), 0.0)}
LABELLED = re.compile(r"([01]):.+")  # cBioPortal writes 1:DECEASED
UNDATED = "write a number in a unit, such as the days since a start"


def written(value: object) -> str:
    """Convert a cell to text; a whole number that is too long for Python to write becomes hexadecimal."""
    try:
        return str(value).strip()
    except ValueError:
        if isinstance(value, int):
            return hex(value)
        raise


def label_text(values: pd.Series) -> NDArray[np.object_]:
    """Convert labels to text, None where missing; whole numbers lose their `.0`, so `1.0` and `1` are one class."""
    text = np.full(len(values), None, dtype=object)
    seen: dict[str, str] = {}
    for i, value in enumerate(values.tolist()):
        if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA or value is pd.NaT:
            continue
        whole = isinstance(value, float) and value.is_integer()
        label = str(int(value)) if whole else written(value)
        text[i] = seen.setdefault(label, label) or None  # few labels, and many patients
    return text


def same_labels(one: pd.Series, other: pd.Series) -> bool:
    """True if two columns hold the same labels, row for row; an empty cell equals an empty one; of no rows False."""
    return len(one) > 0 and bool((label_text(one) == label_text(other)).all())


class Cells:
    """Reader of the target's columns that notes their defects: one finding each, with its first row and a count."""

    def __init__(self, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None) -> None:
        self.patients = patients
        self.file_rows = file_rows
        self.path = path
        self.findings: list[Problem] = []
        self.missing: list[Problem] = []  # those of the findings that say no more than that a cell is empty

    def labels(self, column: str, *, half_of: str = "", unless: str = "") -> NDArray[np.object_]:
        text = label_text(self.patients[column])
        self._missing(column, ~given(text), half_of, unless)
        return text

    def numbers(self, column: str, *, half_of: str = "") -> NDArray[np.float64]:
        values = self.patients[column]
        if values.dtype.kind in "mM":
            everybody = np.ones(len(values), dtype=bool)
            self.note(f"column '{column}' holds dates or durations", UNDATED, everybody)
            return np.full(len(values), np.nan)
        if values.dtype == object:
            values = values.map(_plain)
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
        empty = ~given(label_text(values))
        self._missing(column, empty, half_of, "")
        fix = "write a number, with a point for decimals, and not a date"
        self.note(f"column '{column}' is not a number", fix, np.isnan(numbers) & ~empty)
        if count_days(numbers):
            self.note(f"column '{column}' holds dates, written as numbers of eight digits", UNDATED, ~np.isnan(numbers))
            return np.full(len(values), np.nan)
        return numbers

    def note(self, what: str, fix: str, wrong: NDArray[np.bool_], severity: Severity = "error") -> None:
        if wrong.any():
            rows = np.sort(self.file_rows[wrong]).tolist()
            many = f" in {count(len(rows), 'row')} ({first_rows(rows)})" if len(rows) > 1 else ""
            finding = "unreadable-outcome" if severity == "error" else "unknown-outcome"
            self.findings.append(Problem(severity, rows[0], None, self.path, what + many, fix, finding))

    def no_outcome(self, one: str, other: str) -> None:
        """Warn of the patients who have neither of the two columns that are an outcome together."""
        neither = ~given(label_text(self.patients[one])) & ~given(label_text(self.patients[other]))
        what = f"columns '{one}' and '{other}' are missing"
        self._told(what, "fill them in; a patient without is neither trained on nor tested", neither, "warning")

    def _missing(self, column: str, empty: NDArray[np.bool_], half_of: str, unless: str) -> None:
        """Note the cells that are empty; an error where the other column of the outcome is filled."""
        what = f"column '{column}' is missing"
        if half_of:
            half = empty & given(label_text(self.patients[half_of]))
            fix = f"fill it in, or empty '{half_of}' too: the patient is then neither trained on nor tested"
            self._told(what, fix, half, "error")
        else:
            fix = "fill it in; " + (unless or "a patient without is neither trained on nor tested")
            self._told(what, fix, empty, "warning")

    def _told(self, what: str, fix: str, empty: NDArray[np.bool_], severity: Severity) -> None:
        self.note(what, fix, empty, severity)
        if empty.any():
            self.missing.append(self.findings[-1])


def _plain(value: object) -> object:
    """Return a whole number of more than three hundred digits as infinite, a date or duration as text, else the cell.

    pandas would count the nanoseconds of a date that stands among objects.
    """
    if isinstance(value, date | timedelta) and not isinstance(value, type(pd.NaT)):
        return str(value)
    if not isinstance(value, int):
        return value
    try:
        float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")
    return value


def codes_of(text: NDArray[np.object_], *, status: bool = False) -> NDArray[np.float64]:
    """Read labels as 1 or 0, NaN for any other text: numbers, true and false, yes and no, and `1:DECEASED`.

    Args:
        status: dead and alive too, where 1 is that it happened.
    """
    known = {**EVENT_CODES, **STATUS} if status else EVENT_CODES
    words = [str(code).strip().lower() for code in text]
    labelled = [LABELLED.fullmatch(word) for word in words]
    codes = [float(own[1]) if own else known.get(word, np.nan) for word, own in zip(words, labelled, strict=True)]
    return np.array(codes, dtype=np.float64)


def given(text: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return True where a label is not missing."""
    return np.array([label is not None for label in text], dtype=bool)


def count_days(values: NDArray[np.float64]) -> bool:
    """Tell whether numbers are dates written without a sign between, as in 20260131: ten different ones and more."""
    some = values[np.isfinite(values)]
    if not len(some) or some.min() < 18_000_101 or some.max() > 22_001_231 or (some != np.round(some)).any():
        return False
    month, day = (some // 100) % 100, some % 100
    sound = (month >= 1) & (month <= 12) & (day >= 1) & (day <= 31)
    return bool(sound.all() and len(np.unique(some)) >= 10)
