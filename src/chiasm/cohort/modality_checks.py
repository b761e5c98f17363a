"""Check the values of each modality of a cohort, and its patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.bags import Bags
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.leaks.twins import patients_problem
from chiasm.cohort.rare_words import rare_words
from chiasm.cohort.same_rows import same_rows
from chiasm.cohort.sources import ColumnSource
from chiasm.errors import CohortError, Problem, Severity, Unsupported, count, error, first_rows, warning
from chiasm.room import all_finite
from chiasm.targets.reach import is_extreme

FEWEST_PATIENTS = 10
CELLS_AT_ONCE = 2_000_000  # of a table: some columns of it at a time
MOST_BAG_VALUES = 200_000_000  # beyond it, only the headers of bags are read


def block_problems(cohort: Cohort, modality: str) -> list[Problem]:
    """Errors and warnings about the values of one modality, and about how many patients have it."""
    rows = cohort.rows_of(modality)
    source = cohort.sources[modality]
    found: list[Problem] = []
    if len(rows) < min(FEWEST_PATIENTS, len(cohort)):
        what = f"{count(len(rows), 'patient')} of {len(cohort):,} have the modality"
        fix = "check the path and the identifiers" if not len(rows) else "leave it out, or gather more"
        found.append(warning(what, fix, path=source.path, modality=modality, finding="few-patients"))
    if not len(rows):
        return found
    if isinstance(source, ColumnSource):
        try:
            frame = source.frame
        except CohortError as fault:
            return [*found, *fault.problems]
        if source.kind in ("table", "omics"):
            found += _column_problems(source, frame, cohort.source_rows[modality][rows])
    elif cohort.kinds[modality] == "bag":
        bags = cohort.raw(modality)
        found += _bag_problems(bags, modality, source.path, cohort.file_rows[rows]) if isinstance(bags, Bags) else []
    return found


def require_clear_columns(cohort: Cohort) -> None:
    """Raise `CohortError` if a column of a table is neither plainly one of numbers nor one of words."""
    sources = [cohort.sources[name] for name in cohort.modalities]
    unclear = [
        problem
        for source in sources
        if isinstance(source, ColumnSource)
        for problem in source.column_problems
        if problem.severity == "error"
    ]
    if unclear:
        raise CohortError(unclear)


def _column_problems(source: ColumnSource, frame: pd.DataFrame, rows: NDArray[np.int_]) -> list[Problem]:
    found: list[Problem] = []
    path, modality = source.path, source.modality
    found += source.column_problems
    found += rare_words(source, frame, rows)
    words = [own.name for own in source.described if own.kind in ("category", "constant", "text")]
    spelt = source.spelt_missing(words)
    if spelt:
        what = f"{count(len(spelt), 'column')} of words with cells such as NA or None: {_named(spelt)}"
        fix = "they are read as missing; if such a word is a level, write missing = [] beside the table"
        found.append(warning(what, fix, path=path, modality=modality, finding="spelt-missing"))
    if source.kind == "omics" and source.text_columns:
        found.append(source.text_problem)
    found += [source.range_problem] if source.range_problem is not None else []
    for strange, said, finding in (
        (np.isinf, "not finite", "not-finite"),
        (is_extreme, "of a magnitude that nothing measured has", "extreme-number"),
    ):
        names, wrong, number = _strange(frame, rows, strange)
        if names:
            what = f"{count(number, 'value')} {said} in {_named(names)} ({first_rows(wrong)})"
            fix = "correct the cell, or empty it if the value is missing"
            found.append(error(what, fix, path=path, row=wrong[0], modality=modality, finding=finding))
    if len(rows) > 1:
        found += same_rows(source, frame, rows)
        parts = _by_columns(frame, rows)
        constant = [
            str(name) for part in parts for name, same in zip(part.columns, _constant(part), strict=True) if same
        ]
        if constant:
            what = f"{count(len(constant), 'column')} constant or all missing: {_named(constant)}"
            found.append(
                warning(
                    what, "leave them out: they say nothing", path=path, modality=modality, finding="constant-columns"
                )
            )
    return found


def _by_columns(frame: pd.DataFrame, rows: NDArray[np.int_]) -> Iterator[pd.DataFrame]:
    """Yield some columns of these rows at a time, so that no more than a few megabytes stand beside a wide table."""
    width = max(1, CELLS_AT_ONCE // max(1, len(rows)))
    for first in range(0, frame.shape[1], width):
        yield frame.iloc[:, first : first + width].iloc[rows]


def _strange(
    frame: pd.DataFrame, rows: NDArray[np.int_], is_strange: Callable[[NDArray[np.float64]], NDArray[np.bool_]]
) -> tuple[list[str], list[int], int]:
    """Return the names of the numeric columns with strange values, the rows of a file that hold one, and how many."""
    names: list[str] = []
    hit, number = np.zeros(len(rows), dtype=bool), 0
    for part in _by_columns(frame, rows):
        numbers = part.select_dtypes(exclude="object")
        strange = is_strange(numbers.to_numpy(dtype=np.float64))
        names += [str(numbers.columns[int(place)]) for place in np.flatnonzero(strange.any(axis=0))]
        hit |= strange.any(axis=1)
        number += int(strange.sum())
    return names, (np.sort(rows[hit]) + 2).tolist(), number


def _constant(frame: pd.DataFrame) -> NDArray[np.bool_]:
    """(C,) True for columns with at most one value beside missing ones."""
    text = np.array([str(kind) == "object" for kind in frame.dtypes], dtype=bool)
    found = np.zeros(len(text), dtype=bool)
    numbers = frame.iloc[:, ~text].to_numpy(dtype=np.float64)
    missing = np.isnan(numbers)
    low, high = np.where(missing, np.inf, numbers).min(axis=0), np.where(missing, -np.inf, numbers).max(axis=0)
    found[~text] = (low == high) | missing.all(axis=0)
    found[text] = [pd.Series(frame.iloc[:, int(k)]).nunique(dropna=True) <= 1 for k in np.flatnonzero(text)]
    return found


def _bag_problems(bags: Bags, modality: str, path: str | None, file_rows: NDArray[np.int_]) -> list[Problem]:
    try:
        shapes, found = read_shapes(bags)
    except Unsupported as fault:
        return [
            error(
                str(fault), "or write the bags as .npy files", path=path, modality=modality, finding="missing-package"
            )
        ]
    readable = shapes[:, 1] >= 0
    if readable.any():
        widths, sizes = np.unique(shapes[readable, 1], return_counts=True)
        odd = readable & (shapes[:, 1] != widths[np.argmax(sizes)])
        if odd.any():
            wrong = np.sort(file_rows[odd])
            what = f"{count(len(wrong), 'bag')} not {widths[np.argmax(sizes)]:,} wide as most are"
            fix = "encode all of them with the same encoder"
            what = f"{what} ({first_rows(wrong.tolist())})"
            found.append(error(what, fix, path=path, row=int(wrong[0]), modality=modality, finding="ragged-bags"))
    if np.prod(shapes[readable].astype(float), axis=1).sum() <= MOST_BAG_VALUES:
        strange, damaged = [], list[Problem]()
        for i in np.flatnonzero(readable).tolist():
            try:
                if not all_finite(bags[i]):
                    strange.append(int(file_rows[i]))
            except CohortError as fault:  # only its header is sound
                damaged += fault.problems
        found += _collected(damaged, "error")
        if strange:
            strange.sort()
            what = f"{count(len(strange), 'bag')} with values that are not finite ({first_rows(strange)})"
            found.append(
                error(what, "encode them again", path=path, row=strange[0], modality=modality, finding="not-finite")
            )
    return found


def read_shapes(bags: Bags) -> tuple[NDArray[np.int_], list[Problem]]:
    """Read the (n, 2) number of tokens and width of each bag, -1 where unreadable, and the problems of those bags.

    The problems are warnings, since an unreadable bag counts as absent, or errors if no bag can be read.

    Raises:
        Unsupported: the package that reads the files is missing.
    """
    shapes = np.full((len(bags), 2), -1)
    broken: list[Problem] = []
    for i in range(len(bags)):
        try:
            shapes[i] = bags.shape(i)
        except CohortError as fault:
            broken += fault.problems
    return shapes, _collected(broken, "warning" if len(broken) < len(bags) else "error")


def _collected(problems: list[Problem], severity: Severity) -> list[Problem]:
    """Merge the problems of files broken in the same way into one, with a count."""
    found = []
    absent = ": taken as absent" if severity == "warning" else ""
    for what in dict.fromkeys(problem.what for problem in problems):
        alike = sorted((p for p in problems if p.what == what), key=lambda p: p.row or 0)
        rows = [p.row for p in alike if p.row]
        many = f" in {count(len(alike), 'file')} ({first_rows(rows)})" if len(alike) > 1 else ""
        first = alike[0]
        found.append(
            Problem(severity, first.row, first.modality, first.path, what + many + absent, first.fix, first.finding)
        )
    return found


def patient_problems(cohort: Cohort, *, complete: bool) -> list[Problem]:
    """Report modalities that no patient has, and patients without any modality, a group or a site.

    `complete` is False if a modality could not be opened; patients without any modality are then not reported. A
    modality that no patient has is an error if any outcome is known; patients to predict may all lack one.
    """
    found = []
    if cohort.outcome is not None and cohort.outcome.known.any():
        for m, name in enumerate(cohort.modalities):
            if not cohort.present[:, m].any():
                fix = "compare its identifiers with those of the patients, or take the modality out"
                path = cohort.sources[name].path
                found.append(error("no patient has it", fix, path=path, modality=name, finding="modality-of-nobody"))
    bare = cohort.pattern() == ""
    if complete and bare.any() and cohort.modalities:
        fix = "they cannot be predicted: leave them out"
        found.append(patients_problem(cohort, bare, "without any modality", fix, "without-modality"))
    for labels, key in ((cohort.group, "group"), (cohort.site, "site")):
        if labels is not None and (labels == "").any():
            fix = f"fill in the column: a patient without a {key} counts as one of its own"
            found.append(patients_problem(cohort, labels == "", f"without a {key}", fix, f"without-{key}"))
    return found


def _named(columns: list[str], shown: int = 5) -> str:
    return ", ".join(f"'{column}'" for column in columns[:shown]) + (" ..." if len(columns) > shown else "")
