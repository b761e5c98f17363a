"""Matrices whose rows are put together from few different ones, as pairs are from drugs and proteins.

Row i is `[table_1[index_1[i]], table_2[index_2[i]], ...]`: each table is kept once, however many patients share a row
of it. A product costs the rows of the tables and a few numbers for each patient, where that of the whole matrix costs
all columns of each patient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]

from chiasm.linear.ridge_cox import Array, checked

Ints = NDArray[np.int_]


@dataclass(frozen=True)
class SharedRows:
    """A matrix `(n, F)` as tables `(U_m, F_m)` and, for each table, the row that each patient takes, `(n,)`."""

    tables: tuple[Array, ...]
    index: tuple[Ints, ...]

    def __len__(self) -> int:
        return len(self.index[0])

    @property
    def shape(self) -> tuple[int, int]:
        """Number of patients and of columns."""
        return len(self), sum(table.shape[1] for table in self.tables)

    def __getitem__(self, rows: NDArray[Any]) -> SharedRows:
        return SharedRows(self.tables, tuple(own[rows] for own in self.index))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        parts = [table[own] for table, own in zip(self.tables, self.index, strict=True)]
        return np.asarray(np.concatenate(parts, axis=1), dtype)

    def __matmul__(self, coef: Array) -> Array:
        """Multiply coefficients `(F, K)`, giving `(n, K)`."""
        parts = np.split(coef, self._bounds)
        products = ((table @ own)[index] for table, own, index in zip(self.tables, parts, self.index, strict=True))
        return np.asarray(sum(products))

    def sum(self, axis: int = 0) -> Array:
        """Sum of each column over the patients, `(F,)`; there is no sum over columns."""
        if axis != 0:
            raise ValueError("rows that patients share are summed over the patients alone")
        return self.across(np.ones((len(self), 1)))[:, 0]

    def mean(self, axis: int = 0) -> Array:
        """Mean of each column over the patients, `(F,)`."""
        return self.sum(axis) / max(1, len(self))

    def across(self, values: Array) -> Array:
        """Multiply the transpose with `values` (n, K), giving `(F, K)`."""
        parts = []
        for table, index in zip(self.tables, self.index, strict=True):
            sums = np.stack([np.bincount(index, own, len(table)) for own in values.T], axis=1)  # (U, K)
            parts.append(table.T @ sums)
        return np.concatenate(parts)

    def gram(self) -> Array:
        """Multiply the transpose with the matrix, giving `(F, F)`."""
        blocks: list[list[Array]] = [[np.zeros(0)] * len(self.tables) for _ in self.tables]
        for a, (left, rows) in enumerate(zip(self.tables, self.index, strict=True)):
            blocks[a][a] = (left * np.bincount(rows, minlength=len(left))[:, None]).T @ left
            for b in range(a + 1, len(self.tables)):
                shape = len(left), len(self.tables[b])
                together = sparse.csr_matrix((np.ones(len(self)), (rows, self.index[b])), shape)
                blocks[a][b] = left.T @ (together @ self.tables[b])
                blocks[b][a] = blocks[a][b].T
        return np.block(blocks)

    def columns(self, chosen: Ints) -> SharedRows:
        """Select columns, given in ascending order."""
        starts = [0, *self._bounds]
        tables = []
        for start, table in zip(starts, self.tables, strict=True):
            own = chosen[(chosen >= start) & (chosen < start + table.shape[1])] - start
            tables.append(table[:, own])
        return SharedRows(tuple(tables), self.index)

    def map(self, change: Callable[[Array], Array]) -> SharedRows:
        """Apply a function of rows to the table of a matrix that has only one."""
        (table,) = self.tables
        return SharedRows((np.asarray(change(table)),), self.index)

    def less(self, mean: Array) -> SharedRows:
        """Subtract a number from each column."""
        parts = np.split(mean, self._bounds)
        return SharedRows(tuple(table - own for table, own in zip(self.tables, parts, strict=True)), self.index)

    @property
    def varies(self) -> NDArray[np.bool_]:
        """`(F,)` True for columns that are not constant over the patients."""
        used = [table[np.unique(own)] for table, own in zip(self.tables, self.index, strict=True)]
        return np.concatenate([np.ptp(table, axis=0) > 0 for table in used])

    @property
    def finite(self) -> bool:
        """True if every number is finite."""
        return all(bool(np.isfinite(table).all()) for table in self.tables)

    @property
    def _bounds(self) -> list[int]:
        return list(accumulate(table.shape[1] for table in self.tables))[:-1]


Rows = Array | SharedRows


def mapped(change: Callable[[Array], Array], x: Rows) -> Any:
    """Apply a function of single rows to a matrix; where patients share rows, to each different row once."""
    return x.map(change) if isinstance(x, SharedRows) else change(x)


def across(x: Rows, values: Array) -> Array:
    """Multiply the transpose of x (n, F) with `values` (n, K)."""
    return x.across(values) if isinstance(x, SharedRows) else np.asarray(x.T @ values)


def gram_of(x: Rows) -> Array:
    """Multiply the transpose of x (n, F) with x."""
    return x.gram() if isinstance(x, SharedRows) else np.asarray(x.T @ x)


def checked_rows(x: Rows, rows: NDArray[Any]) -> Rows:
    """Return x as float64; refuse it unless it is finite and as long as `rows`."""
    if not isinstance(x, SharedRows):
        return checked(x, rows)
    if len(x) != len(rows) or not x.finite:
        raise ValueError("features must be finite, one row a patient: impute or clip them on the training rows first")
    return x


def side_by_side(blocks: Sequence[Rows]) -> Rows:
    """Put matrices of the same patients beside each other; their rows stay shared where those of one are."""
    if not any(isinstance(block, SharedRows) for block in blocks):
        return np.concatenate([np.asarray(block) for block in blocks], axis=1)
    tables: list[Array] = []
    index: list[Ints] = []
    for block in blocks:
        own = block if isinstance(block, SharedRows) else SharedRows((block,), (np.arange(len(block)),))
        tables += own.tables
        index += own.index
    return SharedRows(tuple(tables), tuple(index))
