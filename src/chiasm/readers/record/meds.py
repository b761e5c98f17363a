"""Convert MEDS (Medical Event Data Standard), Parquet rows of subject, time, code and value, to hours and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

from chiasm.cohort import Unsupported
from chiasm.readers.reading import LIMITS, Limits, ReadError, check_size
from chiasm.readers.record.conventions import BIRTH, BIRTHS, LONGEST_CODE
from chiasm.readers.registry import missing

HOUR = 3_600_000_000  # microseconds, the resolution of MEDS
COLUMNS = ("subject_id", "time", "code", "numeric_value")
AS_MEDS = "write it as MEDS 0.4: subject_id, time, code, numeric_value"


def read_meds(folder: Path, limits: Limits = LIMITS) -> pd.DataFrame:
    """Read every subject of a MEDS dataset (`data/**/*.parquet`) as a table of events.

    `hours = (time - first) / 1 h`, with `first` the subject's first record with a time that is not the birth, so that
    the birth lies at or below zero and the age at the first record is kept; a birth under another code (`DOB`) counts
    as one here. A static row, which has no time, is put at
    the first record: hours 0. `text_value` and other columns are not read.

    Args:
        folder: root of the dataset, with `data` in it.
        limits: `bytes` bounds all shards on disk, and each one decoded; `values` bounds the rows.

    Returns:
        A frame with `id` (text), `hours` (float64), `code` (text) and `numeric_value` (float32, NaN where none), one
        row per event, sorted by subject, hours, code and value.

    Raises:
        ReadError: no shard, a shard that is not MEDS, a subject in two shards, a link out of the folder, over a limit.
        Unsupported: the package meds is missing.
    """
    return since_first_record(read_rows(folder, limits))


def read_rows(folder: Path, limits: Limits = LIMITS) -> pd.DataFrame:
    """Read the rows of every subject of a MEDS dataset as they are, by their times. Raises as `read_meds` does."""
    data = folder / "data"
    shards = sorted(data.rglob("*.parquet")) if data.is_dir() else []
    if not shards:
        raise ReadError("the folder holds no data/*.parquet", "name the folder of a MEDS dataset")
    if any(not shard.resolve().is_relative_to(data.resolve()) for shard in shards):
        raise ReadError("a shard is a link out of the folder", "copy the shard into the dataset")
    check_size(data, limits)
    parts, seen, rows = [], set[int](), 0
    for shard in shards:
        part = _read_shard(shard, limits, limits.values - rows)
        own = set(part["subject_id"].unique().tolist())
        if seen & own:
            raise ReadError("a subject stands in two shards", "MEDS keeps a subject in one shard: merge them")
        seen |= own
        rows += len(part)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def read_subject(path: Path, limits: Limits = LIMITS) -> pd.DataFrame:
    """Read the events of the only subject of a MEDS Parquet file, in the form of `read_meds`. Raises as it does."""
    check_size(path, limits)
    rows = _read_shard(path, limits, limits.characters)
    if rows["subject_id"].nunique() > 1:
        raise ReadError("the file holds several subjects", "name the MEDS folder as a table, or write a file a patient")
    return since_first_record(rows)


def since_first_record(rows: pd.DataFrame) -> pd.DataFrame:
    """Replace the times of MEDS rows by hours; see `read_meds`."""
    time = rows["time"].to_numpy("datetime64[us]")
    timed = ~np.isnat(time)
    subject, ids = pd.factorize(rows["subject_id"], sort=True)
    births = [code for code in rows["code"].unique() if isinstance(code, str) and code.upper() in (BIRTH, *BIRTHS)]
    counted = timed & ~rows["code"].isin(births).to_numpy(bool)
    none = np.iinfo(np.int64).max
    first, born = np.full(len(ids), none), np.full(len(ids), none)
    stamps = time.astype(np.int64)
    np.minimum.at(first, subject[counted], stamps[counted])
    np.minimum.at(born, subject[timed], stamps[timed])
    first = np.where(first == none, born, first)
    hours = np.where(timed, np.where(timed, stamps - first[subject], 0) / HOUR, 0.0)
    values = rows["numeric_value"].to_numpy(np.float32)
    place, names = pd.factorize(rows["code"], sort=True)  # -1 where there is none: these come last
    order = np.lexsort((values, np.where(place < 0, len(names), place), hours, subject))
    return pd.DataFrame(
        {
            "id": np.array([str(name) for name in ids], object)[subject[order]],
            "hours": hours[order],
            "code": rows["code"].to_numpy(object)[order],
            "numeric_value": values[order],
        }
    )


def to_meds(events: pd.DataFrame, start: Any) -> pd.DataFrame:
    """Convert a table of events to MEDS rows: the inverse of `read_meds`, except that static rows get a time.

    Args:
        events: `id` (whole numbers, or text of them), `hours`, `code` and, if there is one, `numeric_value`.
        start: moment (UTC) of hour 0: a datetime for all, or a mapping of `id` to one.

    Returns:
        `subject_id` (int64), `time` (datetime64[us]), `code` and `numeric_value` (float32), sorted by subject and time.

    Raises:
        ValueError: an `id` is not a whole number, which MEDS asks for; a subject has no start.
    """
    try:
        subject = events["id"].astype(str).astype(np.int64)
    except (ValueError, OverflowError):
        raise ValueError("MEDS subjects are whole numbers: number the patients, and keep the list apart") from None
    starts = events["id"].map(start) if isinstance(start, Mapping) else pd.Series(start, index=events.index)
    if starts.isna().any():
        raise ValueError("a subject has no start: give the moment of hour 0 of every subject")
    begin = pd.to_datetime(starts).to_numpy("datetime64[us]")
    microseconds = np.rint(events["hours"].to_numpy(np.float64) * HOUR).astype(np.int64)
    values = events.get("numeric_value", pd.Series(np.nan, index=events.index))
    rows = pd.DataFrame(
        {"subject_id": subject, "time": begin + microseconds.astype("timedelta64[us]"), "code": events["code"]}
    ).assign(numeric_value=np.asarray(values, np.float32))
    return rows.sort_values(["subject_id", "time"], kind="stable").reset_index(drop=True)


def write_meds(rows: pd.DataFrame, folder: Path) -> Path:
    """Write MEDS rows as a dataset of one shard, and return its path.

    Raises:
        ReadError: the rows are not MEDS.
        FileExistsError: the folder has data already.
        Unsupported: the package meds is missing.
    """
    ordered = rows.sort_values(["subject_id", "time"], kind="stable", na_position="first")
    table = _conform(pa.Table.from_pandas(ordered[list(COLUMNS)], preserve_index=False))
    (folder / "data").mkdir(parents=True)
    shard = folder / "data" / "0.parquet"
    pq.write_table(table, shard)
    return shard


def _read_shard(path: Path, limits: Limits, most: int) -> pd.DataFrame:
    """Read a Parquet file as MEDS rows; codes stay a dictionary until their length is known."""
    try:
        names = [name for name in COLUMNS if name in pq.read_schema(path).names]
        # Codes are read as a dictionary: one long text that a million rows point to is kept once.
        coded = [name for name in names if name == "code"]
        with pq.ParquetFile(path, read_dictionary=coded, page_checksum_verification=True) as file:
            announced = file.metadata.num_rows
            groups = list(map(file.metadata.row_group, range(file.metadata.num_row_groups)))
            size = sum(group.total_byte_size for group in groups)
            if size > limits.bytes:  # of which other columns may be most; a damaged one ends the process in pyarrow
                places = [k for k, name in enumerate(file.schema.names) if name in COLUMNS]
                size = sum(group.column(k).total_uncompressed_size for group in groups for k in places)
            if announced > most or size > limits.bytes:
                raise ReadError(
                    f"the header announces {announced:,} events and {size:,} bytes, over the limit",
                    "check the file, or leave frequent events out",
                )
            table = file.read(columns=names, use_threads=False)
        if table.num_rows > most:
            raise ReadError("the file holds more events than its header says", "write the file again")
        rows: pd.DataFrame = _conform(table).to_pandas(coerce_temporal_nanoseconds=False)
        return rows
    except (ReadError, Unsupported):
        raise
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError):
        raise ReadError("the file is damaged or not Parquet", "write the file again, as MEDS") from None


def _conform(table: pa.Table) -> pa.Table:
    """Cast the four columns to the types of MEDS, and validate them by its own schema."""
    try:
        from flexible_schema.exceptions import SchemaValidationError, TableValidationError  # type: ignore[import-untyped]
        from meds.schema import DataSchema
    except ImportError:
        raise missing("meds", "ehr", "MEDS files") from None
    for name, wanted in zip(COLUMNS, (pa.int64(), pa.timestamp("us"), pa.string(), pa.float32()), strict=True):
        if name not in table.column_names and name == "numeric_value":
            table = table.append_column(name, pa.nulls(table.num_rows, wanted))
        if table.column_names.count(name) != 1:
            raise ReadError(f"the column '{name}' is missing or stands twice", AS_MEDS)
        table = table.set_column(table.column_names.index(name), name, _cast(table.column(name), name, wanted))
    if not table.num_rows:
        raise ReadError("there are no events", "take the file away if the patient has none")
    try:
        DataSchema.validate(table.select(list(COLUMNS)))
    except (SchemaValidationError, TableValidationError):
        raise ReadError("a subject or a code is missing, or a column has another type", AS_MEDS) from None
    return table.select(list(COLUMNS))


def _cast(column: Any, name: str, wanted: Any) -> Any:
    kind = column.type
    if name == "code":
        if pa.types.is_dictionary(kind):
            longest = max((pc.max(pc.utf8_length(part.dictionary)).as_py() or 0 for part in column.chunks), default=0)
            if longest > LONGEST_CODE:
                raise ReadError(f"a code is longer than {LONGEST_CODE} characters", "codes are names, not notes")
            kind = kind.value_type
        fits = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    elif name == "time":
        fits = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    elif name == "subject_id":
        fits = pa.types.is_integer(kind)
    else:
        fits = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
    if not fits:
        raise ReadError(f"the column '{name}' has another type than MEDS asks for", AS_MEDS)
    return column.cast(wanted, safe=name == "subject_id")
