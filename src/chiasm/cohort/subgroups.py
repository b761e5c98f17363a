"""Declared subgroups of the patients, such as sex: by whom a model is looked at, and which no model reads.

A column of words, or of up to five different numbers (codes), has its own levels. Any other column of numbers is cut
at the edges that its owner states, or else at the tertiles of the cohort's patients, rounded to three digits. An empty
cell is of no level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cells import as_text, tidy
from chiasm.cohort.column_kinds import MANY_LEVELS
from chiasm.errors import Problem, error, warning

Floats = NDArray[np.float64]

CODES = 5
"""Different numbers of a column up to which they are codes and not measurements."""
RESERVED = ("pattern", "everyone")
"""Groupings that a cohort has without declaring them: no column can stand beside them under their name."""
STATED, TERTILES = "stated edges", "tertiles"


@dataclass(frozen=True, eq=False)
class Subgroup:
    """One declared column, and the level of each of the cohort's B patients.

    Args:
        column: its name.
        level: (B,) text, "" where the cell is empty.
        numbers: (B,) the column's numbers, NaN where empty; None for a column of words.
        edges: ascending numbers at which it is cut; empty for one that has its own levels.
        cut: "stated edges", "tertiles", or "" for one that is not cut.
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
        """Levels that a patient has: in the order of their numbers where these are cut, else of the alphabet."""
        there = set(self.level.tolist()) - {""}
        return [name for name in names_between(self.edges) if name in there] if self.edges else sorted(there)

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
        own, cut = tertiles(known), TERTILES
    else:
        own, cut = (), ""
    level = as_text(read) if numbers is None or not own else levels_of(numbers, own)
    found = Subgroup(column, level, numbers, own, cut)
    number = len(found.levels)
    if number > MANY_LEVELS:
        what = f"{where} has {number:,} levels, and {MANY_LEVELS} at most can be told apart"
        return found, [error(what, "join levels in a column of its own", path=path, finding="many-subgroups")]
    if number < 2:
        what = f"{where} has {'one level' if number else 'no filled cell'}"
        return found, [warning(what, "there is nothing to compare", path=path, finding="constant-subgroup")]
    return found, []


def tertiles(known: Floats) -> tuple[float, ...]:
    """Edges at a third and two thirds of these numbers, to three significant digits, those that divide them."""
    edges = sorted({float(f"{edge:.3g}") for edge in np.quantile(known, (1 / 3, 2 / 3))})
    return tuple(edge for edge in edges if (known < edge).any() and (known >= edge).any())


def names_between(edges: Sequence[float]) -> list[str]:
    """Names of the levels that edges make, from the lowest."""
    if not edges:
        return []
    inner = [f"{low:g} to under {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *inner, f"{edges[-1]:g} and over"]


def levels_of(numbers: Floats, edges: Sequence[float]) -> NDArray[np.str_]:
    """(B,) level of each number, which is from its lower edge to under its upper one; "" for a missing one."""
    names = np.array(names_between(edges), dtype=str)
    return np.where(np.isfinite(numbers), names[np.searchsorted(np.asarray(edges), numbers, side="right")], "")


def unfit_edges(
    columns: Sequence[str], edges: Mapping[str, Sequence[float]], targets: Sequence[str], path: str | None
) -> list[Problem]:
    """List what is wrong with declared subgroups by themselves: a column named twice, the target's, strange edges."""
    problems = []
    for column in sorted({name for name in columns if list(columns).count(name) > 1}):
        what = f"the subgroups name column '{column}' twice"
        problems.append(error(what, "name it once", path=path, finding="manifest-value"))
    for column in [name for name in columns if name in targets]:
        what, fix = (
            f"column '{column}' of the subgroups is the target's",
            "name a column that is known before the outcome",
        )
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
