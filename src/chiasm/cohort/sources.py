"""Sources of a modality's values: columns of a table, or a file for each patient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.bags import Bags
from chiasm.cohort.cells import as_cells, tidy
from chiasm.cohort.column_kinds import Column, columns_of, odd_column
from chiasm.cohort.digests import DIGEST, Digests, as_digests, digest_of
from chiasm.cohort.file_digests import file_digest
from chiasm.cohort.items import Items, Rows, RowsOfPatients
from chiasm.cohort.kinds import CELL, TABLE, has_form
from chiasm.cohort.notation import number
from chiasm.cohort.smiles import molecule_digests
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError, Problem, count, error, first_rows
from chiasm.limits import LimitError

SINGLE = np.finfo(np.float32)
HASHED_ROWS = 4_096  # rows hashed at a time, since hashing copies them


class Source(Protocol):
    """Values of one modality; `rows` are the source's own row numbers, `file_rows` those of the patients' table.

    `known` maps stamps to content digests, where reading the content takes long enough to remember it; else None.
    """

    def values(self, rows: Rows, file_rows: Rows) -> Any: ...
    def digests(self, rows: Rows) -> Digests: ...
    @property
    def columns(self) -> list[str]: ...
    @property
    def path(self) -> str | None: ...
    @property
    def known(self) -> dict[bytes, bytes] | None: ...


class ColumnSource:
    """Source of columns in a table on disk or a frame in memory, read on first use and cached."""

    def __init__(
        self,
        modality: str,
        kind: str,
        table: Table | pd.DataFrame,
        columns: Sequence[str],
        categories: Sequence[str] = (),
    ) -> None:
        self.modality = modality
        self.kind = kind
        self._table = table
        self._columns = list(columns)
        self.categories = tuple(categories)
        self._digests: Digests | None = None
        self.known: dict[bytes, bytes] | None = {} if kind == "molecule" else None  # cache as in `FileSource`

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    @property
    def path(self) -> str | None:
        return self._table.name if isinstance(self._table, Table) else None

    @property
    def table(self) -> Table | None:
        """The table on disk; None for a frame in memory."""
        return self._table if isinstance(self._table, Table) else None

    @property
    def frame_in_memory(self) -> pd.DataFrame | None:
        """The frame that was handed over, all its columns; None for a table on disk."""
        return None if isinstance(self._table, Table) else self._table

    @cached_property
    def declared(self) -> tuple[str, ...]:
        """Columns that are words by declaration: of the manifest, or of labels, whatever these look like."""
        return (*self.categories, *self.labelled)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows, as float64 columns and text columns with NaN where missing."""
        if isinstance(self._table, Table):
            frame = self._table.frame(self._columns)
            words = self._table.cells_of([name for name in self._columns if name in self.declared])
            frame = frame.assign(
                **{name: np.where(frame[name].notna(), cells, np.nan) for name, cells in words.items()}
            )  # codes as they are written: 250.1 is not 250.10
        else:
            frame = self._table if list(self._table.columns) == self._columns else self._table[self._columns]
        odd = odd_column(frame)
        if odd is not None:
            raise CohortError([odd.problem(self.modality, self.path)])
        return tidy(frame, self.declared)

    @cached_property
    def described(self) -> list[Column]:
        """What each column of a table is, with what is wrong with it."""
        return list(columns_of(self.frame, self.declared)) if self.kind == "table" else []

    @property
    def labelled(self) -> list[str]:
        """Columns that hold the words of labels, in a file of a statistics program, and not its codes."""
        own = self._table.labelled if isinstance(self._table, Table) else ()
        return [name for name in self._columns if name in own]

    @property
    def column_problems(self) -> list[Problem]:
        """Errors and warnings about what the columns are."""
        return [own.problem(self.modality, self.path) for own in self.described if own.finding]

    def spelt_missing(self, columns: list[str]) -> list[str]:
        """Columns of these in which a word such as `NA` was read as a missing value."""
        return self._table.spelt_missing(columns) if isinstance(self._table, Table) else []

    @cached_property
    def _block(self) -> pd.DataFrame:
        if self.kind != "omics":
            return self.frame
        if self.text_columns:
            raise CohortError([self.text_problem])
        if self.range_problem is not None:
            raise CohortError([self.range_problem])
        return self.frame.astype(np.float32)

    @cached_property
    def range_problem(self) -> Problem | None:
        """Error with which an omics block is refused whose numbers single precision cannot hold; None if it can."""
        if self.kind != "omics" or self.text_columns:
            return None
        values = self.frame.to_numpy(dtype=np.float64)
        with np.errstate(invalid="ignore"):
            size = np.abs(values)
            vanishing = (size > 0) & (size < SINGLE.tiny)  # a small number becomes zero, a column of them says nothing
            beyond = np.isfinite(values) & (size > SINGLE.max)
            beyond |= vanishing & ~(size >= SINGLE.tiny).any(axis=0)
        if not beyond.any():
            return None
        rows = np.flatnonzero(beyond.any(axis=1)) + 2
        name = str(self.frame.columns[beyond.any(axis=0)][0])
        what = f"{count(int(beyond.sum()), 'value')} too large or too small for single precision, the first in '{name}'"
        return error(
            f"{what} ({first_rows(rows.tolist())})",
            "write the block in another unit, or as logarithms",
            path=self.path,
            row=int(rows[0]),
            modality=self.modality,
            finding="out-of-range",
        )

    @property
    def text_columns(self) -> list[str]:
        """Names of the columns that do not hold numbers, except columns that hold nothing."""
        texts = self.frame.select_dtypes(include="object")
        return [str(name) for name in texts.columns[texts.notna().any(axis=0)]]

    @property
    def text_problem(self) -> Problem:
        """Error with which an omics block that contains text is refused."""
        first = self.text_columns[0]
        column = self.frame[first]
        strange = np.array([number(value) is None for value in column.tolist()]) & column.notna().to_numpy()
        others = f" and {count(len(self.text_columns) - 1, 'other')}" if len(self.text_columns) > 1 else ""
        return error(
            f"column '{first}'{others} is not numeric",
            "an omics block holds numbers only: correct the cell, or leave the column out by `columns`",
            path=self.path,
            row=int(np.flatnonzero(strange)[0]) + 2,
            modality=self.modality,
            finding="text-in-omics",
        )

    def values(self, rows: Rows, file_rows: Rows) -> pd.DataFrame | Items:
        if has_form(self.kind, TABLE):
            return self._block.iloc[rows]
        return self._items(self._texts[rows], rows, file_rows)

    @cached_property
    def _texts(self) -> NDArray[np.object_]:
        """Cells of the single column as they are written, never parsed as numbers first."""
        (column,) = self._columns
        if isinstance(self._table, Table):
            return self._table.cells(column)
        return as_cells(self._table[column])

    def _items(self, values: Any, rows: Rows, file_rows: Rows) -> Items:
        return Items(
            values,
            modality=self.modality,
            kind=self.kind,
            template=self.path,
            file_rows=file_rows if self.path is None else rows + 2,
        )

    def digests(self, rows: Rows) -> Digests:
        """(n,) hash of each row's values, equal for rows of equal values. Each row is hashed once.

        Molecules are hashed by RDKit's canonical SMILES, if installed, so that two spellings count as one molecule.
        """
        if self._digests is None:
            self._digests = np.zeros(len(self._texts if has_form(self.kind, CELL) else self.frame), dtype=DIGEST)
        fresh = np.unique(rows[self._digests[rows] == b""])
        if len(fresh):
            if not self._digests.flags.writeable:  # it was passed to this process in shared memory
                self._digests = self._digests.copy()
            self._digests[fresh] = self._hashed(fresh)
        return self._digests[rows]

    def _hashed(self, rows: Rows) -> Digests:
        if has_form(self.kind, CELL):
            texts = self._texts[rows]
            return as_digests(map(digest_of, texts) if self.known is None else molecule_digests(texts, self.known))
        blocks = (self.frame.iloc[rows[start : start + HASHED_ROWS]] for start in range(0, len(rows), HASHED_ROWS))
        return as_digests(digest for block in blocks for digest in _row_digests(block))


