"""Times of the rows of a hospital's tables, of which some are known by the date alone."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

BIRTH, DEATH = "MEDS_BIRTH", "MEDS_DEATH"
STARTS_WITH_DAY = r"\d{4}-\d{2}-\d{2}|\d{8}"  # a year, or a month, is no time
CLOCK = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d+)?)?")
LAST_OF_DAY = np.timedelta64(86_399, "s")
NEVER = (2099, 2199, 2999, 9999)  # years in which something ends that has not ended yet


@dataclass(frozen=True)
class Moments:
    """Times `(n,)`, NaT where there is none.

    `odd` marks those that cannot be read, `dated` those of which only the date is known; `ends` says that something
    ends at them.
    """

    time: NDArray[np.datetime64]
    odd: NDArray[np.bool_]
    dated: NDArray[np.bool_]
    ends: bool = False

    def of(self, rows: NDArray[np.bool_]) -> Moments:
        """Times of some of the rows."""
        return replace(self, time=self.time[rows], odd=self.odd[rows], dated=self.dated[rows])

    def by_day(self) -> Moments:
        """Take midnight for a date alone, as where a table writes dates as times."""
        return replace(self, dated=self.dated | (self.time == self.time.astype("datetime64[D]")))

    def never(self, since: Moments) -> NDArray[np.bool_]:
        """Tell those `(n,)` in a year that stands for no end, years after the start."""
        years, starts = (own.time.astype("datetime64[Y]").astype(int) + 1970 for own in (self, since))
        some = ~np.isnat(self.time) & ~np.isnat(since.time)
        return some & np.isin(years, NEVER) & (years > starts + 1)


def moments(
    frame: pd.DataFrame, *columns: str, ends: bool = False, clock: str = "", may_never: bool = False
) -> Moments:
    """Read the times of rows from the first of the columns that is filled; times with a zone are brought to UTC.

    Args:
        ends: something ends at them, so that a date alone stands for the end of the day.
        clock: a column with the time of the day, for rows that have a date alone.
        may_never: a year such as 9999 stands for no end, and the caller asks `Moments.never`; else it cannot be read.
    """
    n = len(frame)
    time = np.full(n, np.datetime64("NaT", "us"))
    odd, dated = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    for name in columns:
        cells = frame[name]
        some = cells.notna().to_numpy() & np.isnat(time)
        alone = np.zeros(n, dtype=bool)
        if not pd.api.types.is_datetime64_any_dtype(cells.dtype):  # text, or the dates of a Parquet file
            text = cells.map(lambda cell: str(cell).strip(), na_action="ignore").astype(object)
            cells = text.where(text.str.match(STARTS_WITH_DAY, na=False).astype(bool))
            if may_never:  # beyond what pandas reads; see NEVER
                cells = cells.str.replace(r"^(?:2999|9999)", "2199", regex=True)
            alone = text.str.fullmatch(STARTS_WITH_DAY, na=False).to_numpy(bool)
        found = pd.to_datetime(cells, format="ISO8601", errors="coerce", utc=True).dt.tz_convert(None)
        own = found.to_numpy("datetime64[us]")
        time = np.where(some, own, time)
        odd = np.where(some, np.isnat(own), odd)
        dated = np.where(some, alone & ~np.isnat(own), dated)
    if clock:
        told = frame[clock].map(lambda cell: str(cell).strip(), na_action="ignore").astype(object)
        told = told.str.replace(r"^\d{4}-\d{2}-\d{2}[ T]", "", regex=True)  # where it is the whole time
        known = dated & told.str.fullmatch(CLOCK, na=False).to_numpy(bool)
        unread = dated & ~known & told.notna().to_numpy() & (told != "").to_numpy(bool)
        time[unread], odd[unread] = np.datetime64("NaT", "us"), True
        hours = pd.to_timedelta(told[known].map(lambda own: own if own.count(":") > 1 else f"{own}:00"))
        time[known] += hours.to_numpy("timedelta64[us]")
        dated &= ~(known | unread)
    return Moments(time, odd, dated, ends)


def placed(found: pd.DataFrame) -> pd.DataFrame:
    """Place events of which only the date is known among those of the day whose time is known.

    What ends at a date stands at the end of the day, behind all else of it; any other event not before the first time
    of that day. A death at midnight before other events of the day is known by its date alone. A birth precedes what
    happens on its day: what stands at midnight is moved to it, and it to what stands between.

    Args:
        found: `subject_id`, `code`, `time`, and `dated` and `ends` (see `Moments`) of each event.

    Returns:
        The events with their times.
    """
    time, subject, born = found["time"], found["subject_id"], found["code"] == BIRTH
    day = time.dt.normalize()
    dies = (found["code"] == DEATH) & (time == day)
    dated = found["dated"]
    if (dated | dies).any():
        by_day = time.where(~dated).groupby([subject, day])
        first, last = by_day.transform("min"), by_day.transform("max")
        dated = dated | (dies & (last > time))
        to_end = dated & (found["ends"] | dies) & time.notna()
        late = pd.concat([day + LAST_OF_DAY, last], axis=1).max(axis=1)
        time = time.mask(to_end, late)
        time = time.mask(dated & ~to_end & ~born & (first > time), first)
    births = found[born & time.notna()].drop_duplicates("subject_id").index
    birth = subject.map(pd.Series(time[births].to_numpy(), index=subject[births].to_numpy()))
    between = (time < birth) & (time > time.dt.normalize()) & (time.dt.normalize() == birth.dt.normalize())
    if between.any():
        earliest = subject.map(time[between].groupby(subject[between]).min())
        time = time.mask(born & (earliest < time), earliest)
        birth = birth.mask(earliest < birth, earliest)
    early = (time < birth) & (time == birth.dt.normalize())
    return found.assign(time=time.mask(early, birth))
