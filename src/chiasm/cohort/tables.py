"""Tables on disk (CSV, Parquet, H5AD, H5MU): the header is read at once, the body on first use."""

from __future__ import annotations

import csv
import gzip
import re
import warnings
from collections.abc import Collection
from functools import cached_property
from pathlib import Path
from typing import IO, Any, BinaryIO, NoReturn

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort.annotated_file import ANNOTATED, Annotated, AnnotatedError, read_annotated
from chiasm.cohort.notation import numbers
from chiasm.errors import CohortError, error

SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")
ANNOTATED_SUFFIXES = (".h5ad", ".h5mu")
COLUMNS_AT_ONCE = 64
SUBJECT = "subject_id"
PROBED_BYTES = 65536
MORE_CELLS = "the row has more cells than the header"
CLOSE_IT = "look for a comma or a quotation mark that is not closed"


def as_text(values: pd.Series) -> NDArray[np.str_]:
    """Convert identifiers to text, "" where missing: `007` stays `007`, the number 7.0 becomes `7`."""
    text = as_cells(values)
    return text.astype(str) if len(text) else np.empty(0, dtype="<U1")


def as_cells(values: pd.Series) -> NDArray[np.object_]:
    """Convert cells as `as_text` does, but to objects: one note may be a thousand times longer than the others."""
    missing = values.isna().to_numpy()
    cells = np.empty(len(values), dtype=object)
    cells[:] = [
        "" if absent else str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
        for value, absent in zip(values.tolist(), missing, strict=True)
    ]
    return cells


def index_hours(column: pd.Series[Any]) -> NDArray[np.float64]:
    """(n,) hours from a column, NaN where a cell is not a number."""
    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))


def tidy(frame: pd.DataFrame, categories: Collection[str] = ()) -> pd.DataFrame:
    """Convert numbers and booleans to float64, everything else and `categories` to text, and blank text to missing.

    A column is one of numbers where every filled cell is a number, whatever holds it (objects, text, decimals,
    categories of numbers): one file may write as words what another has as numbers.
    """
    if all(kind == np.float64 for kind in frame.dtypes) and all(isinstance(name, str) for name in frame.columns):
        return frame
    plain: dict[str, NDArray[np.float64] | NDArray[np.object_]] = {}
    for position, name in enumerate(frame.columns):
        column = frame.iloc[:, position]
        read = None if str(name) in categories else _numbers(column)
        if read is not None:
            plain[str(name)] = read
        else:
            cells = as_cells(column)
            plain[str(name)] = np.where(cells == "", np.nan, cells)
    return pd.DataFrame(plain, index=frame.index)


