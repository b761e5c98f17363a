"""Declared subgroups of the patients, such as sex: by whom a model is looked at, and which no model reads.

A column of words, or of up to five different numbers (codes), has its own levels. Any other column of numbers is cut
at the edges that its owner states, or else at the tertiles of the cohort's patients, rounded as far as they still
divide these. An empty cell is of no level.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cells import as_text, tidy
from chiasm.cohort.column_kinds import MANY_LEVELS
from chiasm.cohort.small_cells import told
from chiasm.errors import Problem, error, warning

Floats = NDArray[np.float64]

CODES = 5
"""Different numbers of a column up to which they are codes and not measurements."""
RESERVED = ("pattern", "everyone")
"""Groupings that a cohort has without declaring them: no column can stand beside them under their name."""
STATED, TERTILES, TERTILE = "stated edges", "tertiles", "a tertile"


@dataclass(frozen=True, eq=False)
class Subgroup:
    """One declared column, and the level of each of the cohort's B patients.

    Args:
        column: its name.
        level: (B,) text, "" where the cell is empty.
        numbers: (B,) the column's numbers, NaN where empty; None for a column of words.
        edges: ascending numbers at which it is cut; empty for one that has its own levels.
        cut: "stated edges", "tertiles", "a tertile" where both are one, or "" for one that is not cut.
    """

    column: str
    level: NDArray[np.str_]
    numbers: Floats | None = None
    edges: tuple[float, ...] = ()
    cut: str = ""

    def __repr__(self) -> str:
        how = f", cut at {self.cut}" if self.cut else ""
        return f"Subgroup '{self.column}': {len(self.levels)} levels{how}"

    @property
    def levels(self) -> list[str]:
        """Levels that a patient has: in the order of their numbers where there are any, else of the alphabet."""
        there = set(self.level.tolist()) - {""}
        if self.edges:
            return [name for name in names_between(self.edges) if name in there]
        if self.numbers is None:
            return sorted(there)
        numbers = dict(zip(self.level.tolist(), self.numbers.tolist(), strict=True))
        return sorted(there, key=lambda name: numbers[name])

    @property
    def told_levels(self) -> list[str]:
        """Levels of five patients or more: of fewer not even the name is told, which is a value of theirs."""
        return [name for name in self.levels if told(int((self.level == name).sum())) is not None]

    def described(self) -> dict[str, Any]:
        """Return what a document says of the column: its levels, whether others are too small, and the cut."""
        named = self.told_levels
        others = len(named) < len(self.levels)
        return {
            "column": self.column, "levels": named, "others": others, "cut": self.cut, "edges": list(self.edges)
        }  # fmt: skip

    def take(self, rows: NDArray[np.int_]) -> Subgroup:
        """Return the same for some patients; the edges stay."""
        return replace(self, level=self.level[rows], numbers=None if self.numbers is None else self.numbers[rows])

    def cut_as(self, other: Subgroup) -> Subgroup:
        """Return the same patients, in levels cut as those of another cohort's column, or in their own text."""
        if not other.edges:
            text = self.level if self.numbers is None else as_text(pd.Series(self.numbers))
            return replace(self, level=text, edges=(), cut="")
        numbers = np.full(len(self.level), np.nan) if self.numbers is None else self.numbers
        return replace(self, level=levels_of(numbers, other.edges), edges=other.edges, cut=other.cut)


def subgroup_of(
    column: str, cells: pd.Series[Any], edges: Sequence[float], path: str | None
) -> tuple[Subgroup, list[Problem]]:
    """Read a declared column, (B,) cells in the order of the patients, with what is wrong with it.

    Args:
        edges: numbers at which it is cut; empty takes its own levels, or tertiles.
        path: the table, for the problems.
    """
    read = tidy(pd.DataFrame({column: cells.reset_index(drop=True)}))[column]
    numbers = read.to_numpy(np.float64) if read.dtype == np.float64 else None
    where = f"column '{column}' of the subgroups"
    if edges and numbers is None:
        found = Subgroup(column, as_text(read))
        what, fix = f"{where} is cut at edges, and does not hold numbers", "take its edges out, or correct its cells"
        return found, [error(what, fix, path=path, finding="subgroup-edges")]
    known = np.zeros(0) if numbers is None else numbers[np.isfinite(numbers)]
    if numbers is not None and edges:
        own, cut = tuple(float(edge) for edge in edges), STATED
    elif numbers is not None and len(np.unique(known)) > CODES:
        own = tertiles(known)
        cut = TERTILES if len(own) > 1 else TERTILE
    else:
        own, cut = (), ""
    level = as_text(read) if numbers is None or not own else levels_of(numbers, own)
    found = Subgroup(column, level, numbers, own, cut)
    number = len(found.levels)
    if number > MANY_LEVELS:
        what = f"{where} has {number:,} levels, and {MANY_LEVELS} at most can be told apart"
        fix = "state fewer edges" if own else "join levels in a column of its own"
        return found, [error(what, fix, path=path, finding="many-subgroups")]
    if number < 2:
        what = f"{where} has {'one level' if number else 'no filled cell'}"
        return found, [warning(what, "there is nothing to compare", path=path, finding="constant-subgroup")]
    return found, []


