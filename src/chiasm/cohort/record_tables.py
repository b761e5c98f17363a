"""Tables of a hospital's records, a folder of CSV and Parquet files, read column by column and gathered as events."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.csv as pacsv  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort.grid import GridError, refuse_repeated
from chiasm.cohort.record_cells import identifiers
from chiasm.cohort.record_times import Moments, placed
from chiasm.cohort.table_bytes import require_bounded, require_bounded_parquet
from chiasm.errors import count
from chiasm.limits import EVENT_ROWS, LimitError

SUFFIXES = (".csv", ".csv.gz", ".parquet")
EMPTY = ["", "NA", "NULL", "null", "None", "nan", "NaN", "\\N"]
WORDS = ("NA", "None")  # which may be one
LONGEST_CODE = 256  # of events
FEWER = "cut the tables to the patients of the cohort, or leave one of them out"


@dataclass
class Gathered:
    """Events as they are gathered, and what is left out: table and reason to the number of rows.

    `in_words` counts the events of each table whose value is text, which is not read.
    """

    parts: list[pd.DataFrame] = field(default_factory=list)
    left_out: Counter[tuple[str, str]] = field(default_factory=Counter)
    in_words: Counter[str] = field(default_factory=Counter)
    rows: int = 0

    def add(
        self,
        table: str,
        subject: pd.Series[Any],
        moments: Moments | None,
        code: Sequence[str],
        value: Any = np.nan,
        *,
        odd: Mapping[str, NDArray[np.bool_]] | None = None,
        needs_time: bool = True,
    ) -> None:
        """Add a row for each of `subject` `(n,)`; one without a patient, a code or a time is counted and left out.

        So is one that `odd` marks, reason by reason.
        """
        subjects = identifiers(subject)
        part = pd.DataFrame({"subject_id": subjects, "code": code, "numeric_value": value})
        plain = {own: " ".join(own.split()) for own in part["code"].unique()}
        part["code"] = part["code"].map(plain)
        nameless = {own: len(own) > LONGEST_CODE or not own.isprintable() for own in plain.values()}
        nowhere = np.full(len(part), np.datetime64("NaT", "us"))
        part["time"] = nowhere if moments is None else moments.time.astype("datetime64[us]")
        part["dated"] = np.zeros(len(part), dtype=bool) if moments is None else moments.dated
        part["ends"] = moments is not None and moments.ends
        wrong = {
            "without a patient": (part["subject_id"] == "").to_numpy(),
            "without a code": (part["code"] == "").to_numpy(),
            "with a code that is no name": part["code"].map(nameless).to_numpy(bool),
        }
        if needs_time and moments is not None:
            wrong["with a time that cannot be read"] = moments.odd
            wrong["without a time"] = np.isnat(moments.time)
        wrong.update(odd or {})
        left = np.zeros(len(part), dtype=bool)
        for reason, own in wrong.items():
            self.left_out[table, reason] += int((own & ~left).sum())
            left |= own
        kept = part[~left]
        self.rows += len(kept)
        if self.rows > EVENT_ROWS:
            raise LimitError(f"holds over {EVENT_ROWS:,} events", FEWER)
        if len(kept):
            self.parts.append(kept.assign(numeric_value=kept["numeric_value"].astype(np.float64)))

    def frame(self) -> pd.DataFrame:
        """All events as rows of MEDS, those of a date alone placed among the others of their day."""
        if not self.parts:
            raise GridError("holds no event", "name the folder of the tables of a hospital's records")
        found = placed(pd.concat(self.parts, ignore_index=True))
        return found[["subject_id", "time", "code", "numeric_value"]]

    def said(self) -> str:
        """What is left out, in words; "" if nothing is."""
        some = sorted((key, number) for key, number in self.left_out.items() if number)
        return ", ".join(f"{number:,} of {table} {reason}" for (table, reason), number in some)

    def said_in_words(self) -> str:
        """How many values are text, and not read; "" if none is."""
        return ", ".join(f"{number:,} of {table}" for table, number in sorted(self.in_words.items()) if number)


def tables_in(folder: Path, known: Collection[str]) -> dict[str, Path]:
    """Name of each table, in small letters, to its file; folders one level down are looked through too.

    A folder of the name of a known table, as `measurement` or `measurement.parquet`, holds its parts in Parquet.

    Raises:
        GridError: a table that stands twice, or a link out of the folder.
    """
    found: dict[str, Path] = {}
    entries = sorted(folder.iterdir())
    parted = [own for own in entries if own.is_dir() and own.name.lower().removesuffix(".parquet") in known]
    entries += [own for entry in entries if entry.is_dir() and entry not in parted for own in sorted(entry.iterdir())]
    for path in entries:
        if path not in parted and not (name_of(path) and path.is_file()):
            continue
        name = name_of(path) or path.name.lower()
        if name in found:
            raise GridError(f"holds the table '{name}' twice", "keep one of the two files")
        if any(not own.resolve().is_relative_to(folder.resolve()) for own in (path, *_parts(path))):
            raise GridError(f"its table '{name}' is a link out of the folder", "copy the file itself")
        found[name] = path
    return found


def name_of(path: Path) -> str:
    """Return the name of the table that a file holds, in small letters; "" for a file of another kind."""
    suffix = next((own for own in reversed(SUFFIXES) if path.name.lower().endswith(own)), None)
    return "" if suffix is None else path.name.lower().removesuffix(suffix)


def read_columns(
    path: Path,
    name: str,
    needed: Sequence[str],
    others: Sequence[str] = (),
    *,
    among: Collection[str] | None = None,
    words: Collection[str] = (),
) -> pd.DataFrame:
    """Read columns of a table, by their names in any case; those of `others` that are not there are all missing.

    Cells of text stay text, so that `007` keeps its zeros.

    Args:
        among: what the first needed column, one of identifiers, may hold; other rows are not read into memory.
        words: columns in which `NA` is a word, as where it is the sodium of a laboratory.

    Raises:
        GridError: a damaged table, or one without a needed column.
        LimitError: over a limit.
    """
    try:
        if path.is_dir() or path.name.lower().endswith(".parquet"):
            parts = []
            for part in _parts(path):
                require_bounded_parquet(part)
                written = pq.read_schema(part).names
                refuse_repeated([own.lower() for own in written])
                known = {own.lower(): own for own in written}
                own_part = pq.ParquetFile(part).read(columns=_known(known, name, needed, others))
                parts.append(own_part.rename_columns([own.lower() for own in own_part.column_names]))
            table = pa.concat_tables(parts, promote_options="permissive")
        else:
            packed = path.name.lower().endswith(".gz")
            require_bounded(path, packed)
            with gzip.open(path, "rb") if packed else path.open("rb") as file:
                header = file.readline().decode("utf-8-sig")
            sign = max(",;\t", key=header.count)
            tabs = sign == "\t"  # as the vocabularies of OMOP are handed out
            names = [own.strip().strip('"') for own in header.rstrip("\r\n").split(sign)]
            refuse_repeated([own.lower() for own in names])
            known = {own.lower(): own for own in names}
            wanted = _known(known, name, needed, others)
            table = pacsv.read_csv(
                path,
                read_options=pacsv.ReadOptions(column_names=names, skip_rows=1),
                parse_options=pacsv.ParseOptions(
                    delimiter=sign, quote_char=False if tabs else '"', newlines_in_values=not tabs
                ),
                convert_options=pacsv.ConvertOptions(
                    include_columns=wanted,
                    column_types=dict.fromkeys(wanted, pa.string()),
                    null_values=[""],
                    strings_can_be_null=True,
                ),
            )
        if among is not None:
            first = table.column(0)
            first = pc.replace_substring_regex(first.cast(pa.string()), r"^\s*([0-9]+)\.0+\s*$", r"\1")
            table = table.filter(pc.is_in(first, value_set=pa.array(among, pa.string())))
        frame: pd.DataFrame = table.to_pandas(integer_object_nulls=True)  # as floats, long identifiers would change
    except LimitError as fault:
        raise LimitError(f"its table '{name}' {fault.what}", fault.fix) from None
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError):
        raise GridError(f"its table '{name}' is damaged", "write the table again, as UTF-8 where it is text") from None
    frame.columns = [own.lower() for own in frame.columns]
    for column in [own for own in frame.columns if not pd.api.types.is_numeric_dtype(frame[own].dtype)]:
        if not pd.api.types.is_datetime64_any_dtype(frame[column].dtype):
            signs = [own for own in EMPTY if column not in words or own not in WORDS]
            frame[column] = frame[column].mask(frame[column].isin(signs))
    return frame.reindex(columns=[*needed, *others])


def _parts(path: Path) -> list[Path]:
    """Files of a table in Parquet: itself, or those of its folder."""
    return sorted(path.glob("*.parquet")) if path.is_dir() else [path]


def _known(known: dict[str, str], name: str, needed: Sequence[str], others: Sequence[str]) -> list[str]:
    lacking = [own for own in needed if own not in known]
    if lacking:
        raise GridError(f"its table '{name}' has no column '{lacking[0]}'", "write the table again, with its header")
    return [known[own] for own in (*needed, *others) if own in known]


def unread(tables: Sequence[str], read: Sequence[str]) -> str:
    """Say which tables of a folder are not read; "" if all are."""
    others = sorted(set(tables) - set(read))
    more = ", ..." if len(others) > 8 else ""
    return f"{count(len(others), 'table')} not read ({', '.join(others[:8])}{more})" if others else ""
