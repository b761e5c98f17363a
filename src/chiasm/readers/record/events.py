"""Reader of a patient's event record: from a table, a MEDS Parquet file, or a FHIR R4 Bundle or NDJSON file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.errors import count
from chiasm.readers.reading import LIMITS, Events, Item, Limits, ReadError, check_size
from chiasm.readers.record.conventions import BIRTH, BIRTHS, BUNDLE, DEATH, LONGEST_CODE, MEDS, NDJSON

VALUES = ("value", "values", "valuenum", "value_as_number", "result", "amount")
LONGEST_LIFE = 150 * 365.25 * 24  # hours


class EventReader:
    """Reader of `Events`, sorted by time, code and value, so that the order of the rows changes nothing.

    Hours count from the origin of the table; in MEDS and FHIR files, from the first record with a time that is not the
    birth. The birth itself (`MEDS_BIRTH`) may lie before it, at negative hours, and nothing may lie before the birth.
    The whole record is read: to predict from a moment on, cut the record there first.
    """

    kind = "events"
    version = "2"
    accepts = ("1",)

    def inspect(self, item: Item, limits: Limits = LIMITS) -> tuple[str, ...]:
        """Note a death, a birth under another code, a column of values under another name, what is left out of FHIR.

        A FHIR file is read whole, so that what `read` refuses is refused here.
        """
        if isinstance(item, Path):
            if _suffix(item, limits) != MEDS:
                return self.notes(item, self.read(item, limits))
            from chiasm.readers.record.meds import read_subject

            item = read_subject(item, limits)
        return _unread(item) + _notes(set(_text(_column(_frame(item), "code"))[1]))

    def notes(self, item: Item, read: Events) -> tuple[str, ...]:
        """Note what `inspect` does, of a record that was read already."""
        if isinstance(item, Path) and item.suffix.lower() != MEDS:
            return tuple(f"{count(number, 'resource')} left out: {reason}" for reason, number in read.left_out)
        return _unread(item) + _notes(set(read.codes.tolist()))

    def read(self, item: Item, limits: Limits = LIMITS) -> Events:
        """Read the patient's events.

        Args:
            item: the patient's rows with columns `hours`, `code` (text) and `numeric_value` (which may be missing;
                NaN = the event has no value); other columns are ignored. Or the path of one patient's file.
            limits: `characters` bounds the number of events, `values` the characters of all their codes.

        Raises:
            ReadError: no events; hours that are not finite numbers or span over 150 years; a code that is missing, not
                text or over 256 characters; an infinite value; an event before the birth, or two births; too many
                events; a file that is not what it should be.
            Unsupported: the package that reads MEDS or FHIR is missing.
        """
        if not isinstance(item, Path):
            return _events(_frame(item), limits)
        if _suffix(item, limits) == MEDS:
            from chiasm.readers.record.meds import read_subject

            return _events(read_subject(item, limits), limits)
        from chiasm.readers.record.fhir import read_fhir
        from chiasm.readers.record.meds import since_first_record

        record = read_fhir(item, limits)
        found = _events(since_first_record(record.rows), limits)
        return replace(found, left_out=tuple(sorted(record.left_out.items())))


def _unread(item: object) -> tuple[str, ...]:
    """Note a column that looks like the values of a table of events that has none."""
    names = [] if not isinstance(item, pd.DataFrame) or "numeric_value" in item.columns else list(item.columns)
    found = [name for name in names if isinstance(name, str) and name.lower() in VALUES]
    return tuple(f"the column '{name}' is not read: call it 'numeric_value' if it holds the values" for name in found)


def _notes(codes: set[str]) -> tuple[str, ...]:
    notes = []
    if DEATH in codes:
        notes.append("the record holds the death of the patient: leave it out where the target tells of it")
    if BIRTH not in codes and any(code.upper() in BIRTHS for code in codes):
        notes.append(f"a code is that of a birth, and not {BIRTH}: hours do not count from it; call it {BIRTH}")
    return tuple(notes)


def _suffix(path: Path, limits: Limits) -> str:
    suffix = path.suffix.lower()
    if suffix not in (MEDS, BUNDLE, NDJSON):
        raise ReadError(
            "events are not read from files of this kind",
            f"bring a table of events, MEDS ({MEDS}), or a FHIR Bundle ({BUNDLE}) or {NDJSON} of one patient",
        )
    if not path.is_file():
        raise ReadError("there is no such file", "check the path, or take it away if the patient has none")
    check_size(path, limits)
    return suffix


def _frame(item: object) -> pd.DataFrame:
    """Return a patient's rows with hours, computed from the times of MEDS rows."""
    if not isinstance(item, pd.DataFrame):
        raise ReadError("events are rows or a file, not a cell", "name the table of events in the manifest")
    if "hours" in item.columns or "time" not in item.columns:
        return item
    from chiasm.readers.record.meds import since_first_record

    values = item["numeric_value"] if "numeric_value" in item.columns else np.nan
    return since_first_record(item.assign(time=_times(item["time"]), subject_id=0, numeric_value=values))


