"""Events of many patients as concatenated arrays, and their summary statistics per code for linear models."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.readers.reading import Events
from chiasm.readers.record.conventions import BIRTH

YEAR = 365.25 * 24
LEAST_SPREAD = 1e-9  # squared hours, below which no slope is computed


@dataclass(frozen=True)
class KnownEvents:
    """Events whose code is in a vocabulary: patient row, code index, hours, value or NaN, `(N,)` each.

    A birth is moved to the patient's first other known event, with the age there in years as its value.
    """

    patient: NDArray[np.int64]
    code: NDArray[np.int64]
    hours: NDArray[np.float64]
    values: NDArray[np.float64]

    @classmethod
    def of(cls, raw: Sequence[Events], vocabulary: Sequence[str]) -> KnownEvents:
        """Select the events of a sorted vocabulary from the records."""
        names = np.array(vocabulary, np.str_)
        born = vocabulary.index(BIRTH) if BIRTH in vocabulary else -1
        parts = [_known(record, row, names, born) for row, record in enumerate(raw)]
        if not parts:
            parts = [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))]
        return cls(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    def chunks(self, most: int) -> Iterator[KnownEvents]:
        """Yield whole patients, up to `most` events at once, or one patient with more."""
        ends = np.flatnonzero(np.diff(self.patient, append=-1)) + 1  # after the last event of each patient
        start = 0
        while start < len(self.patient):
            within = ends[(ends > start) & (ends <= start + most)]
            stop = int(within[-1]) if len(within) else int(ends[ends > start][0])
            own = slice(start, stop)
            yield KnownEvents(self.patient[own], self.code[own], self.hours[own], self.values[own])
            start = stop


def _known(
    record: Events, row: int, names: NDArray[np.str_], born: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    place = np.minimum(np.searchsorted(names, record.codes), len(names) - 1)
    known = names[place] == record.codes
    code, hours = place[known].astype(np.int64), record.hours[known]
    values = record.values[known].astype(np.float64)
    birth, others = code == born, hours[code != born]
    if birth.any() and len(others):
        values = np.where(birth, (others.min() - hours) / YEAR, values)
        hours = np.where(birth, others.min(), hours)
    return np.full(len(code), row, np.int64), code, hours, values


def shared_codes(raw: Sequence[Events], share: float, most: int) -> tuple[str, ...]:
    """Select codes that at least `max(2, share x n)` patients have, at most the `most` frequent, sorted by name."""
    patients = Counter(str(code) for record in raw for code in np.unique(record.codes))
    enough = max(2, int(np.ceil(share * len(raw))))
    found = sorted((code for code in patients if patients[code] >= enough), key=lambda code: (-patients[code], code))
    return tuple(sorted(found[:most]))


def summaries(events: KnownEvents, patients: int, vocabulary: Sequence[str]) -> pd.DataFrame:
    """Summarise each patient in a row, by code and in all.

    Per code: log(1 + count), present, first, last, mean, min, max, sum, sd, slope per hour, varies; `late`, the mean in
    the last quarter of the patient's record; `since`, the hours from its last event to the last one of any code. Both
    see the codes of the vocabulary alone: a record begins and ends with these. The values of a code that a patient
    lacks are NaN, and `late` is where it has none then. A slope that cannot be estimated (one time only) is 0, and
    `varies` distinguishes it from a flat one; the sd of one value is 0. `events` is log(1 + number of events).
    """
    size = len(vocabulary)
    groups = patients * size
    group = events.patient * size + events.code
    count = np.bincount(group, minlength=groups).astype(np.float64)
    table = {"count": np.log1p(count), "present": (count > 0).astype(np.float64), **_of_values(events, group, groups)}
    table |= {"since": _since_last(events, group, patients, size), "late": _late_mean(events, group, patients, size)}
    columns = {"events": np.log1p(count.reshape(patients, size).sum(1))}
    for place, code in enumerate(vocabulary):
        for name, flat in table.items():
            columns[f"{code} {name}"] = flat.reshape(patients, size)[:, place]
    return pd.DataFrame(columns)


def _late_mean(events: KnownEvents, group: NDArray[np.int64], patients: int, size: int) -> NDArray[np.float64]:
    """Return the mean of each code's values in the last quarter of a patient's record, `(patients x size,)`, or NaN."""
    first, last = np.full(patients, np.inf), np.full(patients, -np.inf)
    np.minimum.at(first, events.patient, events.hours)
    np.maximum.at(last, events.patient, events.hours)
    start, stop = first[events.patient], last[events.patient]
    own = (events.hours >= stop - 0.25 * (stop - start)) & ~np.isnan(events.values)
    many = np.bincount(group[own], minlength=patients * size)
    total = np.bincount(group[own], events.values[own], patients * size)
    return np.where(many > 0, total / np.maximum(many, 1), np.nan)


def _since_last(events: KnownEvents, group: NDArray[np.int64], patients: int, size: int) -> NDArray[np.float64]:
    """Return the hours from the last event of each code to the patient's last event, `(patients x size,)`, or NaN."""
    own, whole = np.full(patients * size, -np.inf), np.full(patients, -np.inf)
    np.maximum.at(own, group, events.hours)
    np.maximum.at(whole, events.patient, events.hours)
    found = np.isfinite(own)
    return np.where(
        found, np.repeat(np.where(np.isfinite(whole), whole, 0.0), size) - np.where(found, own, 0.0), np.nan
    )


def _of_values(events: KnownEvents, group: NDArray[np.int64], groups: int) -> dict[str, NDArray[np.float64]]:
    valued = ~np.isnan(events.values)
    order = np.lexsort((events.values[valued], events.hours[valued], group[valued]))
    own, hours, values = group[valued][order], events.hours[valued][order], events.values[valued][order]
    table = {name: np.full(groups, np.nan) for name in ("last", "mean", "min", "max", "first", "sum", "sd")}
    table |= {name: np.zeros(groups) for name in ("slope", "varies")}
    if not len(own):
        return table
    starts = np.flatnonzero(np.diff(own, prepend=-1))
    lengths = np.diff(starts, append=len(own))
    found = own[starts]
    mean = np.add.reduceat(values, starts) / lengths
    since = hours - np.repeat(hours[starts], lengths)
    time = since - np.repeat(np.add.reduceat(since, starts) / lengths, lengths)
    spread = np.add.reduceat(time**2, starts)
    varies = spread > LEAST_SPREAD
    rise = np.add.reduceat(time * (values - np.repeat(mean, lengths)), starts)
    table["first"][found] = values[starts]
    table["last"][found] = values[starts + lengths - 1]
    table["mean"][found] = mean
    table["sum"][found] = mean * lengths
    table["sd"][found] = np.sqrt(np.add.reduceat((values - np.repeat(mean, lengths)) ** 2, starts) / lengths)
    table["min"][found] = np.minimum.reduceat(values, starts)
    table["max"][found] = np.maximum.reduceat(values, starts)
    table["slope"][found] = np.where(varies, rise / np.where(varies, spread, 1.0), 0.0)
    table["varies"][found] = varies
    return table
