"""What is predicted: the kinds of target, and what is known of each patient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.errors import Problem, count, error, first_rows

EVENT_CODES = {"1": 1.0, "1.0": 1.0, "true": 1.0, "0": 0.0, "0.0": 0.0, "false": 0.0}


@dataclass(frozen=True)
class Classification:
    """One of K classes, read from `column`; `classes` is filled on opening with the labels as sorted text."""

    column: str
    classes: tuple[str, ...] = ()
    kind: ClassVar[str] = "classification"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Regression:
    """A number, read from `column`, in `unit`."""

    column: str
    unit: str = ""
    kind: ClassVar[str] = "regression"

    @property
    def columns(self) -> tuple[str, ...]:
        return (self.column,)


@dataclass(frozen=True)
class Survival:
    """A right-censored time: `Survival("days", "died")`.

    `time` > 0 in `unit`; `event` names a column of 1 = happened, 0 = censored, or `censored` one with the inverse
    coding: exactly one of the two. `times` are the horizons, in `unit`, at which survival is predicted; () stands
    for the quartiles of the event times in training.
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
    """Several labels at once, one a column. Such a cohort opens; it cannot be evaluated yet."""

    columns: tuple[str, ...]
    kind: ClassVar[str] = "multilabel"


Target = Classification | Regression | Survival | Multilabel


@dataclass(frozen=True)
class Outcome:
    """What is known of each patient of a cohort, in its row order.

    `value` (B,) float64 is the class code, the number or the time, NaN where unknown; `event` (B,) bool for survival,
    else None; `known` (B,) bool.
    """

    value: NDArray[np.float64]
    event: NDArray[np.bool_] | None
    known: NDArray[np.bool_]

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Outcome:
        """The outcome of some patients: `rows` are integers or a mask."""
        return Outcome(self.value[rows], None if self.event is None else self.event[rows], self.known[rows])


def label_text(values: pd.Series) -> NDArray[np.object_]:
    """Labels as text, None where missing; whole numbers lose their `.0`, so that `1.0` and `1` are one class."""
    text = np.full(len(values), None, dtype=object)
    for i, value in enumerate(values.tolist()):
        if value is None or (isinstance(value, float) and np.isnan(value)) or value is pd.NA or value is pd.NaT:
            continue
        whole = isinstance(value, float) and value.is_integer()
        text[i] = (str(int(value)) if whole else str(value)).strip() or None
    return text


def read_outcome(
    target: Target, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None
) -> tuple[Target, Outcome | None, list[Problem]]:
    """The target with its classes, the outcome, and every value that cannot be one.

    `patients` holds the target's columns, a row a patient of the cohort; `file_rows` says where each stands in the
    user's own file. Values that cannot be used are unknown in the outcome and findings in the list.
    """
    if isinstance(target, Classification):
        return _classes(target, patients[target.column], file_rows, path)
    if isinstance(target, Regression):
        numbers, findings = _numbers(patients[target.column], target.column, file_rows, path)
        infinite = np.isinf(numbers)
        if infinite.any():
            findings.append(
                _finding(
                    f"column '{target.column}' is infinite", "correct or empty the cell", infinite, file_rows, path
                )
            )
        numbers[infinite] = np.nan
        return target, Outcome(numbers, None, ~np.isnan(numbers)), findings
    if isinstance(target, Survival):
        return _survival(target, patients, file_rows, path)
    return target, None, []


def _classes(
    target: Classification, labels: pd.Series, file_rows: NDArray[np.int_], path: str | None
) -> tuple[Target, Outcome, list[Problem]]:
    text = label_text(labels)
    known = np.array([label is not None for label in text], dtype=bool)
    classes = target.classes or tuple(sorted({str(label) for label in text[known]}))
    codes = {label: float(code) for code, label in enumerate(classes)}
    value = np.array([np.nan if label is None else codes.get(label, np.nan) for label in text], dtype=np.float64)
    strange = known & np.isnan(value)
    findings = []
    if strange.any():
        findings.append(
            _finding(
                f"column '{target.column}' holds a label that is not one of the {len(classes)} declared classes",
                "correct the label or declare its class",
                strange,
                file_rows,
                path,
            )
        )
    return replace(target, classes=classes), Outcome(value, None, ~np.isnan(value)), findings


def _survival(
    target: Survival, patients: pd.DataFrame, file_rows: NDArray[np.int_], path: str | None
) -> tuple[Target, Outcome, list[Problem]]:
    time, findings = _numbers(patients[target.time], target.time, file_rows, path)
    status = target.event or target.censored
    codes = label_text(patients[status])
    event = np.array(
        [np.nan if c is None else EVENT_CODES.get(str(c).lower(), np.nan) for c in codes], dtype=np.float64
    )
    strange = np.isnan(event) & np.array([code is not None for code in codes], dtype=bool)
    if strange.any():
        meaning = "1 = happened, 0 = censored" if target.event else "1 = censored, 0 = happened"
        findings.append(
            _finding(f"column '{status}' is neither 0 nor 1", f"code it as {meaning}", strange, file_rows, path)
        )
    early = (time <= 0) | np.isinf(time)
    if early.any():
        findings.append(
            _finding(
                f"column '{target.time}' must be a time above zero and finite",
                "count from a start that lies before the event, or leave the patient out",
                early,
                file_rows,
                path,
            )
        )
    known = ~(np.isnan(time) | early | np.isnan(event))
    happened = (event == 0) if target.censored else (event == 1)
    return target, Outcome(np.where(known, time, np.nan), happened & known, known), findings


def _numbers(
    values: pd.Series, column: str, file_rows: NDArray[np.int_], path: str | None
) -> tuple[NDArray[np.float64], list[Problem]]:
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan).copy()
    text = np.isnan(numbers) & values.notna().to_numpy()
    if not text.any():
        return numbers, []
    return numbers, [_finding(f"column '{column}' is not a number", "write a number", text, file_rows, path)]


def _finding(what: str, fix: str, wrong: NDArray[np.bool_], file_rows: NDArray[np.int_], path: str | None) -> Problem:
    rows = np.sort(file_rows[wrong])
    many = f" in {count(len(rows), 'row')} ({first_rows(rows.tolist())})" if len(rows) > 1 else ""
    return error(what + many, fix, path=path, row=int(rows[0]))
