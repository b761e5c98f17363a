"""A split that holds out one combination of factors, with the proof that training has each of them, apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import count

Rows = NDArray[np.intp]
FACTORS = ("modality", "area", "task")


@dataclass(frozen=True)
class CompositionalSplit:
    """One combination held out, and two training sets of equal size that do not have it.

    Args:
        held_out: the combination.
        test: rows of the combination, positions in the table.
        related: training rows that share one factor or more with it; together they have each of its factors.
        unrelated: as many training rows that share none.
        free: all rows that may be trained on, those of neither the combination nor a group that is tested.
        dropped: rows left out of training because a row of their group is tested.
        proof: one row a factor: its `value` in the held-out combination; in how many other `combinations` related
            training has it, with how many `related_rows`; `unrelated_rows` with it and rows of the `whole` combination
            in either training set, both 0.
    """

    held_out: tuple[str, ...]
    test: Rows
    related: Rows
    unrelated: Rows
    free: Rows
    dropped: int
    proof: pd.DataFrame

    def __repr__(self) -> str:
        return (
            f"held out {' + '.join(self.held_out)}: {len(self.test):,} rows tested, {len(self.related):,} related and "
            f"{len(self.unrelated):,} unrelated rows to train on"
        )


def compositional_split(
    table: pd.DataFrame,
    held_out: Sequence[str],
    *,
    factors: Sequence[str] = FACTORS,
    size: int | None = None,
    group: str | None = None,
    seed: int = 0,
    unrelated: bool = True,
) -> CompositionalSplit:
    """Hold out one combination of factors, and draw a related and an unrelated training set of equal size.

    A model that generalises by composition learns the held-out combination from others that have its modality, its
    area and its task, each somewhere; the unrelated set, which has none of them, is what it must beat. Related rows are
    drawn so that each factor stands in as many rows as the data allow.

    Source: Med-MAT, arXiv 2412.20070. Deviation: there, training sets differ in size; here they are equal, so that the
    amount of data explains nothing.

    Args:
        table: one row an item, with a column of words for each factor.
        held_out: the value of each factor, in the order of `factors`.
        factors: two columns or more.
        size: rows of each training set; as many as the smaller one has if not given.
        group: column that says who an item is of; nobody is in training who is tested.
        seed: of the draw.
        unrelated: also draw a training set that shares no factor; without one all related rows are trained on.

    Raises:
        ValueError: a factor that the table lacks, or has empty; a combination that no row has; a factor that no other
            combination has, so that nothing could be composed; no row without any of the factors; or too few rows.
    """
    wanted = _require(table, held_out, factors, group)
    words = table[list(factors)].astype(str).to_numpy(dtype=object)  # (n, F)
    same = words == np.array(wanted, dtype=object)
    whole, shared = same.all(axis=1), same.any(axis=1)
    shown = " + ".join(wanted)
    if not whole.any():
        raise ValueError(f"no row is {shown}: hold out a combination that the table has")
    free = ~whole
    if group is not None:
        free &= ~table[group].isin(table[group][whole]).to_numpy()
    dropped = int((~free & ~whole).sum())
    related, strange = np.flatnonzero(free & shared), np.flatnonzero(free & ~shared)
    for k, (factor, value) in enumerate(zip(factors, wanted, strict=True)):
        if not same[related, k].any():
            raise ValueError(
                f"{factor} '{value}' stands in no row beside those of {shown}, so that no training set can have it: "
                "hold out another combination"
            )
    if not unrelated:
        proof = _proof(words, same, factors, wanted, related, strange[:0])
        test, rows_free = np.flatnonzero(whole), np.flatnonzero(free)
        return CompositionalSplit(wanted, test, related, strange[:0], rows_free, dropped, proof)
    if not len(strange):
        raise ValueError(f"every row shares a factor with {shown}: there is nothing unrelated to compare with")
    most = min(len(related), len(strange))
    rows = most if size is None else size
    if not len(factors) <= rows <= most:
        raise ValueError(
            f"training sets of {count(rows, 'row')} each were asked, and there are {len(related):,} related and "
            f"{len(strange):,} unrelated ones: ask for {len(factors)} to {most:,}"
        )
    rng = np.random.default_rng(seed)
    ours = np.sort(related[_each_factor(same[related], rows, rng)])
    theirs = np.sort(rng.permutation(strange)[:rows])
    proof = _proof(words, same, factors, wanted, ours, theirs)
    return CompositionalSplit(wanted, np.flatnonzero(whole), ours, theirs, np.flatnonzero(free), dropped, proof)


def _require(
    table: pd.DataFrame, held_out: Sequence[str], factors: Sequence[str], group: str | None
) -> tuple[str, ...]:
    wanted = tuple(map(str, held_out))
    if len(wanted) != len(factors):
        raise ValueError(f"{count(len(wanted), 'value')} for {len(factors)} factors: give one for each of {[*factors]}")
    require_factors(table, factors, group)
    return wanted


def require_factors(table: pd.DataFrame, factors: Sequence[str], group: str | None = None) -> None:
    """Ask that the table has these columns, two or more, and no empty cell in them.

    Raises:
        ValueError: it has not.
    """
    if len(factors) < 2 or len(set(factors)) < len(factors):
        raise ValueError("a combination has two different factors or more")
    for column in [*factors, *([] if group is None else [group])]:
        if column not in table.columns:
            raise ValueError(f"the table has no column '{column}'; its columns are {list(map(str, table.columns))}")
        empty = table[column].isna() | (table[column].astype(str).str.strip() == "")
        if empty.any():
            raise ValueError(f"column '{column}' is empty in {count(int(empty.sum()), 'row')}: fill or leave out")


def _each_factor(same: NDArray[np.bool_], rows: int, rng: np.random.Generator) -> Rows:
    """Draw rows one by one, each for the factor that stands in fewest of those drawn and has a row left."""
    left = rng.permutation(len(same))
    queues = [left[same[left, k]].tolist() for k in range(same.shape[1])]
    taken = np.zeros(len(same), dtype=bool)
    having = np.zeros(same.shape[1], dtype=int)
    for _ in range(rows):
        for queue in queues:
            while queue and taken[queue[-1]]:
                queue.pop()
        open_ = [k for k, queue in enumerate(queues) if queue]
        row = queues[min(open_, key=lambda k: having[k])].pop()
        taken[row] = True
        having += same[row]
    return np.flatnonzero(taken)


def _proof(
    words: NDArray[np.object_],
    same: NDArray[np.bool_],
    factors: Sequence[str],
    wanted: tuple[str, ...],
    related: Rows,
    unrelated: Rows,
) -> pd.DataFrame:
    whole = int(same[related].all(axis=1).sum() + same[unrelated].all(axis=1).sum())
    rows = []
    for k, (factor, value) in enumerate(zip(factors, wanted, strict=True)):
        own = related[same[related, k]]
        rows.append(
            {
                "factor": factor,
                "value": value,
                "combinations": len(set(map(tuple, words[own].tolist()))),
                "related_rows": len(own),
                "unrelated_rows": int(same[unrelated, k].sum()),
                "whole": whole,
            }
        )
    return pd.DataFrame(rows).set_index("factor")
