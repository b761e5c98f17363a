"""Findings of cohort checks, and the errors and the warning that report them."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One finding of a check: what is wrong, where, and what to do about it.

    `row` counts as in a spreadsheet: the header is row 1, the first patient row 2. `path` is the file as the manifest
    names it. `finding` is its short stable name, by which `[accept]` of a manifest accepts it with a reason. `leak`
    marks information about the outcome or a test patient that inflates a score. No field ever holds an identifier or a
    value of a patient.
    """

    severity: Severity
    row: int | None
    modality: str | None
    path: str | None
    what: str
    fix: str
    finding: str = ""
    leak: bool = False

    def __str__(self) -> str:
        place = [self.path or "", f"row {self.row}" if self.row else "", f"modality '{self.modality}'"]
        where = ", ".join(part for part in (place if self.modality else place[:2]) if part)
        return f"{where}: {self.what}; {self.fix}" if where else f"{self.what}; {self.fix}"


class CohortError(ValueError):
    """Error for a cohort that cannot be used; `problems` holds every reason, the message one line for each."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = list(problems)

    def __reduce__(self) -> tuple[type[CohortError], tuple[list[Problem]]]:
        return type(self), (self.problems,)


class LeakageError(ValueError):
    """Error for a patient, group or site that is on both sides of a split."""


class Unsupported(ValueError):
    """Error for a feature, package or input that is not supported; the message says which, and what to do."""


class FindingWarning(UserWarning):
    """Warning that a check found something that does not stop a run."""


def hush_findings() -> None:
    """Silence `FindingWarning`, for callers that show the findings themselves."""
    warnings.simplefilter("ignore", FindingWarning)


def findings_are_hushed() -> bool:
    """True if every `FindingWarning` is ignored, so that nobody would see what is looked for."""
    for action, message, category, module, line in warnings.filters:
        if issubclass(FindingWarning, category):
            return action == "ignore" and message is None and module is None and not line
    return False


def error(
    what: str,
    fix: str,
    *,
    path: str | None = None,
    row: int | None = None,
    modality: str | None = None,
    finding: str = "",
) -> Problem:
    """Create a finding that stops a run."""
    return Problem("error", row, modality, path, what, fix, finding)


def warning(
    what: str,
    fix: str,
    *,
    path: str | None = None,
    row: int | None = None,
    modality: str | None = None,
    finding: str = "",
    leak: bool = False,
) -> Problem:
    """Create a finding that is reported without stopping a run; a leak qualifies the verdict."""
    return Problem("warning", row, modality, path, what, fix, finding, leak)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most similar to `word`, "" if none is similar."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return matches[0] if matches else ""


def count(number: int, noun: str) -> str:
    """Format a number with its noun: `count(1, "row") == "1 row"`, `count(2, "row") == "2 rows"`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def first_rows(rows: Sequence[int], shown: int = 5) -> str:
    """Format the first few row numbers: `"rows 2, 3, 9 ..."`."""
    listed = ", ".join(str(int(row)) for row in rows[:shown])
    return f"{'row' if len(rows) == 1 else 'rows'} {listed}{' ...' if len(rows) > shown else ''}"


def raised_at(error: BaseException) -> tuple[str, int]:
    """Return the module and line that raised the error; chiasm's modules are trusted not to quote patient data."""
    module, line, trace = "an unknown place", 0, error.__traceback__
    while trace is not None:
        module, line, trace = str(trace.tb_frame.f_globals.get("__name__", "")), trace.tb_lineno, trace.tb_next
    return module, line
