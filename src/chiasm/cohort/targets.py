"""Kinds of prediction target, and the known outcomes of patients."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import Problem, Severity, count, error, first_rows

LARGEST = 1e100
EXTREME = "is of a magnitude that nothing measured has"
EVENT_CODES = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}


@dataclass(frozen=True)
class Classification:
    """Classification target, one of K classes in `column`; opening fills `classes` with the labels as sorted text."""

    column: str
    classes: tuple[str, ...] = ()
    kind: ClassVar[str] = "classification"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Regression:
    """Regression target: a number, read from `column`, in `unit`."""

    column: str
    unit: str = ""
    kind: ClassVar[str] = "regression"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Survival:
    """Survival target, a right-censored time: `Survival("days", "died")`.

    `time` names a column of times > 0, in `unit`; exactly one of `event` (a column of 1 = happened, 0 = censored) and
    `censored` (the inverse coding) is given. `times` are the horizons, in `unit`, at which survival is predicted; ()
    means the quartiles of the event times in training.
    """

    time: str
    event: str = ""
    censored: str = ""
    unit: str = ""
    times: tuple[float, ...] = ()
    kind: ClassVar[str] = "survival"

    def __post_init__(self) -> None:
        if bool(self.event) == bool(self.censored):
            raise ValueError("a survival target needs exactly one of event and censored: the column that says who died")
        times = tuple(float(time) for time in self.times)
        if any(not np.isfinite(time) or time <= 0 for time in times) or list(times) != sorted(set(times)):
            raise ValueError("the times of a survival target must be positive, finite and increasing")
        object.__setattr__(self, "times", times)

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.time, self.event or self.censored)


@dataclass(frozen=True)
class Multilabel:
    """Multilabel target, a column per label (1 = has it, 0 = has it not): `Multilabel(("stroke", "infarct"))`.

    A patient may have any number of labels, and some of them may be missing while others are known.
    """

    columns: tuple[str, ...]
    kind: ClassVar[str] = "multilabel"

    def __post_init__(self) -> None:
        columns = (self.columns,) if isinstance(self.columns, str) else tuple(self.columns)
        if not columns or len(set(columns)) < len(columns):
            raise ValueError("a multilabel target needs one column or more, each named once")
        object.__setattr__(self, "columns", columns)


Target = Classification | Regression | Survival | Multilabel


@dataclass(frozen=True)
class Outcome:
    """Outcomes of the patients of a cohort, in its row order.

    `value` (B,) float64 is the class code, the number or the time, NaN where unknown; for K labels (B, K), 0 or 1, or
    NaN in a missing cell. `event` (B,) bool for survival, else None; `known` (B,) bool, for labels at least one known.
    """

    value: NDArray[np.float64]
    event: NDArray[np.bool_] | None
    known: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Outcome:
        """Select the outcomes of some patients; `rows` are integers or a mask."""
        return Outcome(self.value[rows], None if self.event is None else self.event[rows], self.known[rows])


def label_text(values: pd.Series) -> NDArray[np.object_]:
    """Convert labels to text, None where missing; whole numbers lose their `.0`, so `1.0` and `1` are one class."""
    text = np.full(len(values), None, dtype=object)
    seen: dict[str, str] = {}
    for i, value in enumerate(values.tolist()):
        if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA or value is pd.NaT:
            continue
        whole = isinstance(value, float) and value.is_integer()
        label = (str(int(value)) if whole else str(value)).strip()
        text[i] = seen.setdefault(label, label) or None  # few labels, and many patients
    return text


def read_outcome(
    target: Target, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None
) -> tuple[Target, Outcome | None, list[Problem]]:
    """Read the outcome; return the target with its classes, the outcome, and findings on unusable values.

    `patients` holds the target's columns, one row per patient of the cohort; `file_rows` is the row of each in the
    user's own file. Values that cannot be used are unknown in the outcome and listed as findings; nothing raises,
    because predicting needs no outcome.
    """
    cells = _Cells(patients, file_rows, path)
    if isinstance(target, Classification):
        target, outcome = _classes(target, cells)
    elif isinstance(target, Regression):
        outcome = _regression(target, cells)
    elif isinstance(target, Survival):
        outcome = _survival(target, cells)
    else:
        outcome = _labels(target, cells)
    if len(patients) and not outcome.known.any():
        what = "no patient has a known outcome"
        return (
            target,
            outcome,
            [error(what, "fill it in, or take [target] out to predict only", path=path, finding="no-outcome")],
        )
    return target, outcome, cells.findings


class _Cells:
    """Reader of the target's columns that notes their defects: one finding each, with its first row and a count."""

    def __init__(self, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None) -> None:
        self.patients = patients
        self.file_rows = file_rows
        self.path = path
        self.findings: list[Problem] = []

    def labels(self, column: str, *, needed: bool, unless: str = "") -> NDArray[np.object_]:
        text = label_text(self.patients[column])
        self._missing(column, np.array([label is None for label in text], dtype=bool), needed, unless)
        return text

    def numbers(self, column: str, *, needed: bool) -> NDArray[np.float64]:
        values = self.patients[column]
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
        empty = np.array([label is None for label in label_text(values)], dtype=bool)
        self._missing(column, empty, needed)
        self.note(f"column '{column}' is not a number", "write a number", np.isnan(numbers) & ~empty)
        return numbers

    def note(self, what: str, fix: str, wrong: NDArray[np.bool_], severity: Severity = "error") -> None:
        if wrong.any():
            rows = np.sort(self.file_rows[wrong]).tolist()
            many = f" in {count(len(rows), 'row')} ({first_rows(rows)})" if len(rows) > 1 else ""
            finding = "unreadable-outcome" if severity == "error" else "unknown-outcome"
            self.findings.append(Problem(severity, rows[0], None, self.path, what + many, fix, finding))

    def _missing(self, column: str, empty: NDArray[np.bool_], needed: bool, unless: str = "") -> None:
        if needed:
            self.note(f"column '{column}' is missing", "fill it in, or leave the patient out", empty)
        else:
            fix = "fill it in; " + (unless or "a patient without is neither trained on nor tested")
            self.note(f"column '{column}' is missing", fix, empty, "warning")