def _numbers(column: pd.Series[Any]) -> NDArray[np.float64] | None:
    """Read a column `(n,)` as numbers, NaN where empty; None if it holds something else."""
    kind = column.dtype
    if kind.kind in "iufb" and not isinstance(kind, pd.CategoricalDtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return None if kind.kind in "cmM" else numbers(column)


class Table:
    """A CSV or Parquet file, or an annotated matrix; `name` is the path as the manifest writes it, used in messages.

    A folder is a MEDS dataset, `data/**/*.parquet` with `subject_id`, `time`, `code` and `numeric_value`. The columns
    of an H5AD file, or of a modality of an H5MU file (`x.h5mu:rna`), are its index (`obs_names` where it has no name),
    those of obs, and the features of X.
    """

    def __init__(self, path: Path, name: str) -> None:
        annotated = ANNOTATED.fullmatch(name)
        self.path = path
        self._modality = annotated["modality"] if annotated else None
        if self._modality is not None:
            self.path = path.with_name(path.name.removesuffix(f":{self._modality}"))
        self.is_annotated = annotated is not None
        self.name = name
        self.is_folder = annotated is None and self.path.is_dir()
        self.is_parquet = self.is_folder or name.lower().endswith(".parquet")
        self._frame: pd.DataFrame | None = None
        self._opened: tuple[int, int] | None = None

    def inspect(self) -> None:
        """Raise CohortError if the file is missing, empty, binary or of a kind that is not read."""
        if self.is_folder:
            if not self.shards:
                self._refuse("the folder holds no data/*.parquet", "name the folder of a MEDS dataset, or a file")
            if any(not shard.resolve().is_relative_to(self.path.resolve()) for shard in self.shards):
                self._refuse("a shard is a link out of the folder", "copy the shard into the dataset")
            self._opened = self._state()
            return
        if not self.is_annotated and not self.name.lower().endswith(SUFFIXES):
            known = ", ".join((*SUFFIXES, *ANNOTATED_SUFFIXES))
            self._refuse("is not a kind of table that is read", f"write it as one of {known}")
        if not self.path.is_file():
            self._refuse("there is no such file", "correct the path, which is relative to the manifest")
        if self.path.stat().st_size == 0:
            self._refuse("the file is empty", "write the table again")
        if self.is_annotated and not self.path.resolve().is_relative_to(self.path.parent.resolve()):
            self._refuse("is a link to a file outside its folder", "copy the file itself")
        self._opened = self._state()
        if len(set(self.columns)) < len(self.columns):
            repeated = pd.Index(self.columns)[pd.Index(self.columns).duplicated()][0]
            self._refuse(f"column '{repeated}' stands twice in the header", "rename one of the two")

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
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError):
                self._refuse("is not a Parquet file", "write the table again")
            hidden = [name for name in (schema.pandas_metadata or {}).get("index_columns", []) if isinstance(name, str)]
            return [name for name in schema.names if not (name in hidden and name.startswith("__index_level_"))]
        with self._open_bytes() as file:
            head = file.read(PROBED_BYTES)
        if b"\0" in head:
            self._refuse("is not text: it holds binary data", "write the table as comma-separated text")
        try:
            with self._open_text() as text:
                header = next(csv.reader(text, delimiter=self._separator), [])
        except (UnicodeDecodeError, csv.Error):
            self._refuse("is not UTF-8 text", "save it again as UTF-8")
        if not any(name.strip() for name in header):
            self._refuse("has no header", "write the names of the columns in the first row")
        return [name.strip() for name in header]

    def key(self, wanted: str) -> str:
        """Name of the identifier column: `wanted`, or else the subject of MEDS or the index of an annotated matrix."""
        if self.is_folder and wanted not in self.columns:
            return SUBJECT
        return wanted if not self.is_annotated or wanted in self.columns else self._annotated.index

    def columns_of(self, kind: str, key: str) -> list[str]:
        """Default columns of a modality: all but the key; for an annotated matrix, X if the kind is omics, else obs."""
        if not self.is_annotated:
            return [column for column in self.columns if column != key]
        features = dict.fromkeys(self._annotated.features)
        own = list(features) if kind == "omics" else [name for name in self.columns if name not in features]
        return [column for column in own if column not in (key, self._annotated.index)]

    @cached_property
    def _annotated(self) -> Annotated:
        try:
            return read_annotated(self.path, self._modality)
        except AnnotatedError as fault:
            self._refuse(fault.what, fault.fix)

    def texts(self, column: str) -> NDArray[np.str_]:
        """Read a column as text, "" where missing; in a CSV never parsed as a number first."""
        return as_text(self._written(column))

    def cells(self, column: str) -> NDArray[np.object_]:
        """Read a column as `texts` does, but as objects, for notes and other long texts."""
        return as_cells(self._written(column))

    def _written(self, column: str) -> pd.Series[Any]:
        if self.is_parquet or self.is_annotated:
            return self.frame([column])[column]
        return self._read_csv([column], dtype=str, keep_default_na=False)[column].iloc[: len(self)]

    def frame(self, columns: list[str] | None = None) -> pd.DataFrame:
        """Read columns in the given order; a CSV is read once and cached, a Parquet file only for these columns."""
        wanted = self.columns if columns is None else columns
        if self._frame is None and self.is_annotated:
            self._frame = self._annotated.frame
        if self._frame is not None:
            return self._frame[wanted]
        if not self.is_parquet:
            frame = self._read_csv(None)
            filled = np.flatnonzero(frame.notna().to_numpy().any(axis=1))
            self._frame = frame.iloc[: filled[-1] + 1 if len(filled) else 0]  # blank lines at the end are not rows
            return self._frame[wanted]
        if self._opened is not None and self._state() != self._opened:
            self._refuse("the file has changed since the cohort was opened", "open the cohort again")
        try:
            parts = [pq.ParquetFile(shard).read(columns=wanted) for shard in self.shards]
            frame = pa.concat_tables(parts).to_pandas(ignore_metadata=True, coerce_temporal_nanoseconds=False)
            return pd.DataFrame(frame)[wanted]
        except (pa.ArrowInvalid, OSError):
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

    def _state(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_size, found.st_mtime_ns

    @property
    def _separator(self) -> str:
        return "\t" if ".tsv" in self.path.name.lower() else ","

    def _open_bytes(self) -> BinaryIO | gzip.GzipFile:
        return gzip.open(self.path, "rb") if self.path.name.lower().endswith(".gz") else self.path.open("rb")

    def _open_text(self) -> IO[str]:
        if self.path.name.lower().endswith(".gz"):
            return gzip.open(self.path, "rt", encoding="utf-8-sig", newline="")
        return self.path.open(encoding="utf-8-sig", newline="")

    def _read_csv(self, columns: list[str] | None, **options: object) -> pd.DataFrame:
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", pd.errors.ParserWarning)
                frame = pd.read_csv(  # type: ignore[call-overload]
                    self.path,
                    sep=self._separator,
                    encoding="utf-8-sig",
                    header=0,
                    names=self.columns,
                    usecols=columns,
                    index_col=False,
                    low_memory=False,
                    skip_blank_lines=False,
                    float_precision=None if options else "round_trip",
                    **options,
                )
            if said:  # the first row is longer than the header, and pandas has cut every row to it
                self._refuse_longer_row()
        except UnicodeDecodeError:
            self._refuse("is not UTF-8 text", "save it again as UTF-8")
        except pd.errors.ParserError as fault:
            line = re.search(r"line (\d+)", str(fault))
            if line is not None:
                self._refuse(MORE_CELLS, CLOSE_IT, int(line.group(1)))
            self._refuse("the rows cannot be told apart", CLOSE_IT)
        except csv.Error:
            self._refuse(MORE_CELLS, CLOSE_IT)
        return pd.DataFrame(frame)

    def _refuse_longer_row(self) -> None:
        """Refuse the first row with content beyond the header; trailing commas alone do not count."""
        with self._open_text() as text:
            for row, cells in enumerate(csv.reader(text, delimiter=self._separator), start=1):
                if any(cell.strip() for cell in cells[len(self.columns) :]):
                    self._refuse(MORE_CELLS, CLOSE_IT, row)

    def _refuse(self, what: str, fix: str, row: int | None = None) -> NoReturn:
        raise CohortError([error(what, fix, path=self.name, row=row, finding="broken-table")])