def tertiles(known: Floats) -> tuple[float, ...]:
    """Edges at a third and two thirds of these numbers, in the fewest digits (three or more) that divide as they do.

    A third that divides nobody, because so many share the lowest number, is cut above that number instead.
    """
    ordered = np.sort(known)
    edges: dict[int, float] = {}  # by the numbers below: two between the same neighbours divide alike
    for edge in np.quantile(ordered, (1 / 3, 2 / 3)).tolist():
        if edge <= ordered[0]:
            edge = float(ordered[np.searchsorted(ordered, ordered[0], side="right")])
        found = rounded(edge, ordered)
        edges.setdefault(int(np.searchsorted(ordered, found)), found)
    return tuple(sorted(edges.values()))


def rounded(edge: float, ordered: Floats) -> float:
    """The edge in the fewest digits, from three on, that move at most one in fifty of these numbers across it."""
    below = int(np.searchsorted(ordered, edge))
    for digits in range(3, 17):
        found = float(f"{edge:.{digits}g}")
        own = int(np.searchsorted(ordered, found))
        if 0 < own < len(ordered) and abs(own - below) * 50 <= len(ordered):
            return found
    return edge


def written_edge(edge: float) -> str:
    """An edge in all its digits: two that differ are never written alike."""
    return np.format_float_positional(edge, trim="-")


def names_between(edges: Sequence[float]) -> list[str]:
    """Names of the levels that edges make, from the lowest."""
    if not edges:
        return []
    named = [written_edge(edge) for edge in edges]
    inner = [f"{low} to under {high}" for low, high in pairwise(named)]
    return [f"under {named[0]}", *inner, f"{named[-1]} and over"]


def levels_of(numbers: Floats, edges: Sequence[float]) -> NDArray[np.str_]:
    """(B,) level of each number, which is from its lower edge to under its upper one; "" for a missing one."""
    names = np.array(names_between(edges), dtype=str)
    return np.where(np.isfinite(numbers), names[np.searchsorted(np.asarray(edges), numbers, side="right")], "")


def given_subgroups(
    subgroups: Sequence[str] | Mapping[str, Sequence[float]],
) -> tuple[list[str], dict[str, list[float]], list[Problem]]:
    """Columns and edges of subgroups as they are given in Python, with what is none: a word by itself, other edges."""
    if isinstance(subgroups, str) or not isinstance(subgroups, Iterable):
        what, fix = "subgroups is no list of columns", "write subgroups=['sex'], or {'age': (50, 65)} with edges"
        return [], {}, [error(what, fix, path="patients", finding="wrong-type")]
    if not isinstance(subgroups, Mapping):
        return list(subgroups), {}, []
    edges, problems = {}, []
    for column, own in subgroups.items():
        listed = None if isinstance(own, str) or not isinstance(own, Iterable) else list(own)
        if listed is None or not all(map(is_number, listed)):
            what = f"the edges of column '{column}' of the subgroups are no list of numbers"
            fix = "write them as in (50, 65), or () for its own levels or tertiles"
            problems.append(error(what, fix, path="patients", finding="wrong-type"))
        elif listed:
            edges[column] = [float(edge) for edge in listed]
    return list(subgroups), edges, problems


def is_number(edge: object) -> bool:
    """True for a real number that is no truth value."""
    return isinstance(edge, int | float | np.integer | np.floating) and not isinstance(edge, bool)


def unfit_edges(
    columns: Sequence[str], edges: Mapping[str, Sequence[float]], targets: Sequence[str], path: str | None
) -> list[Problem]:
    """List what is wrong with declared subgroups by themselves: a column named twice, the target's, strange edges."""
    problems = []
    for column in sorted({name for name in columns if list(columns).count(name) > 1}):
        what = f"the subgroups name column '{column}' twice"
        problems.append(error(what, "name it once", path=path, finding="manifest-value"))
    for column in [name for name in columns if name in targets]:
        what = f"column '{column}' of the subgroups is the target's"
        fix = "name a column that is known before the outcome"
        problems.append(error(what, fix, path=path, finding="target-as-subgroup"))
    for column in [name for name in columns if name in RESERVED]:
        what = f"column '{column}' of the subgroups has the name of a grouping of every cohort"
        problems.append(error(what, "rename the column", path=path, finding="manifest-value"))
    for column, own in edges.items():
        if column not in columns:
            what = f"edges are given for column '{column}', which is none of the subgroups"
            problems.append(error(what, "name it in subgroups too", path=path, finding="manifest-value"))
        elif not len(own) or not np.isfinite(own).all() or any(b <= a for a, b in pairwise(own)):
            what = f"the edges of column '{column}' of the subgroups do not ascend"
            problems.append(error(what, "write them as in [50, 65]", path=path, finding="manifest-value"))
    return problems
