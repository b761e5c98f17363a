"""Numbers that count time in SPSS, Stata and SAS, told by their format and written as dates."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from chiasm.cohort.grid import GridError, Numbers, Texts

EPOCHS = {"SPSS": np.datetime64("1582-10-14"), "Stata": np.datetime64("1960-01-01"), "SAS": np.datetime64("1960-01-01")}
DAY = 86_400.0  # seconds
FURTHEST = 3_000_000.0  # days from an epoch: eight thousand years
LONGEST = 9e9  # seconds of a duration
MONTHS = {"months": 1, "quarters": 3, "halves": 6}
LENGTH = {  # days of one
    "days": 1.0, "seconds": 1 / DAY, "days in seconds": 1 / DAY, "milliseconds": 0.001 / DAY, "weeks": 7.0,
    "months": 30.5, "quarters": 91.5, "halves": 183.0,
}  # fmt: skip
FORMATS = {  # what a format counts, by program: its name without % and width
    "SPSS": (
        ("seconds", "DATETIME|YMDHMS"),
        ("days in seconds", "[AEJS]?DATE|QYR|MOYR|WKYR"),
        ("duration", "[DM]?TIME"),
    ),
    "Stata": (
        ("milliseconds", "t[cC]"),
        ("days", "td|d"),
        ("weeks", "tw"),
        ("months", "tm"),
        ("quarters", "tq"),
        ("halves", "th"),
    ),
    "SAS": (
        ("seconds", "DATETIME|DATEAMPM|DT(DATE|MONYY|WKDATX|YEAR|YYQC)|[EB]8601D[TNXZ]|MDYAMPM|NLDATM"),
        ("duration", "TIME|TIMEAMPM|HHMM|MMSS|HOUR|TOD|[EB]8601T[MXZ]|NLTIME"),
        (
            "days",
            "DATE|DAY|(DDMMYY|MMDDYY|YYMMDD|MMYY|YYMM|YYQR?)[BCDNPSX]?|MONYY|YYMON|JULIAN|JULDAY|WORDDAT[EX]|NLDATE"
            "|WEEKDAT[EX]|[EB]8601DA|EURDF(D[DENT]|MY)|NENGO|MINGUO|MONNAME|MONTH|DOWNAME|WEEKDAY|WEEK[UVW]|QTRR?|YEAR",
        ),
    ),
}


def unit_of(program: str, written_as: str) -> str:
    """Return what the numbers of a column of this format count, as `days`; "" where they are plain numbers."""
    if program == "Stata":
        plain = re.match(r"%-?(t[a-zA-Z]|d)", written_as)
        known = plain[1] if plain else ""
    else:
        known = re.sub(r"[0-9]*(\.[0-9]*)?$", "", written_as.upper())
    return next((unit for unit, pattern in FORMATS[program] if known and re.fullmatch(pattern, known)), "")


def moments(values: Numbers, unit: str, program: str, name: str) -> Texts:
    """Write numbers `(n,)` that count from a program's epoch as dates by ISO 8601, and durations, "" where missing.

    Of a week, a month, a quarter or a half year the first day is written.

    Raises:
        GridError: a number is no moment.
    """
    some = ~np.isnan(values)
    size = np.abs(np.where(some, values, 0.0))
    wrong = size > LONGEST if unit == "duration" else size * LENGTH[unit] > FURTHEST
    if wrong.any():
        what = f"column '{name}' has the format of a date and holds what is none"
        raise GridError(what, "correct the cell", int(np.flatnonzero(wrong)[0]) + 2)
    found = np.full(len(values), "", dtype=object)
    own, epoch = values[some], EPOCHS[program]
    if unit == "duration":
        found[some] = [str(pd.Timedelta(seconds=float(value))) for value in own]
        return found
    if unit in MONTHS:
        days = (epoch.astype("datetime64[M]") + (own * MONTHS[unit]).astype(np.int64)).astype("datetime64[D]")
    elif unit == "weeks":  # fifty-two a year, the last of them longer
        years, weeks = np.divmod(own.astype(np.int64), 52)
        days = (epoch.astype("datetime64[Y]") + years).astype("datetime64[D]") + 7 * weeks
    else:
        days = epoch.astype("datetime64[ms]") + np.rint(own * LENGTH[unit] * DAY * 1000).astype(np.int64)
    timed = unit in ("seconds", "milliseconds")
    texts = np.datetime_as_string(days, unit="s" if timed else "D")
    found[some] = [text.replace("T", " ") for text in texts.tolist()]
    return found