class EventSource(ColumnSource):
    """Source of a table with many rows per patient; a patient's digest covers all of them, in file order."""

    def __init__(
        self, modality: str, kind: str, table: Table | pd.DataFrame, columns: Sequence[str], keys: NDArray[np.str_]
    ) -> None:
        super().__init__(modality, kind, table, columns)
        self._keys = keys

    @cached_property
    def frame(self) -> pd.DataFrame:
        """All rows, with codes as they are written, so that `250.00` keeps its zeros."""
        codes = [name for name in self._columns if name == "code"]
        rest = [name for name in self._columns if name != "code"]
        if isinstance(self._table, Table):
            numbers, texts = self._table.frame(rest), self._table.cells_of(codes)
        else:
            numbers, texts = self._table[rest], {name: as_cells(self._table[name]) for name in codes}
        return numbers.assign(**{name: np.where(text == "", np.nan, text) for name, text in texts.items()})

    @cached_property
    def _positions(self) -> dict[str, Rows]:
        groups = pd.Series(np.arange(len(self._keys))).groupby(self._keys).indices
        return {str(key): np.asarray(rows) for key, rows in groups.items()}

    def values(self, rows: Rows, file_rows: Rows) -> Items:
        """Return a frame for each patient; `rows` are the first of each patient's rows, which stand for all."""
        positions = [self._positions[key] for key in self._keys[rows]]
        return self._items(RowsOfPatients(self.frame, positions), rows, file_rows)

    def _hashed(self, rows: Rows) -> Digests:
        of_row = super()._hashed(np.arange(len(self._keys) if len(rows) else 0))
        return as_digests(digest_of(of_row[self._positions[key]].tobytes()) for key in self._keys[rows])


