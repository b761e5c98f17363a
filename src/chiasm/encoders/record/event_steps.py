"""Encoder of event records as they are timed: one token for each time at which something was observed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.encoders.record.event_summaries import KnownEvents
from chiasm.encoders.record.events import known_codes, scaled_values
from chiasm.encoders.table.scaling import Array
from chiasm.errors import count
from chiasm.readers.reading import Events
from chiasm.tokens import Tokens


@storable("encoder-event-steps", infinite=("scale",))
@dataclass(frozen=True)
class EventSteps:
    """Encoder of irregular records without interpolation, for fusions that read `Tokens.times`.

    A token holds the mean value of every code of the vocabulary at its time, scaled as by `EventEncoder` and 0 where
    the code has no value; then 1 for every code that has a value and 0 for the others; then 1 for every code that was
    observed, with a value or without, and 0 for the others. Its time is in hours, as the record's own. A patient with
    more than `steps` times has as many tokens of equal length in time, each at the mean time of its events. A patient
    without any known code has one token, at the first reference, that observed nothing.

    Args:
        steps: the largest number of tokens.
        references: number of reference times in `grid`.
        codes, share: as in `EventEncoder`; D is three times the vocabulary's size.
        vocabulary: codes, sorted.
        median, scale: `(codes,)` of the values; the scale is infinite for a code without values or spread in training.
        grid: `(references,)` hours, from the 5th percentile of the first to the 95th of the last in training.
    """

    steps: int = 64
    references: int = 24
    codes: int = 128
    share: float = 0.02
    vocabulary: tuple[str, ...] = ()
    median: np.ndarray | None = None
    scale: np.ndarray | None = None
    grid: np.ndarray | None = None

    slots = 0
    fitted_on_cohort = True

    def __post_init__(self) -> None:
        if min(self.steps, self.references, self.codes) < 1 or not 0 <= self.share <= 1:
            raise ValueError("event steps need steps, references and codes >= 1, and share between 0 and 1")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        codes = count(len(self.vocabulary), "code")
        return f"{codes} of records, each of two patients or more, with median and scale of its values"

    @property
    def width(self) -> int:
        return 3 * len(self.vocabulary)

    def fit(self, raw: Sequence[Events], patients: Sequence[str] = ()) -> Self:
        """Fit on the records of the training patients.

        Raises:
            ValueError: no code is in the records of at least two patients and a `share` of them.
        """
        return replace(self, **known_codes(raw, self.share, self.codes, self.references))

    def encode(self, raw: Sequence[Events]) -> Tokens:
        """Encode records to tokens `(n, longest, 3 x codes)` with their `times`."""
        if self.median is None or self.scale is None or self.grid is None:
            raise ValueError("the event steps are not fitted: call fit on training rows first")
        events, size = KnownEvents.of(raw, self.vocabulary), len(self.vocabulary)
        scaled = scaled_values(events, self.median, self.scale)
        parts = [np.zeros((1, 3 * size))] * len(raw)
        times = [self.grid[:1]] * len(raw)
        starts = np.flatnonzero(np.diff(events.patient, prepend=-1))
        for start, stop in zip(starts, np.append(starts, len(events.patient))[1:], strict=True):
            row, own = int(events.patient[start]), slice(start, stop)
            parts[row], times[row] = self._steps(events.hours[own], events.code[own], scaled[own])
        longest = max((len(part) for part in parts), default=1)
        values = np.zeros((len(raw), longest, 3 * size), np.float32)
        hours, mask = np.zeros((len(raw), longest), np.float32), np.zeros((len(raw), longest), bool)
        for row, (part, when) in enumerate(zip(parts, times, strict=True)):
            values[row, : len(part)], hours[row, : len(part)], mask[row, : len(part)] = part, when, True
        return Tokens(torch.from_numpy(values), torch.from_numpy(mask), torch.from_numpy(hours))

    def _steps(self, hours: Array, code: np.ndarray, scaled: Array) -> tuple[Array, Array]:
        """Return the tokens `(T, 3 codes)` of one patient and their hours `(T,)`, ascending."""
        size = len(self.vocabulary)
        known, step = np.unique(hours, return_inverse=True)
        if len(known) > self.steps:
            edges = np.linspace(known[0], known[-1], self.steps + 1)[1:-1]
            _, step = np.unique(np.searchsorted(edges, hours, side="right"), return_inverse=True)
        many = int(step.max()) + 1
        cell, valued = step * size + code, ~np.isnan(scaled)
        events, many_values = (np.bincount(own, minlength=many * size) for own in (cell, cell[valued]))
        values = np.bincount(cell[valued], scaled[valued], many * size) / np.maximum(many_values, 1)
        parts = [part.reshape(many, size) for part in (values, many_values > 0, events > 0)]
        when = np.bincount(step, hours) / np.bincount(step)
        return np.concatenate(parts, axis=1), when
