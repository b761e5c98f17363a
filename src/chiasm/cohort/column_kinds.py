"""What a column of a table is: number, category, date, text, identifier or constant. Nothing is silently a category.

A column is read as numbers where every filled cell is one, in whatever dtype. Where some are and some are not it is an
error with its rows: one `-` among numbers must not make them words. A column of codes that look like numbers is one of
words only where its owner says so, by `categories`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.not_plain import advice_on
from chiasm.cohort.notation import are_about, are_dates, are_marks, are_plain
from chiasm.errors import Problem, Severity, count, first_rows
from chiasm.targets.cells import count_days

KINDS = ("number", "category", "date", "text", "identifier", "constant")
MANY_NUMBERS = 10  # different numbers in a column beyond which they are measurements, however many words stand beside
MANY_LEVELS = 20
FEW_ROWS = 10  # with fewer rows nothing is called an identifier
LONG = 40  # mean length of a free text
WHOLLY = 0.95  # share of different values that makes a column an identifier


@dataclass(frozen=True)
class Column:
    """One column: what it is, and what is wrong with it: the finding, its rows, the words and the advice."""

    name: str
    kind: str
    finding: str = ""
    severity: Severity = "error"
    what: str = ""
    fix: str = ""
    rows: tuple[int, ...] = ()

    def problem(self, modality: str, path: str | None) -> Problem:
        """Return the finding as a problem; rows count as in a spreadsheet."""
        rows = [row + 2 for row in self.rows]
        where = f" in {count(len(rows), 'row')} ({first_rows(rows)})" if rows else ""
        what = f"column '{self.name}' {self.what}{where}"
        return Problem(self.severity, rows[0] if rows else None, modality, path, what, self.fix, self.finding)


UNDATED = "write it as a number, such as days since the first visit or years of age"


def columns_of(frame: pd.DataFrame, categories: Collection[str] = ()) -> Iterator[Column]:
    """Yield what each column of a tidy frame is, in order; `categories` are those that are words by declaration."""
    for position, name in enumerate(map(str, frame.columns)):
        column = frame.iloc[:, position]
        if name in categories:
            yield Column(name, "category")
        elif column.dtype == object:
            yield _of_texts(name, column)
        else:
            yield _of_numbers(name, column.to_numpy(dtype=np.float64))


def odd_column(frame: pd.DataFrame) -> Column | None:
    """Return the first column that holds something else than numbers, words and dates; None if there is none."""
    for position, (name, dtype) in enumerate(zip(map(str, frame.columns), frame.dtypes, strict=True)):
        if dtype.kind != "c" and dtype != np.dtype(
            object
        ):  # a column of numbers is not taken out: there may be thousands
            continue
        column = frame.iloc[:, position]
        if dtype.kind == "c":
            odd = column.notna().to_numpy()
        else:
            odd = np.array([isinstance(value, ODD) for value in column.tolist()], dtype=bool)
        if odd.any():
            what = "holds something that is neither a number nor a word"
            fix = "write one number or word into each cell, or leave the column out by `columns`"
            return Column(name, "text", "unreadable-column", "error", what, fix, tuple(np.flatnonzero(odd).tolist()))
    return None


def _of_numbers(name: str, values: NDArray[np.float64]) -> Column:
    some = values[~np.isnan(values)]
    if not len(some) or (some == some[0]).all():
        return Column(name, "constant")
    if count_days(values):
        what = "holds dates, written as numbers of eight digits"
        return Column(name, "date", "date-column", "error", what, UNDATED)
    if len(some) >= FEW_ROWS and len(some) == len(values):
        steps = np.unique(some)
        if len(steps) == len(some) and some.min() in (0, 1) and (np.diff(steps) == 1).all():
            return Column(name, "identifier", "identifier-column", "warning", "counts the rows: it says nothing", LEAVE)
    return Column(name, "number", *_units(some))


ODD = (list, tuple, dict, set, bytes, complex, np.ndarray, np.complexfloating)
LEAVE = "leave it out by `columns`; in frames make identifiers the index, by set_index"


def _units(some: NDArray[np.float64]) -> tuple[str, Severity, str, str]:
    """Warn of numbers in two narrow groups, one about ten, a hundred or a thousand times the other."""
    nothing: tuple[str, Severity, str, str] = ("", "error", "", "")
    if len(some) < FEW_ROWS or some.min() <= 0 or not np.isfinite(some).all():
        return nothing
    logs = np.sort(np.log10(some))
    if len(np.unique(logs)) < FEW_ROWS:
        return nothing
    gaps = np.diff(logs)
    at = int(gaps.argmax())
    low, high = logs[: at + 1], logs[at + 1 :]
    narrow = max(float(np.ptp(low)), float(np.ptp(high))) < min(0.5, float(gaps[at]))
    factor = float(np.median(high) - np.median(low))
    if not narrow or abs(factor - round(factor)) > 0.15 or not 1 <= round(factor) <= 3:
        return nothing
    what = f"holds two groups of numbers, one about {10 ** round(factor):,} times the other: two units?"
    return "mixed-units", "warning", what, "bring all of them to one unit"


def _of_texts(name: str, column: pd.Series) -> Column:
    codes, levels = pd.factorize(column)
    filled = codes >= 0
    n, texts = int(filled.sum()), [str(level) for level in levels]
    if not n:
        return Column(name, "constant")
    sizes = np.bincount(codes[filled], minlength=len(texts))
    plain, dates = are_plain(texts), are_dates(texts)
    if sizes[dates].sum() > n / 2:
        return Column(name, "date", "date-column", "error", "holds dates or times", UNDATED, _rows(codes, dates))
    about = are_about(texts) & ~dates & ~plain
    some = int(sizes[plain].sum() + sizes[about].sum())
    rest = ~plain & ~about
    many = int(plain.sum()) > MANY_NUMBERS
    if some and (some > n / 2 or many or are_marks([t for t, own in zip(texts, rest, strict=True) if own]).all()):
        what = "holds numbers, and something else than a plain number"
        return Column(name, "number", "numbers-in-text", "error", what, advice_on(texts, sizes), _rows(codes, ~plain))
    if some:
        what = "is read as words, and holds numbers"
        fix = "look whether they are levels; name the column in categories to say so"
        return Column(name, "category", "numbers-among-words", "warning", what, fix, _rows(codes, plain | about))
    return _of_words(name, texts, sizes, codes)


def _of_words(name: str, texts: list[str], sizes: NDArray[np.int_], codes: NDArray[np.int_]) -> Column:
    n = int(sizes.sum())
    if len(texts) == 1:
        return Column(name, "constant")
    warn = partial(Column, name, severity="warning")
    if n >= FEW_ROWS and len(texts) > WHOLLY * n:
        if float(np.mean([len(text) for text in texts])) > LONG:
            fix = 'make it a modality of its own, of kind "text", or leave it out by `columns`'
            return warn("text", finding="text-column", what="holds free text, of which a table reads nothing", fix=fix)
        what = "holds another word for almost every patient, like an identifier: it says nothing"
        return warn("identifier", finding="identifier-column", what=what, fix=LEAVE)
    if len(texts) > MANY_LEVELS:
        what = f"has {len(texts):,} levels, each of which few patients have"
        return warn("category", finding="many-levels", what=what, fix="join rare levels, or leave the column out")
    alike = spelt_alike(texts)
    if alike.any():
        what = "has levels that differ in case, spaces or hyphens alone"
        fix = "spell each level one way"
        return warn("category", finding="spelt-differently", what=what, fix=fix, rows=_rows(codes, alike))
    return Column(name, "category")


def spelt_alike(texts: list[str]) -> NDArray[np.bool_]:
    """`(n,)` True for words that equal an earlier one but for case, spaces, hyphens and underscores."""
    folded = pd.Series(["".join(sign for sign in text.casefold() if sign not in " -_\u00a0") for text in texts])
    return np.asarray(folded.duplicated().to_numpy())


def _rows(codes: NDArray[np.int_], which: NDArray[np.bool_]) -> tuple[int, ...]:
    found = np.flatnonzero((codes >= 0) & np.append(which, False)[codes])
    return tuple(found.tolist())