class FileSource:
    """Source of one file (or folder, or record of several files) per patient; `paths[row]` belongs to row `row`."""

    def __init__(self, modality: str, kind: str, template: str | None, paths: Sequence[Path | NDArray[Any]]) -> None:
        self.modality = modality
        self.kind = kind
        self.path = template
        self._paths = list(paths)
        self.known: dict[bytes, bytes] = {}  # content digests by stamp, which a token store may remember for longer

    @property
    def columns(self) -> list[str]:
        return []

    def item(self, row: int) -> Path | NDArray[Any]:
        """Return the file, folder or record of a row, or its array in memory."""
        return self._paths[row]

    def values(self, rows: Rows, file_rows: Rows) -> Bags | Items:
        found = [self._paths[row] for row in rows]
        if self.kind == "bag":
            return Bags(found, modality=self.modality, template=self.path, file_rows=file_rows.tolist())
        files = [item for item in found if isinstance(item, Path)]  # arrays in memory are bags
        return Items(files, modality=self.modality, kind=self.kind, template=self.path, file_rows=file_rows)

    def digests(self, rows: Rows) -> Digests:
        """(n,) hash of each patient's file content; a file that has not changed since it was read is not read again.

        A file that cannot be opened gets a digest of its own; its reader refuses it.
        """
        return as_digests(self._digest(int(row)) for row in rows)

    def _digest(self, row: int) -> bytes:
        item = self._paths[row]
        if not isinstance(item, Path):
            return digest_of(repr(item.shape).encode() + np.ascontiguousarray(item, dtype=np.float32).tobytes())
        try:
            return file_digest(item, self.known)
        except (OSError, LimitError):
            return digest_of(f"not opened: {row}")


def _row_digests(frame: pd.DataFrame) -> Iterator[bytes]:
    """Yield the digest of each row."""
    words = [str(name) for name, kind in frame.dtypes.items() if kind.kind == "O"]
    frame = tidy(frame, words)  # a column of words stays one, whatever its rows here hold
    numbers = frame.select_dtypes(exclude="object").to_numpy(dtype=np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    numbers[np.isnan(numbers)] = np.nan  # one bit pattern for all NaN
    texts = frame.select_dtypes(include="object").fillna("").to_numpy(dtype=object)
    for own, text in zip(numbers, texts, strict=True):
        yield digest_of(own.tobytes() + "\0".join(map(str, text)).encode("utf-8", "surrogatepass"))
