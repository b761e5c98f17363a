"""Tables on disk, of whatever format: the header is read at once, the body on first use."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort.annotated_file import ANNOTATED, Annotated, AnnotatedError, read_annotated
from chiasm.cohort.cells import as_cells, as_text, tidy
from chiasm.cohort.dialect import ROW_NAMES, Form
from chiasm.cohort.genotypes import GENOTYPES, read_genotypes
from chiasm.cohort.grid import Grid, GridError, stands_twice
from chiasm.cohort.held_back import without_rows
from chiasm.cohort.meeting import counts_rows
from chiasm.cohort.record_folder import holds_records, read_records
from chiasm.cohort.spreadsheet import SPREADSHEETS, read_spreadsheet
from chiasm.cohort.statistics_file import STATISTICS, read_statistics
from chiasm.cohort.table_bytes import require_bounded, require_bounded_parquet
from chiasm.cohort.text_table import SPELT_NAN, TextTable
from chiasm.errors import CohortError, Problem, error, warning
from chiasm.limits import PATIENTS, LimitError

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
ANNOTATED_SUFFIXES = (".h5ad", ".h5mu")
COLUMNS_AT_ONCE = 64
SUBJECT = "subject_id"
HIDDEN = "__index_level_"  # columns of a Parquet file in which pandas writes an index without a name
NO_NAMES = (ROW_NAMES, "Unnamed: 0", "...1")
UNNAMED = (*NO_NAMES, "X", "rownames")
INSTEAD = {  # what is not read, and what to write instead
    ".xls": "save it as .xlsx", ".xlsb": "save it as .xlsx", ".ods": "save it as .xlsx",
    ".rds": "write it as Parquet or CSV in R", ".rdata": "write it as Parquet or CSV in R",
    ".feather": "write it as Parquet", ".pkl": "write it as Parquet: a pickle can run code when it is read",
}  # fmt: skip


class Table:
    """A table of text, Parquet, a spreadsheet, a statistics program or an annotated matrix, as `name` in messages.

    A folder is a MEDS dataset, `data/**/*.parquet` with `subject_id`, `time`, `code` and `numeric_value`, or holds the
    tables of OMOP or MIMIC, which are read to the same columns. The columns of an H5AD file, or of a modality of an
    H5MU file (`x.h5mu:rna`), are its index (`obs_names` where it has no name), those of obs, and the features of X.
    """

    def __init__(self, path: Path, name: str, form: Form | None = None) -> None:
        annotated = ANNOTATED.fullmatch(name)
        self.path = path
        self._modality = annotated["modality"] if annotated else None
        if self._modality is not None:
            self.path = path.with_name(path.name.removesuffix(f":{self._modality}"))
        self._holds_genotypes = name.lower().endswith(GENOTYPES)
        self._holds_records = holds_records(self.path)
        self.is_annotated = annotated is not None or self._holds_genotypes or self._holds_records
        self.is_grid = name.lower().endswith((*SPREADSHEETS, *STATISTICS))
        self.form = form or Form()
        self.name = name if self.form.sheet is None else f"{name}:{self.form.sheet}"
        self.is_folder = not self.is_annotated and self.path.is_dir()
        self.is_parquet = self.is_folder or name.lower().endswith(".parquet")
        self._frame: pd.DataFrame | None = None
        self._opened: tuple[int, int] | None = None
        self._hidden: NDArray[np.int_] = np.zeros(0, dtype=int)

    def inspect(self) -> None:
        """Raise CohortError if the file is missing, empty, binary or of a kind that is not read."""
        if self.is_folder:
            if not self.shards:
                self._refuse("the folder holds no data/*.parquet", "name the folder of a MEDS dataset, or a file")
            if any(not shard.resolve().is_relative_to(self.path.resolve()) for shard in self.shards):
                self._refuse("a shard is a link out of the folder", "copy the shard into the dataset")
            self._require_bounded()
            self._opened = self._state()
            return
        if self._holds_records:
            self._opened = self._state()
            _ = self._annotated  # is read here, so that what is wrong is told on opening
            return
        named = self.path.name.lower()
        if not self.is_annotated and not self.is_grid and not named.endswith(SUFFIXES):
            known = ", ".join((*SUFFIXES, *SPREADSHEETS, *STATISTICS, *ANNOTATED_SUFFIXES, *GENOTYPES))
            fix = next(
                (own for ending, own in INSTEAD.items() if named.endswith(ending)), f"write it as one of {known}"
            )
            self._refuse("is not a kind of table that is read", fix)
        if self.form.sheet is not None and not named.endswith(SPREADSHEETS):
            self._refuse("is no workbook, and has no sheets", "take `sheet` out, or name a workbook")
        if not self.path.is_file():
            self._refuse("there is no such file", "correct the path, which is relative to the manifest")
        if self.path.stat().st_size == 0:
            self._refuse("the file is empty", "write the table again")
        if self.is_annotated and not self.path.resolve().is_relative_to(self.path.parent.resolve()):
            self._refuse("is a link to a file outside its folder", "copy the file itself")
        self._require_bounded()
        self._opened = self._state()
        if twice := stands_twice(self.columns):
            self._refuse(*twice)

    def _require_bounded(self) -> None:
        """Refuse a file over a limit, before anything of it is parsed."""
        try:
            if self.is_parquet:
                for shard in self.shards:
                    require_bounded_parquet(shard)
            elif not self.is_annotated and not self.is_grid:
                require_bounded(self.path, self.path.name.lower().endswith(".gz"))
        except LimitError as fault:
            self._refuse(fault.what, fault.fix)

    @cached_property
    def shards(self) -> list[Path]:
        """Parquet files of a MEDS folder, or the file itself."""
        return sorted((self.path / "data").rglob("*.parquet")) if self.is_folder else [self.path]

    @cached_property
    def columns(self) -> list[str]:
        """Column names from the header."""
        if self.is_annotated:
            return [str(name) for name in self._annotated.frame.columns]
        if self.is_parquet:
            try:
                schema = pq.read_schema(self.shards[0])
                _ = schema.pandas_metadata  # JSON, which may be damaged too
            except (pa.ArrowException, ValueError, OSError):
                self._refuse("is not a Parquet file", "write the table again")
            names = [name for name in schema.names if not name.startswith(HIDDEN)]
            return [*names, *([self._counted["name"]] if self._counted else [])]
        return list(self._grid.columns) if self.is_grid else self._text.columns

    @cached_property
    def _text(self) -> TextTable:
        """The text of the file, or the columns of text of a table of cells, which are read by the same rules."""
        if self.is_grid:
            return TextTable(self._grid.as_csv(), self.name, self.form, tuple(self._grid.words))
        return TextTable(self.path, self.name, self.form)

    @cached_property
    def _grid(self) -> Grid:
        """The cells of a spreadsheet or a statistics program."""
        try:
            read = read_spreadsheet if self.path.name.lower().endswith(SPREADSHEETS) else read_statistics
            return read(self.path, self.form)
        except GridError as fault:
            self._refuse(fault.what, fault.fix, fault.row)
        except LimitError as fault:
            self._refuse(fault.what, fault.fix)

    @property
    def findings(self) -> list[Problem]:
        """Warnings about how the file was read."""
        notes = self._grid.notes if self.is_grid else self._annotated.notes if self.is_annotated else ()
        return [warning(own.what, own.fix, path=self.name, row=own.row, finding=own.finding) for own in notes]

    @cached_property
    def _index(self) -> list[Any]:
        """What pandas wrote as the index of a Parquet file: names of columns, or the start and step of a range."""
        if not self.is_parquet or self.is_folder:
            return []
        return list((pq.read_schema(self.path).pandas_metadata or {}).get("index_columns", []))

    @cached_property
    def _counted(self) -> dict[str, Any] | None:
        """The index of a Parquet file that has a name and only counts, of which no column is written."""
        ranges = [own for own in self._index if isinstance(own, dict) and own.get("name")]
        return ranges[0] if len(ranges) == 1 and not self.is_folder else None

    def key(self, wanted: str) -> str:
        """Name of the identifier column: `wanted`, or else the subject of MEDS, or the index of a matrix or a frame.

        A column of names of rows that no header names, as R and pandas write it, is the identifier unless it only
        counts the rows.
        """
        if wanted in self.columns:
            return wanted
        if self.is_folder:
            return SUBJECT
        if self.is_annotated:
            return self._annotated.index
        return wanted if self._row_names is None else self._row_names

    @cached_property
    def _row_names(self) -> str | None:
        """The one column of names of rows that no header names, where these do more than count the rows."""
        unnamed = [own for own in self._index if isinstance(own, str) and own.startswith(HIDDEN)]
        if not self.is_parquet and self.columns[0] in UNNAMED:
            unnamed = self.columns[:1]
        return unnamed[0] if len(unnamed) == 1 and not counts_rows(self.texts(unnamed[0])) else None

    @property
    def unnamed_counts(self) -> bool:
        """True if a column without a name stands where the identifiers do, and only counts the rows."""
        if self.is_parquet or self.is_annotated:
            return any(isinstance(own, dict) or str(own).startswith(HIDDEN) for own in self._index)
        return self.columns[0] in UNNAMED

    def columns_of(self, kind: str, key: str) -> list[str]:
        """Default columns of a modality: all but the key; for an annotated matrix, X if the kind is omics, else obs."""
        if not self.is_annotated:
            spare = () if self.is_parquet else NO_NAMES  # the rows' own numbers or names, as pandas and R write them
            return [column for column in self.columns if column != key and column not in spare]
        if self._holds_records and kind != "events":
            self._refuse("holds the events of patients", 'write kind = "events"')
        features = dict.fromkeys(self._annotated.features)
        several = self.name.lower().endswith(".h5mu")  # MuData without the name of a modality: observations alone
        if kind == "omics" and not features and not several:
            self._refuse("the file holds no X: layers and raw are not read", "put the values into X")
        if self._holds_genotypes and kind != "omics":
            self._refuse("holds genotypes, which are read as numbers", 'write kind = "omics", or name columns')
        own = list(features) if kind == "omics" else [name for name in self.columns if name not in features]
        return [column for column in own if column not in (key, self._annotated.index)]

    @cached_property
    def _annotated(self) -> Annotated:
        try:
            if self._holds_records:
                return read_records(self.path)
            if self._holds_genotypes:
                return read_genotypes(self.path, self.form)
            return read_annotated(self.path, self._modality)
        except (AnnotatedError, GridError, LimitError) as fault:
            self._refuse(fault.what, fault.fix)

    def hide(self, rows: NDArray[np.int_]) -> None:
        """Read these rows as empty from now on: a sealed test set stands in them. Identifiers (`texts`) stay."""
        if np.array_equal(rows, self._hidden):
            return
        self._hidden = rows
        self._frame = None

    def texts(self, column: str) -> NDArray[np.str_]:
        """Read a column as `texts_of` does."""
        return self.texts_of([column])[column]

    def texts_of(self, columns: Sequence[str]) -> dict[str, NDArray[np.str_]]:
        """Read columns as text, "" where missing, in one go; in a CSV never parsed as a number first.

        Identifiers and groups are read so, of hidden rows too: one whose codes have labels, which may be surnames, is
        read by its codes.
        """
        coded = {name: own for name in columns if (own := self.codes(name)) is not None}
        written = self._written([name for name in columns if name not in coded])
        return {name: as_text(own) for name, own in (coded | written).items()}

    def codes(self, column: str) -> pd.Series[Any] | None:
        """Codes of a column in which the words of labels stand for them; None for any other column."""
        if column not in self.labelled:
            return None
        return pd.Series(self._grid.codes[column]).iloc[: len(self)]

    def cells(self, column: str) -> NDArray[np.object_]:
        """Read a column as `cells_of` does."""
        return self.cells_of([column])[column]

    def cells_of(self, columns: Sequence[str]) -> dict[str, NDArray[np.object_]]:
        """Read columns as text in objects, for notes and other long texts; of codes with labels, the labels."""
        found = {name: as_cells(own) for name, own in self._written(columns).items()}
        for cells in found.values():
            cells[self._hidden] = ""
        return found

    def _written(self, columns: Sequence[str]) -> dict[str, pd.Series[Any]]:
        names = list(dict.fromkeys(columns))
        if self.is_parquet or self.is_annotated:
            frame = self._annotated.frame if self.is_annotated else self._stored(names)
            return {name: frame[name] for name in names}
        texts = [name for name in names if not self.is_grid or name in self._grid.words]
        held = self._text.written(texts) if texts else pd.DataFrame()
        whole = {name: held[name] if name in held else pd.Series(self._grid.columns[name]) for name in names}
        return {name: column.iloc[: len(self)] for name, column in whole.items()}

    def frame(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Read columns in the given order; a CSV is read once and cached, a Parquet file only for these columns."""
        wanted = self.columns if columns is None else columns
        if self._frame is None and self.is_annotated:
            self._frame = without_rows(self._annotated.frame, self._hidden)
        if self._frame is not None:
            return self._frame[wanted]
        if not self.is_parquet:
            frame = self._with_numbers() if self.is_grid else self._text.parsed()
            filled = np.flatnonzero(frame.notna().to_numpy().any(axis=1))
            frame = frame.iloc[: filled[-1] + 1 if len(filled) else 0]  # blank lines at the end are not rows
            again = self._text.parsed_without if not self.is_grid or self._grid.words else None
            self._frame = without_rows(frame, self._hidden, again)
            return self._frame[wanted]
        return without_rows(self._stored(wanted), self._hidden)

    def _stored(self, wanted: list[str]) -> pd.DataFrame:
        """Read columns of a Parquet file."""
        if self._opened is not None and self._state() != self._opened:
            self._refuse("the file has changed since the cohort was opened", "open the cohort again")
        try:
            written = [name for name in wanted if not (self._counted and name == self._counted["name"])]
            parts = [pq.ParquetFile(shard).read(columns=written) for shard in self.shards]
            frame = pa.concat_tables(parts).to_pandas(ignore_metadata=True, coerce_temporal_nanoseconds=False)
            if self._counted and len(written) < len(wanted):
                first, step = int(self._counted["start"]), int(self._counted["step"])
                frame = pd.DataFrame(frame, index=range(len(self)))
                frame[self._counted["name"]] = first + step * np.arange(len(self))
            if written and len(frame) != len(self):  # the header announces another number of rows
                raise ValueError
            return pd.DataFrame(frame)[wanted]
        except (pa.ArrowException, ValueError, OSError):
            self._refuse("the Parquet file is damaged", "write the table again")

    def has_values(self, columns: list[str]) -> NDArray[np.bool_]:
        """(n,) True for rows that hold anything in these columns; reads only as many columns as needed to tell."""
        step = COLUMNS_AT_ONCE if self.is_parquet else max(len(columns), 1)
        found = np.zeros(len(self), dtype=bool)
        for start in range(0, len(columns), step):
            block = self.frame(columns[start : start + step])
            found |= tidy(block).notna().to_numpy().any(axis=1)
            if found.all():
                break
        return found

    def __len__(self) -> int:
        if self.is_parquet:
            return sum(int(pq.read_metadata(shard).num_rows) for shard in self.shards)
        return len(self.frame())

    def require_few(self) -> None:
        """Refuse a table of patients that is longer than a cohort in memory may be; of Parquet the header says so."""
        if len(self) > PATIENTS:
            self._refuse(f"has {len(self):,} rows, over the limit of {PATIENTS:,} patients", "take a sample of them")

    @property
    def labelled(self) -> tuple[str, ...]:
        """Columns in which the words of labels stand for the codes of a statistics program."""
        return tuple(self._grid.codes) if self.is_grid else ()

    def _with_numbers(self) -> pd.DataFrame:
        """Columns of numbers as they are, and those of text as a CSV of them would be read."""
        grid = self._grid
        texts = self._text.parsed() if grid.words else pd.DataFrame(index=range(grid.rows))
        columns = {name: texts.get(name, values) for name, values in grid.columns.items()}
        labels = {name: np.where(grid.columns[name] == "", np.nan, grid.columns[name]) for name in grid.codes}
        return pd.DataFrame({**columns, **labels}, index=range(grid.rows))

    def spelt_missing(self, columns: list[str], *, not_a_number: bool = False) -> list[str]:
        """Columns of text in which a word such as `NA` or `None` is read as a missing value, which it may not be.

        Args:
            columns: names of columns.
            not_a_number: tell of `nan` too, which programs write for a missing number.
        """
        if self.is_parquet or self.is_annotated or self.form.missing is not None:
            return []
        columns = [name for name in columns if not self.is_grid or name in self._grid.words]
        suspects = [name for name in columns if self.frame([name])[name].isna().any()]
        return self._text.spelt_missing(suspects, self._hidden, SPELT_NAN if not_a_number else ())

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    def _refuse(self, what: str, fix: str, row: int | None = None) -> NoReturn:
        raise CohortError([error(what, fix, path=self.name, row=row, finding="broken-table")])
