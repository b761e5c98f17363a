"""Encoder of event records as a language: one token for each event, with what EHRMamba's embedding asks of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.record.event_summaries import YEAR, KnownEvents, shared_codes
from chiasm.errors import count
from chiasm.readers.reading import Events
from chiasm.readers.record.conventions import BIRTH
from chiasm.tokens import Tokens

FIELDS = ("concept", "type", "age", "visit", "segment", "after")
CONCEPT, TYPE, AGE, VISIT, SEGMENT, AFTER = range(len(FIELDS))


@storable("encoder-event-tokens", infinite=("edges",))
@dataclass(frozen=True)
class EventTokens:
    """Event encoder with one token an event, which holds numbers to look up and not values to weigh.

    Of each event, `(T, 6)`: the concept, its type, the age in years (0 where the birth is not known), the visit counted
    from 1, its segment, 1 and 2 in turn, and the hours since the event before. A concept is a code without a value, or
    a code with the fifth of the training values that this one lies in: a code has `bins + 1` numbers, the first of code
    c is `1 + c (bins + 1)`. Its type is the code before the first `//`, as MEDS writes it, or the whole code. A visit
    ends where nothing happens for `gap` hours. Codes outside the vocabulary are ignored; of a longer record the last
    `steps` events are kept. A patient without a known code has one token of concept 0.

    Source: the embedding of EHRMamba, Fallahpour et al., arXiv 2405.14567, section 3.1. Deviation: types and visits are
    taken from the codes and the times, since a record of ours has no columns for them.

    Args:
        steps: the largest number of events.
        bins: B, parts of the values of a code, of equal size in training.
        gap: hours.
        codes, share: as in `EventEncoder`.
        vocabulary: codes, sorted.
        types: of codes, sorted.
        edges: `(codes, B - 1)` between the parts; infinite for a code of which fewer than two patients have values.
    """

    steps: int = 256
    bins: int = 5
    gap: float = 24.0
    codes: int = 512
    share: float = 0.01
    vocabulary: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    edges: NDArray[np.float64] | None = None

    slots = 0
    fitted_on_cohort = True

    def __post_init__(self) -> None:
        if min(self.steps, self.codes) < 1 or self.bins < 2 or not self.gap > 0 or not 0 <= self.share <= 1:
            raise ValueError("event tokens need steps, codes >= 1, bins >= 2, a gap above 0 and share between 0 and 1")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        codes = count(len(self.vocabulary), "code")
        return f"{codes} of records, each of two patients or more, with the fifths of its values"

    @property
    def width(self) -> int:
        return len(FIELDS)

    @property
    def concepts(self) -> int:
        """Numbers of concepts, 0 for none included."""
        return 1 + len(self.vocabulary) * (self.bins + 1)

    def fit(self, raw: Sequence[Events], patients: Sequence[str] = ()) -> Self:
        """Fit on the records of the training patients.

        Raises:
            ValueError: no code is in the records of at least two patients and a `share` of them.
        """
        vocabulary = shared_codes(raw, self.share, self.codes)
        if not vocabulary:
            raise ValueError(
                "no code is shared by enough patients: write codes without what differs between them, or lower share"
            )
        events = KnownEvents.of(raw, vocabulary)
        edges = np.full((len(vocabulary), self.bins - 1), np.inf)
        inner = np.linspace(0, 1, self.bins + 1)[1:-1]
        order = np.argsort(events.code, kind="stable")
        starts = np.searchsorted(events.code[order], np.arange(len(vocabulary) + 1))
        for code, (start, stop) in enumerate(pairwise(starts)):
            own = order[start:stop][~np.isnan(events.values[order[start:stop]])]
            if len(np.unique(events.patient[own])) > 1:  # the fifths of one patient's values would be her own values
                edges[code] = np.quantile(events.values[own], inner)
        types = tuple(sorted({_type(code) for code in vocabulary}))
        return replace(self, vocabulary=vocabulary, types=types, edges=edges)

    def encode(self, raw: Sequence[Events]) -> Tokens:
        """Encode records to tokens `(n, longest, 6)` with their `times`, hours."""
        if self.edges is None:
            raise ValueError("the event tokens are not fitted: call fit on training rows first")
        events = KnownEvents.of(raw, self.vocabulary)
        type_of = np.searchsorted(np.array(self.types), np.array([_type(code) for code in self.vocabulary])) + 1
        part = (events.values[:, None] > self.edges[events.code]).sum(1)
        concept = 1 + events.code * (self.bins + 1) + np.where(np.isnan(events.values), 0, 1 + part)
        starts = np.flatnonzero(np.diff(events.patient, prepend=-1))
        lengths = np.zeros(len(raw), int)
        lengths[events.patient[starts]] = np.diff(starts, append=len(events.patient))
        longest = int(np.clip(lengths.max(initial=1), 1, self.steps))
        values = np.zeros((len(raw), longest, self.width), np.float32)
        hours, mask = np.zeros((len(raw), longest), np.float32), np.zeros((len(raw), longest), bool)
        mask[lengths == 0, 0] = True
        for start, length in zip(starts, np.diff(starts, append=len(events.patient)), strict=True):
            row, kept = int(events.patient[start]), min(int(length), self.steps)
            order = start + np.lexsort((concept[start : start + length], events.hours[start : start + length]))
            when = events.hours[order]
            since = np.diff(when, prepend=when[0])
            visit = 1 + np.cumsum(since > self.gap)
            told = (concept[order], type_of[events.code[order]], _ages(raw[row], when), visit, 2 - visit % 2, since)
            values[row, :kept] = np.stack(told, axis=1)[-kept:]
            hours[row, :kept], mask[row, :kept] = when[-kept:], True
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask), torch.from_numpy(hours))


def _type(code: str) -> str:
    return code.partition("//")[0]


def _ages(record: Events, hours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the age in years at these hours; 0 for a patient whose birth is not recorded."""
    born = record.hours[record.codes == BIRTH]
    return (hours - born.min()) / YEAR if len(born) else np.zeros(len(hours))
