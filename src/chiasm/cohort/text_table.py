"""A table of text: how it is written, its columns as text, and as the numbers and words that they are."""

from __future__ import annotations

import csv
import gzip
import io
import re
import warnings
from dataclasses import replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, BinaryIO, NoReturn

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.dialect import Dialect, DialectError, Form, dialect_of, whole_header
from chiasm.cohort.notation import holds_fractions, with_decimal_commas, without_groups
from chiasm.errors import CohortError, error

SPELT_MISSING = ("NA", "None", "none", "N/A", "n/a", "NULL", "null", "<NA>", "#N/A")
SPELT_NAN = ("nan", "NaN")
PROBED_BYTES = 65536
MORE_CELLS = "the row has more cells than the header"
CLOSE_IT = "look for a comma or a quotation mark that is not closed"


class TextTable:
    """Text of a file, or bytes of UTF-8 with commas and a header of `names`; `name` is the path in messages."""

    def __init__(self, source: Path | bytes, name: str, form: Form, names: tuple[str, ...] = ()) -> None:
        self._source = source
        self._name = name
        self._form = form
        self._own = Dialect("utf-8", ",", 0, names) if isinstance(source, bytes) else None

    @property
    def columns(self) -> list[str]:
        """Column names from the header."""
        return list(self._dialect.names)

    @cached_property
    def _dialect(self) -> Dialect:
        """How the text is written."""
        if self._own is not None:
            return self._own
        with self._open_bytes() as file:
            head = file.read(PROBED_BYTES)
            while not whole_header(head) and (more := file.read(PROBED_BYTES)):  # a header of many columns
                head += more + file.read(len(head))
            cut = bool(file.read(1))
        try:
            usual = "\t" if isinstance(self._source, Path) and ".tsv" in self._source.name.lower() else ","
            return dialect_of(head, self._form, usual, cut)
        except DialectError as fault:
            self._refuse(fault.what, fault.fix)

    def written(self, columns: list[str]) -> pd.DataFrame:
        """Read columns as text, as they are written, "" where a cell stands for a missing value, in one go."""
        texts = self._read_csv(columns, dtype=str, keep_default_na=False)[columns]
        if not self._form.missing:
            return texts
        found: pd.DataFrame = texts.apply(lambda own: own.where(~own.str.strip().isin(self._form.missing), ""))
        return found

    def parsed(self) -> pd.DataFrame:
        """Read the whole text, with numbers as the owner says they are written, or as they cannot but be meant."""
        options: dict[str, object] = {}
        if self._form.missing is not None:
            options = {"keep_default_na": False, "na_values": ["", *self._form.missing]}
        comma = self._form.decimal == ","
        sign = "." if not comma else "," if self._dialect.separator != "," else "\x01"  # quoted ones are read below
        frame = self._read_csv(None, decimal=sign, **options)
        found = self._with_signs(frame)
        if found and self._form.decimal is None and holds_fractions(frame):
            return frame  # commas and points both: the check asks which is the decimal sign
        if not found or self._form.decimal is not None or self._dialect.separator == ",":
            return frame.assign(**found)
        # decimal commas in one column: a point elsewhere groups thousands
        self._form = replace(self._form, decimal=",")
        frame = self._read_csv(None, decimal=",", **options)
        return frame.assign(**self._with_signs(frame))

    def parsed_without(self, columns: list[str], rows: NDArray[np.int_]) -> pd.DataFrame:
        """Read columns again as if these rows had always been blank in them."""
        columns = [name for name in self.columns if name in columns]
        if not columns:
            return pd.DataFrame()
        texts = self._read_csv(columns, dtype=str, keep_default_na=False)
        texts.iloc[rows] = ""
        blank = texts.to_csv(index=False, quoting=csv.QUOTE_ALL).encode("utf-8", "replace")
        return TextTable(blank, self._name, self._form, tuple(columns)).parsed()

    def spelt_missing(self, suspects: list[str], hidden: NDArray[np.int_], also: tuple[str, ...] = ()) -> list[str]:
        """Columns of these in which a word such as `NA` or `None` is read as a missing value, which it may not be.

        Rows that are `hidden` do not count; `also` are more such words.
        """
        if not suspects:
            return []
        texts = self._read_csv(suspects, dtype=str, keep_default_na=False).drop(index=hidden.tolist())
        return [name for name in suspects if texts[name].str.strip().isin((*SPELT_MISSING, *also)).any()]

    def _with_signs(self, frame: pd.DataFrame) -> dict[str, NDArray[np.float64]]:
        """Columns of text that are numbers with decimal commas, or with thousands in groups where that is said."""
        found = {}
        for name in frame.columns[[kind == np.dtype(object) for kind in frame.dtypes]]:
            filled = frame[name].notna().to_numpy()
            texts = [str(text) for text in frame[name][filled]]
            if self._form.decimal == ".":
                values = without_groups(texts)
            else:
                values = with_decimal_commas(texts, told=self._form.decimal == ",")
            if values is not None and len(values):
                found[name] = np.full(len(frame), np.nan)
                found[name][filled] = values
        return found

    def _open_bytes(self) -> BinaryIO | gzip.GzipFile:
        if isinstance(self._source, bytes):
            return io.BytesIO(self._source)
        packed = self._source.name.lower().endswith(".gz")
        return gzip.open(self._source, "rb") if packed else self._source.open("rb")

    def _open_text(self) -> IO[str]:
        return io.TextIOWrapper(self._open_bytes(), encoding=self._dialect.encoding, newline="")

    def _read_csv(self, columns: list[str] | None, **options: object) -> pd.DataFrame:
        try:
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always", pd.errors.ParserWarning)
                frame = pd.read_csv(  # type: ignore[call-overload]
                    io.BytesIO(self._source) if isinstance(self._source, bytes) else self._source,
                    sep=self._dialect.separator,
                    encoding=self._dialect.encoding,
                    header=0,
                    skiprows=self._dialect.skipped,
                    names=self.columns,
                    usecols=columns,
                    index_col=False,
                    low_memory=False,
                    skip_blank_lines=False,
                    float_precision=None if "dtype" in options else "round_trip",
                    **options,
                )
            if said:  # the first row is longer than the header, and pandas has cut every row to it
                self._refuse_longer_row()
        except UnicodeDecodeError:
            self._refuse(
                "is not text in this encoding" if self._form.encoding else "is not UTF-8 text",
                'save it again as UTF-8, or name its encoding, as in encoding = "latin-1"',
            )
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
            rows = islice(csv.reader(text, delimiter=self._dialect.separator), self._dialect.skipped, None)
            for row, cells in enumerate(rows, start=1):
                if any(cell.strip() for cell in cells[len(self.columns) :]):
                    self._refuse(MORE_CELLS, CLOSE_IT, row)

    def _refuse(self, what: str, fix: str, row: int | None = None) -> NoReturn:
        raise CohortError([error(what, fix, path=self._name, row=row, finding="broken-table")])
