"""Event records as words for a network: a code, how long after the event before, and which part of its values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from chiasm.generation.margins import FEW, HIDDEN, Margins, merged
from chiasm.generation.records import Records

PARTS = 16  # of the values of a code that has no levels, and of the hours between events
LONGEST = 1024
KEPT = 0.99  # share of patients whose records are not cut


class Worded(NamedTuple):
    """Words of n patients, `(n, T)` each: `codes`, 0 where nothing is and 1 at the end; `gaps`; `values`, 0 is none."""

    codes: NDArray[np.int_]
    gaps: NDArray[np.int_]
    values: NDArray[np.int_]


@dataclass(frozen=True)
class RecordWords:
    """Codes of five patients or more, and the distributions of their values and of the hours between events.

    Args:
        codes: in order; the word of the first is 2.
        values: the values of each code that has some, in a column of its name.
        gaps: hours between an event and the one before it that is at another time, in one column.
        longest: events of a record; the rest of a longer one is left out.
    """

    codes: tuple[str, ...]
    values: Margins
    gaps: Margins
    longest: int

    @classmethod
    def fit(cls, records: Records) -> Self:
        """Fit to patients; a code of fewer than five of them is left out, and so are values of fewer than five."""
        frame = records.frame()
        held = frame.groupby("code")["row"].nunique()
        codes = tuple(sorted(str(code) for code in held.index[held >= HIDDEN]))
        frame = frame[frame["code"].isin(codes)]
        some = frame.dropna(subset="numeric_value").rename(columns={"numeric_value": "value"})
        valued = some.groupby("code")["row"].nunique()
        columns = {code: _told(own) for code, own in some.groupby("code") if valued[code] >= HIDDEN}
        gaps = pd.DataFrame({"value": _gaps(frame), "row": frame["row"].to_numpy()})
        lengths = frame.groupby("row").size()
        most = int(np.quantile(lengths, KEPT, method="inverted_cdf")) if len(lengths) else 1
        shared = int(lengths.sort_values().iloc[-min(HIDDEN, len(lengths))]) if len(lengths) else 1
        hours = pd.DataFrame({"hours": _told(gaps[gaps["value"] != 0])})
        return cls(codes, Margins.fit(pd.DataFrame(columns)), Margins.fit(hours), min(most, shared, LONGEST))

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Number of words for codes, gaps and values."""
        return len(self.codes) + 2, PARTS + 1, PARTS + 1

    def worded(self, records: Records) -> Worded:
        """Words of patients, each with the end after the last event; of who has no record 0 alone."""
        frame = records.frame()
        frame = frame[frame["code"].isin(self.codes)].reset_index(drop=True)
        gaps = _gaps(frame)
        place = frame.groupby("row").cumcount().to_numpy()
        frame, gaps = frame[place < self.longest], gaps[place < self.longest]
        place, row = place[place < self.longest], frame["row"].to_numpy()
        known = {code: word for word, code in enumerate(self.codes, start=2)}
        found = Worded(*(np.zeros((len(records), self.longest + 1), dtype=int) for _ in range(3)))
        found.codes[row, place] = frame["code"].map(known).to_numpy(dtype=int)
        moved = gaps != 0
        found.gaps[row[moved], place[moved]] = _words(self.gaps, "hours", gaps[moved])
        for code in self.values.columns:
            own = ((frame["code"] == code) & frame["numeric_value"].notna()).to_numpy()
            found.values[row[own], place[own]] = _words(self.values, code, frame["numeric_value"].to_numpy()[own])
        lengths = np.bincount(row, minlength=len(records))
        has = np.flatnonzero(records.lengths > 0)
        found.codes[has, lengths[has]] = 1
        return found

    def records(self, worded: Worded, rng: np.random.Generator) -> Records:
        """Records of words, values and hours drawn within their parts by their distributions."""
        there = worded.codes > 1
        row, _ = np.nonzero(there)
        codes, gaps, values = (own[there] for own in worded)
        between = np.zeros(len(codes))
        between[gaps > 0] = _numbers(self.gaps, "hours", gaps[gaps > 0], rng)
        lengths = there.sum(1)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        hours = np.cumsum(np.nan_to_num(between))
        hours -= np.repeat(np.concatenate([[0.0], hours])[starts[:-1]], lengths)
        names = np.array(["", "", *self.codes])[codes]
        found = np.full(len(codes), np.nan)
        for code in self.values.columns:
            own = (names == code) & (values > 0)
            found[own] = _numbers(self.values, code, values[own], rng)
        order = np.lexsort((found, names, hours, row))
        return Records(starts, hours[order], names[order], found[order].astype(np.float32).astype(np.float64))


def _told(own: pd.DataFrame) -> pd.Series:
    """What is kept of the column `value` of some events, of which `row` is the patient; nothing of fewer than five.

    Of at most ten different values each that five patients have, and the mean of neighbours of the others, as often as
    they are there; of more values one of each patient, so that no quantile is one patient's. Where these are at most
    ten different ones, they are treated as such.
    """
    patients = own.groupby("value")["row"].nunique()
    if len(patients) > FEW:
        own = own.sample(frac=1, random_state=0).groupby("row").head(1)
        patients = own.groupby("value")["row"].nunique()
    if own["row"].nunique() < HIDDEN:
        return pd.Series(dtype=np.float64)
    if len(patients) > FEW or patients.min() >= HIDDEN:
        return own["value"].astype(np.float64).reset_index(drop=True)
    rare = patients.index[patients < HIDDEN]
    once = own[own["value"].isin(rare)].groupby("row")["value"].min().value_counts()
    patients[rare] = once.reindex(rare, fill_value=0)  # five values of one patient are not of five patients
    return own["value"].map(merged(patients.sort_index())).astype(np.float64).reset_index(drop=True)


def _gaps(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Hours since the event before, of the first one since the origin; by patients, one after another."""
    hours, row = frame["hours"].to_numpy(dtype=float), frame["row"].to_numpy()
    first = np.concatenate([[True], row[1:] != row[:-1]])[: len(row)]
    return np.where(first, hours, hours - np.concatenate([[0.0], hours[:-1]])[: len(row)])


def _words(margins: Margins, name: str, numbers: NDArray[np.float64]) -> NDArray[np.int_]:
    """The word of each number of a column: the place of its level, or the part of its score; 0 where there is none."""
    if name in margins.levels:
        return 1 + margins.places(name, pd.Series(numbers))
    column = pd.DataFrame(np.nan, index=range(len(numbers)), columns=list(margins.columns)).assign(**{name: numbers})
    ranks = ndtr(margins.scores(column)[:, margins.columns.index(name)])
    return np.where(np.isnan(ranks), 0, 1 + np.clip(np.nan_to_num(ranks) * PARTS, 0, PARTS - 1).astype(int))


def _numbers(margins: Margins, name: str, words: NDArray[np.int_], rng: np.random.Generator) -> NDArray[np.float64]:
    """A number of each word, which is above 0: its level, or one drawn within its part."""
    if name in margins.levels:
        return margins.named(name, words - 1).astype(np.float64)
    scores = np.full((len(words), len(margins.columns)), np.nan)
    scores[:, margins.columns.index(name)] = ndtri((words - 1 + rng.random(len(words))).clip(1e-9) / PARTS)
    return margins.values(scores)[name].to_numpy(dtype=np.float64)
