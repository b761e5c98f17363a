"""Event records of patients side by side, and the numbers that tell of them in a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Unsupported
from chiasm.cohort.kinds import EVENTS, has_form
from chiasm.generation.margins import HIDDEN
from chiasm.readers.reading import ReadError
from chiasm.readers.record.events import EventReader

MOST_TOLD = 20
"""Codes whose number and mean value stand in the table of a record, those of most patients."""


@dataclass(frozen=True)
class Records:
    """Events of n patients, one after another, each patient's by time, code and value.

    Args:
        starts: `(n + 1,)` place of each patient's first event; who has none has no record.
        hours, codes, values: `(N,)`, values NaN where an event has none.
    """

    starts: NDArray[np.int_]
    hours: NDArray[np.float64]
    codes: NDArray[np.str_]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int_]:
        """`(n,)` events of each patient."""
        return np.diff(self.starts)

    @property
    def owners(self) -> NDArray[np.int_]:
        """`(N,)` the patient of each event."""
        return np.repeat(np.arange(len(self)), self.lengths)

    def take(self, rows: NDArray[np.int_] | NDArray[np.bool_]) -> Records:
        """Select patients, by integers or a mask."""
        chosen = np.flatnonzero(rows) if rows.dtype == bool else rows
        places = [np.zeros(0, dtype=int), *(np.arange(self.starts[k], self.starts[k + 1]) for k in chosen.tolist())]
        own = np.concatenate(places)
        starts = np.concatenate([[0], np.cumsum(self.lengths[chosen])])
        return Records(starts, self.hours[own], self.codes[own], self.values[own])

    def frame(self) -> pd.DataFrame:
        """Rows of all events: `row` of the patient, `hours`, `code` and `numeric_value`."""
        return pd.DataFrame(
            {"row": self.owners, "hours": self.hours, "code": self.codes.astype(object), "numeric_value": self.values}
        )

    def counted(self) -> pd.DataFrame:
        """`(n, 2)` number of events and hours between the first and the last; NaN of who has none."""
        own = pd.Series(self.hours).groupby(self.owners)
        frame = pd.DataFrame({"events": own.size().astype(float), "hours": own.max() - own.min()})
        return frame.reindex(np.arange(len(self)))

    def told(self, codes: tuple[str, ...]) -> pd.DataFrame:
        """`(n, 2 + 2 C)`: what is counted, and of each code how often it is there and its mean value."""
        frame = self.frame()
        some = frame[frame["code"].isin(codes)].groupby(["row", "code"])["numeric_value"]
        number, mean = some.size().unstack(fill_value=0), some.mean().unstack()
        has = self.lengths > 0
        parts = {}
        for code in codes:
            own = number[code] if code in number else pd.Series(dtype=float)
            parts[f"{code}, number"] = own.reindex(np.arange(len(self))).fillna(0).astype(float).where(has)
            if code in mean and mean[code].notna().any():
                parts[f"{code}, mean"] = mean[code].reindex(np.arange(len(self)))
        return pd.concat([self.counted(), pd.DataFrame(parts, index=range(len(self)))], axis=1)


def most_told(records: Records) -> tuple[str, ...]:
    """At most twenty codes, those of most patients and of five at least."""
    pairs = pd.DataFrame({"row": records.owners, "code": records.codes.astype(object)}).drop_duplicates()
    sizes = pairs["code"].value_counts()
    kept = sorted(sizes.index[sizes >= HIDDEN], key=lambda code: (-sizes[code], code))
    return tuple(str(code) for code in kept[:MOST_TOLD])


def records_of(cohort: Cohort) -> dict[str, Records]:
    """Read the event records of a cohort by modality; of who lacks one it has no event.

    Raises:
        Unsupported: a record cannot be read, or has an event before its origin.
    """
    found, reader = {}, EventReader()
    for name in (own for own in cohort.modalities if has_form(cohort.kinds[own], EVENTS)):
        items, rows = cohort.raw(name), cohort.rows_of(name)
        lengths, parts = np.zeros(len(cohort), dtype=int), []
        for place, row in enumerate(rows.tolist()):
            try:
                own = reader.read(items[place])
            except ReadError as refused:
                raise Unsupported(f"a record of modality '{name}' cannot be read: {refused}") from None
            lengths[row] = len(own.hours)
            parts.append(own)
        hours = np.concatenate([np.zeros(0), *(own.hours for own in parts)])
        codes = np.concatenate([np.zeros(0, dtype="<U1"), *(own.codes for own in parts)])
        values = np.concatenate([np.zeros(0), *(own.values.astype(np.float64) for own in parts)])
        found[name] = Records(np.concatenate([[0], np.cumsum(lengths)]), hours, codes, values)
    return found
