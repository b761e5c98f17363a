"""Read signals from a table of text: a column for the time in seconds, and one for each lead."""

from __future__ import annotations

import csv
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.readers.reading import Limits, ReadError, check_size, check_values
from chiasm.readers.signal.recording import Recording, Row, check_rate

SUFFIXES = (".csv", ".tsv", ".txt")
SEPARATORS = (",", "\t", ";")
LINE_BYTES = 1 << 20
BLOCK = 1 << 22
MEASURED = re.compile(r"(?P<name>.*?)\s*[\[(](?P<unit>[^\])]*)[\])]\s*")
UNSAID = {"time", "t"}  # without a unit: seconds, if the steps are shorter than one
TIMES = {*UNSAID, "seconds", "second", "sec", "time_s", "time_seconds", "time_sec", "timestamp_s"}
MILLISECONDS = {"time_ms", "ms", "milliseconds", "t_ms"}
SECONDS_OF = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "": 1.0, "ms": 1e-3, "milliseconds": 1e-3, "us": 1e-6}
FIX = "begin with a line of names, 'time,I,II', the time in seconds"


def read_table(path: Path, limits: Limits, header_only: bool = False) -> Recording:
    """Read the leads of a table, NaN where a cell is empty; the rate comes from the column of times.

    That column is named `time`, `t`, `seconds` or similar (`time (ms)` too), or, in a table without names, is the first
    one if it rises evenly by less than a second. Units follow the names: `II (uV)`.

    Raises:
        ReadError: no times, uneven ones, text in place of numbers, over a limit.
    """
    check_size(path, limits)
    first, lines = _first_line(path)
    separator = max(SEPARATORS, key=first.count)
    try:
        cells = [cell.strip() for cell in next(csv.reader([first], delimiter=separator), [])]
    except csv.Error:  # a carriage return in the midst of a line, a field without end
        raise ReadError("the first line is no row of a table", FIX) from None
    named = not all(_is_number(cell) for cell in cells)
    if named and sum(_is_number(cell) for cell in cells) > len(cells) / 2:
        raise ReadError("the first line holds neither names nor numbers alone", FIX)
    check_values((len(cells), lines), limits)
    place, seconds, said = _time_column(cells) if named else (0, 1.0, True)
    if header_only:
        parts = [_measured(cell) for k, cell in enumerate(cells) if k != place] if named else []
        return Recording(tuple(name for name, _ in parts), tuple(unit for _, unit in parts), ())
    values = _numbers(path, separator, named, len(cells))
    hz = _rate(values[place] * seconds, named, said)
    others = [k for k in range(len(cells)) if k != place]
    if not others:
        raise ReadError("the table has no column beside the time", FIX)
    parts = [_measured(cells[k]) if named else ("", "") for k in others]
    leads, units = tuple(name for name, _ in parts), tuple(unit for _, unit in parts)
    return Recording(leads, units, (hz,) * len(others), (), tuple(values[k] for k in others))


def _first_line(path: Path) -> tuple[str, int]:
    """Read the first line and count the lines; refuse binary data and text of another encoding."""
    with path.open("rb") as file:
        first = file.readline(LINE_BYTES + 1)
        lines = 1
        block = first
        while block:
            if b"\0" in block:
                raise ReadError("the file is binary", "write the signal as WFDB, EDF or comma-separated text")
            block = file.read(BLOCK)
            lines += block.count(b"\n")
    if len(first) > LINE_BYTES:
        raise ReadError("the first line is over 1 MB", "write a row for each point in time, a column for each lead")
    try:
        return first.decode("utf-8-sig").strip("\r\n"), lines
    except UnicodeDecodeError:
        raise ReadError("the file is not UTF-8 text", "save it again as UTF-8") from None


def _time_column(cells: list[str]) -> tuple[int, float, bool]:
    """Find the column of times, how many seconds its unit is, and whether it says so."""
    for place, cell in enumerate(cells):
        name, unit = _measured(cell)
        plain = re.sub(r"[\s-]+", "_", name.lower())
        if plain in MILLISECONDS:
            return place, 1e-3, True
        if plain in TIMES and unit.lower() in SECONDS_OF:
            return place, SECONDS_OF[unit.lower()], bool(unit) or plain not in UNSAID
    raise ReadError("no column holds the time, so that the sampling rate is not known", FIX)


def _numbers(path: Path, separator: str, named: bool, width: int) -> list[Row]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # if the first row is too long, pandas only warns
            frame = pd.read_csv(
                path,
                sep=separator,
                header=0 if named else None,
                names=list(range(width)),
                index_col=False,
                dtype=np.float64,
                encoding="utf-8-sig",
                on_bad_lines="error",
            )
        values = frame.to_numpy(dtype=np.float64, na_value=np.nan)  # (T, columns)
    except Exception:  # pandas quotes the cell
        raise ReadError(
            "a cell is no number, or a row has too many", "write numbers only, a point for decimals"
        ) from None
    if not len(values):
        raise ReadError("the table has no rows", "write it again, or take it away if the patient has none")
    values[~np.isfinite(values)] = np.nan
    return list(values.T)


def _rate(times: Row, named: bool, said: bool) -> float:
    """Samples per second; a whole number if the times, which may be rounded, cannot tell it from one."""
    fix = "write a row for every sample, its time in seconds, evenly spaced"
    if len(times) < 3 or not np.isfinite(times).all():
        raise ReadError("the times are missing or fewer than three", fix)
    steps = np.diff(times)
    step = float(np.median(steps))
    if step <= 0 or steps.min() < 0.5 * step or steps.max() > 1.5 * step:
        raise ReadError("the times do not rise evenly", fix if named else FIX)
    if not named and step >= 1:
        raise ReadError("the first column is not said to be the time", FIX)
    if not said and step >= 1:
        raise ReadError(
            "the times rise by one or more, and their column does not say whether in seconds or milliseconds",
            "name it 'time_s' or 'time_ms'",
        )
    hz = (len(times) - 1) / float(times[-1] - times[0])
    return check_rate(float(round(hz)) if abs(hz - round(hz)) <= hz / (2 * len(times)) and round(hz) else hz)


def _measured(cell: str) -> tuple[str, str]:
    found = MEASURED.fullmatch(cell)
    return (found["name"].strip(), found["unit"].strip()) if found else (cell, "")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return not cell
    return True