def is_extreme(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return where finite numbers other than zero are so large or small that their squares leave double precision."""
    size = np.abs(values)
    return np.asarray(np.isfinite(values) & ((size > LARGEST) | ((size < 1 / LARGEST) & (size > 0))))


def _classes(target: Classification, cells: _Cells) -> tuple[Classification, Outcome]:
    text = cells.labels(target.column, needed=False)
    given = np.array([label is not None for label in text], dtype=bool)
    classes = target.classes or tuple(sorted({str(label) for label in text[given]}))
    codes = {label: float(code) for code, label in enumerate(classes)}
    value = np.array([codes.get(label, np.nan) for label in text], dtype=np.float64)
    what = f"column '{target.column}' holds a label that is not one of the {len(classes)} declared classes"
    cells.note(what, "correct the label or declare its class", given & np.isnan(value))
    return replace(target, classes=classes), Outcome(value, None, ~np.isnan(value))


def _regression(target: Regression, cells: _Cells) -> Outcome:
    numbers = cells.numbers(target.column, needed=False)
    infinite = np.isinf(numbers)
    cells.note(f"column '{target.column}' is infinite", "correct or empty the cell", infinite)
    extreme = is_extreme(numbers)
    cells.note(f"column '{target.column}' {EXTREME}", "correct or empty the cell", extreme)
    numbers[infinite | extreme] = np.nan
    return Outcome(numbers, None, ~np.isnan(numbers))


def _survival(target: Survival, cells: _Cells) -> Outcome:
    time = cells.numbers(target.time, needed=True)
    early = (time <= 0) | np.isinf(time)
    fix = "count from a start that lies before the event, or leave the patient out"
    cells.note(f"column '{target.time}' must be a time above zero and finite", fix, early)
    extreme = is_extreme(time) & ~early
    cells.note(f"column '{target.time}' {EXTREME}", "correct the cell, or leave the patient out", extreme)
    early |= extreme
    status = target.event or target.censored
    codes = cells.labels(status, needed=True)
    event = np.array([EVENT_CODES.get(str(code).lower(), np.nan) for code in codes], dtype=np.float64)
    given = np.array([code is not None for code in codes], dtype=bool)
    meaning = "1 = happened, 0 = censored" if target.event else "1 = censored, 0 = happened"
    cells.note(f"column '{status}' is neither 0 nor 1", f"code it as {meaning}", given & np.isnan(event))
    known = ~(np.isnan(time) | early | np.isnan(event))
    happened = (event == 0) if target.censored else (event == 1)
    return Outcome(np.where(known, time, np.nan), happened & known, known)


def _labels(target: Multilabel, cells: _Cells) -> Outcome:
    value = np.full((len(cells.patients), len(target.columns)), np.nan)
    for k, column in enumerate(target.columns):
        unless = "this label of these patients is neither trained on nor tested"
        text = cells.labels(column, needed=False, unless=unless)
        value[:, k] = [EVENT_CODES.get(str(code).lower(), np.nan) for code in text]
        given = np.array([code is not None for code in text], dtype=bool)
        cells.note(f"column '{column}' is neither 0 nor 1", "code it as 1 = has it", given & np.isnan(value[:, k]))
    return Outcome(value, None, ~np.isnan(value).all(axis=1))


def class_names(target: Target) -> tuple[str, ...]:
    """Names that get a probability: classes in the order of their codes, or labels as named; empty otherwise."""
    if isinstance(target, Multilabel):
        return target.columns
    return target.classes if isinstance(target, Classification) else ()


def horizons(outcome: Outcome) -> tuple[float, ...]:
    """Default survival horizons: the quartiles of the event times, to three significant digits."""
    if outcome.event is None or not outcome.event[outcome.known].any():
        return ()
    quartiles = np.quantile(outcome.value[outcome.known & outcome.event], (0.25, 0.5, 0.75))
    return tuple(sorted({float(f"{value:.3g}") for value in quartiles}))
