"""Dates of patients, from a column of their table, and the periods that these make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.places import manifest_file
from chiasm.cohort.schema import read_keys, read_toml
from chiasm.cohort.tables import Table
from chiasm.errors import nearest

PERIODS = {"day": "D", "week": "W", "month": "M"}


def dates_of(cohort: Cohort, column: str) -> NDArray[np.datetime64]:
    """(B,) date of each patient, from a column of the table of patients; NaT where there is none.

    Raises:
        ValueError: the cohort was not opened from a manifest, there is no such column, or it holds no date.
    """
    if not cohort.manifest:
        raise ValueError("dates stand in the patients' table of a manifest: open the cohort from one")
    file = manifest_file(Path(cohort.manifest))
    content, _ = read_toml(file)
    keys, _ = read_keys(content or {}, file.name)
    if keys is None:
        raise ValueError(f"'{file.name}' cannot be read: see chiasm check")
    name = keys.patients.table
    table = Table(file.parent / name, name)
    if column not in table.columns:
        like = nearest(column, table.columns)
        hint = f"did you mean '{like}'?" if like else f"there are {', '.join(table.columns[:10])}"
        raise ValueError(f"'{name}' has no column '{column}' of dates: {hint}")
    texts = pd.Series(table.texts(column)).iloc[cohort.file_rows - 2]
    found = pd.to_datetime(texts, errors="coerce", format="ISO8601").to_numpy("datetime64[ns]")
    if np.isnat(found).all():
        raise ValueError(f"column '{column}' of '{name}' holds no date that can be read: write them as 2026-01-31")
    return found


def periods_of(days: NDArray[np.datetime64], every: str, since: str) -> list[tuple[str, NDArray[np.int_]]]:
    """Label and rows of each period that patients came in, in order; who has no date, or came before, is in none.

    Args:
        days: (B,) dates, NaT where there is none.
        every: "day", "week" or "month"; empty: all in one.
        since: the first date; empty: no limit.

    Raises:
        ValueError: `since` is no date.
    """
    known = ~np.isnat(days)
    if since:
        first = pd.to_datetime(since, errors="coerce", format="ISO8601")
        if pd.isna(first):
            raise ValueError(f"since '{since}' is no date: write it as 2026-01-31")
        known &= np.where(known, days, np.datetime64("1900-01-01")) >= first.to_datetime64()
    rows = np.flatnonzero(known)
    if not len(rows):
        return []
    if not every:
        return [(f"since {since}" if since else "all", rows)]
    periods = pd.Series(days[rows]).dt.to_period(PERIODS[every])
    labels = periods.dt.start_time.dt.strftime("%Y-%m" if every == "month" else "%Y-%m-%d").to_numpy(str)
    return [(str(label), rows[labels == label]) for label in np.unique(labels)]