def _times(column: pd.Series[Any]) -> pd.Series[Any]:
    """Read times, in UTC where they name a zone; text is read where it is ISO 8601, which is never ambiguous."""
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        texts = column.astype(object).dropna()
        if not all(isinstance(value, str) for value in texts.tolist()):
            raise ReadError("the column 'time' holds no times", "write MEDS timestamps, or hours in a column 'hours'")
        try:
            column = pd.to_datetime(texts, format="ISO8601", utc=True).reindex(column.index)
        except (ValueError, OverflowError):
            what = "a time of an event is not written as a date and a time of day"
            raise ReadError(what, "write it as in 2026-01-31 14:30, or hours in a column 'hours'") from None
    return column.dt.tz_convert(None) if getattr(column.dtype, "tz", None) is not None else column


def _events(rows: pd.DataFrame, limits: Limits) -> Events:
    if rows.empty:
        raise ReadError("there are no events", "take the record away if the patient has none")
    if len(rows) > limits.characters:
        raise ReadError(
            f"there are {len(rows):,} events, over the limit of {limits.characters:,}",
            "check the record, or leave frequent events out",
        )
    hours = _hours(_column(rows, "hours"))
    places, names = _text(_column(rows, "code"))
    if len(rows) * max(map(len, names)) > limits.values:
        raise ReadError("the codes of all events together are too long", "write shorter codes, or fewer events")
    codes = np.array(names, dtype=np.str_)[places]
    values = _values(rows)
    order = np.lexsort((values, codes, hours))
    _check_birth(hours, codes)
    return Events(hours[order], codes[order], values[order])


def _column(rows: pd.DataFrame, name: str) -> pd.Series[Any]:
    places = [place for place, column in enumerate(rows.columns) if column == name]
    if len(places) != 1:
        what = "no column" if not places else "two columns"
        raise ReadError(f"the events have {what} '{name}'", "give them columns hours, code and numeric_value")
    return rows.iloc[:, places[0]]


def _hours(column: pd.Series[Any]) -> NDArray[np.float64]:
    hours = _numbers(column, "hours")
    if not np.isfinite(hours).all():
        raise ReadError("the hours of an event are missing or infinite", "give every event its hours")
    if np.ptp(hours) > LONGEST_LIFE:
        raise ReadError("the events span more than 150 years", "write hours, not minutes or seconds")
    return hours


def _values(rows: pd.DataFrame) -> NDArray[np.float32]:
    if "numeric_value" not in rows.columns:
        return np.full(len(rows), np.nan, np.float32)
    column = _column(rows, "numeric_value")
    if column.isna().all():
        return np.full(len(rows), np.nan, np.float32)
    with np.errstate(over="ignore"):
        values = _numbers(column, "numeric_value").astype(np.float32) + np.float32(0)
    if np.isinf(values).any():
        raise ReadError("the value of an event is infinite in float32", "correct it, or leave it empty")
    return values


def _numbers(column: pd.Series[Any], name: str) -> NDArray[np.float64]:
    """Convert to float64, NaN where missing, and never minus zero, which sorts as zero does but is not the same."""
    kind = column.dtype
    if (
        pd.api.types.is_bool_dtype(kind)
        or pd.api.types.is_complex_dtype(kind)
        or not pd.api.types.is_numeric_dtype(kind)
    ):
        raise ReadError(f"'{name}' does not hold numbers", "write plain numbers, and leave missing ones empty")
    return column.to_numpy(np.float64, na_value=np.nan) + 0.0


def _text(column: pd.Series[Any]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the index of each row's code among the distinct ones `(n,)`, and these, stripped."""
    try:
        places, found = pd.factorize(column)
    except TypeError:  # a list or a mapping in a cell
        raise ReadError("a code is not text", "write codes as text") from None
    if (places < 0).any():
        raise ReadError("an event has no code", "give every event a code")
    whole = pd.api.types.is_integer_dtype(column.dtype)
    names = [str(code).strip() if whole or isinstance(code, str) else None for code in found]
    if None in names:
        raise ReadError("a code is not text", "write codes as text: a decimal number loses its zeros")
    kept = [name for name in names if name is not None]
    if not all(kept):
        raise ReadError("an event has no code", "give every event a code")
    if any(len(name) > LONGEST_CODE or not name.isprintable() for name in kept):
        raise ReadError(
            f"a code is longer than {LONGEST_CODE} characters or cannot be printed", "codes are names, not notes"
        )
    return places, kept


def _check_birth(hours: NDArray[np.float64], codes: NDArray[np.str_]) -> None:
    born = codes == BIRTH
    if not born.any():
        return
    if np.ptp(hours[born]) > 0:
        raise ReadError("the record has two births at different times", "keep the right one")
    if (hours < hours[born][0]).any():
        raise ReadError("an event lies before the birth of the patient", "correct its time, or the birth's")
