"""Encoder of event records: each code's value and amount of evidence at a few reference times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from chiasm.artifact import storable
from chiasm.encoders.record.event_summaries import KnownEvents, shared_codes, summaries
from chiasm.encoders.record.time_attention import TimeAttention
from chiasm.encoders.table.scaling import Array, Scaler, numeric, select
from chiasm.errors import count
from chiasm.readers.reading import Events
from chiasm.tokens import Tokens

AT_ONCE = 1 << 17  # events whose attention is held in memory
CLIP = 5.0


@storable("encoder-events", infinite=("scale",))
@dataclass(frozen=True)
class EventEncoder:
    """Event encoder that interpolates irregular records at reference times by untrained time attention.

    A token is a reference time. It holds the value of every code of the vocabulary at that time, then the evidence of
    every code, from `TimeAttention` with a window of `window` grid steps. Values are `clip(asinh((x - median) / s),
    -5, 5) / 2`, with `s` the interquartile range of the training values / 1.349, or their standard deviation if that
    range is zero; a code without any value is 0, the training median. The references are evenly spaced from the 5th
    percentile of the training patients' first hours to the 95th of their last. Every reference uses the whole record,
    before and after it: to predict from some time on, pass the record up to that time.

    Codes outside the vocabulary are ignored. A patient without any known code has all tokens, with zero evidence.
    The value of the birth (`MEDS_BIRTH`) is the age, in years, at the first other event.

    Source: see `TimeAttention`; the use for records of hospital stays follows Zhang et al., ICML 2023 (arXiv
    2210.12156), without their gate and with no training.

    Args:
        references: the number of reference times, T.
        codes: the largest vocabulary; D is twice its size.
        share: minimum share of the training patients (at least two) who have a code of the vocabulary.
        common: the same for a code that `features` uses.
        window: width of the attention window, in grid steps.
        vocabulary, read: the codes of tokens and of features, sorted.
        median, scale: `(codes,)` of the values; the scale is infinite for a code without values or spread in training.
        grid: `(references,)` hours.
        scaler: the scaler of the features.
    """

    references: int = 12
    codes: int = 128
    share: float = 0.02
    common: float = 0.1
    window: float = 1.0
    vocabulary: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    median: np.ndarray | None = None
    scale: np.ndarray | None = None
    grid: np.ndarray | None = None
    scaler: Scaler | None = None

    fitted_on_cohort = True

    def __post_init__(self) -> None:
        if self.references < 1 or self.codes < 1:
            raise ValueError("the events encoder needs references >= 1 and codes >= 1")
        if not (0 <= self.share <= 1 and 0 <= self.common <= 1 and self.window > 0):
            raise ValueError("the events encoder needs share and common between 0 and 1, and window > 0")

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        codes = len({*self.vocabulary, *self.read})
        return f"{count(codes, 'code')} of records, each of two patients or more, with median and scale of its values"

    def fit(self, raw: Sequence[Events], patients: Sequence[str] = ()) -> Self:
        """Fit on the records of the training patients.

        Raises:
            ValueError: no code is in the records of at least two patients and a `share` of them.
        """
        known = known_codes(raw, self.share, self.codes, self.references)
        read = shared_codes(raw, max(self.common, self.share), self.codes)
        own = summaries(KnownEvents.of(raw, read), len(raw), read) if read else pd.DataFrame(index=range(len(raw)))
        scaler = Scaler.fit(own[_telling(own, max(2, int(np.ceil(self.common * len(raw)))))])
        return replace(self, **known, read=read, scaler=scaler)

    @property
    def slots(self) -> int:
        return self.references

    @property
    def width(self) -> int:
        return 2 * len(self.vocabulary)

    def features(self, raw: Sequence[Events]) -> Array:
        """Compute scaled `summaries` of the codes that a share `common` of the training patients have: `(n, F)`.

        Columns that are constant, too rare or duplicates in training are left out.
        """
        scaler = self._fitted()
        return scaler(self._summaries(raw)) if self.read else np.zeros((len(raw), 0))

    def unscaled(self, raw: Sequence[Events]) -> Array:
        """Compute the columns of `features` in their own units, NaN where a patient lacks one: `(n, F)`, for trees."""
        scaler = self._fitted()
        return numeric(select(self._summaries(raw), scaler.columns)) if self.read else np.zeros((len(raw), 0))

    def _fitted(self) -> Scaler:
        if self.scaler is None:
            raise ValueError("the events encoder is not fitted: call fit on training rows first")
        return self.scaler

    def _summaries(self, raw: Sequence[Events]) -> pd.DataFrame:
        return summaries(KnownEvents.of(raw, self.read), len(raw), self.read)

    def encode(self, raw: Sequence[Events]) -> Tokens:
        """Encode records to tokens `(n, references, 2 x codes)`, with the reference hours as `times`."""
        if self.median is None or self.scale is None or self.grid is None:
            raise ValueError("the events encoder is not fitted: call fit on training rows first")
        size, steps = len(self.vocabulary), len(self.grid)
        values = np.zeros((len(raw), steps, 2 * size), np.float32)
        attention, span = self._attention()
        references = torch.from_numpy(self.grid - self.grid[0])
        for events in KnownEvents.of(raw, self.vocabulary).chunks(AT_ONCE):
            first = int(events.patient[0])
            patients = int(events.patient[-1]) - first + 1
            # Events further than one span before or after the grid are moved to that distance.
            hours = torch.from_numpy(np.clip(events.hours - self.grid[0], -span, 2 * span))
            scaled = torch.from_numpy(scaled_values(events, self.median, self.scale))
            group = torch.from_numpy((events.patient - first) * size + events.code)
            everything = torch.ones(len(group), dtype=torch.bool)
            with torch.no_grad():
                value, _ = attention(hours, scaled, ~torch.isnan(scaled), group, patients * size, references)
                _, evidence = attention(hours, scaled, everything, group, patients * size, references)
            both = [part.reshape(patients, size, steps).transpose(1, 2) for part in (value, evidence)]
            values[first : first + patients] = torch.cat(both, dim=2).numpy()
        times = torch.from_numpy(self.grid.astype(np.float32)).expand(len(raw), -1).contiguous()
        return Tokens(torch.from_numpy(values), torch.ones(values.shape[:2], dtype=torch.bool), times)

    def _attention(self) -> tuple[TimeAttention, float]:
        """Create the attention for this grid; return it and the hours that the grid spans."""
        assert self.grid is not None  # encode raised otherwise
        span = float(self.grid[-1] - self.grid[0]) or 1.0
        return TimeAttention(2 * span, self.window * span / max(1, len(self.grid) - 1)), span


def scaled_values(events: KnownEvents, median: Array, scale: Array) -> Array:
    """Return `clip(asinh((x - median) / scale), -5, 5) / 2` of every value, `(N,)`; NaN where there is none."""
    scaled = np.arcsinh((events.values - median[events.code]) / scale[events.code])
    return np.asarray(np.clip(scaled, -CLIP, CLIP) / 2)


def known_codes(raw: Sequence[Events], share: float, most: int, references: int) -> dict[str, Any]:
    """Return the `vocabulary` of training records, its values' `median` and `scale`, and the `grid` of references.

    Raises:
        ValueError: no code is in the records of at least two patients and a `share` of them.
    """
    vocabulary = shared_codes(raw, share, most)
    if not vocabulary:
        raise ValueError(
            "no code is shared by enough patients: write codes without what differs between them, or lower share"
        )
    events = KnownEvents.of(raw, vocabulary)
    median, scale = code_scales(events, len(vocabulary))
    return {"vocabulary": vocabulary, "median": median, "scale": scale, "grid": reference_grid(events, references)}


def code_scales(events: KnownEvents, size: int) -> tuple[Array, Array]:
    """Return median and scale of each code's values, `(size,)`; an infinite scale without values or spread."""
    median, scale = np.zeros(size), np.full(size, np.inf)
    valued = ~np.isnan(events.values)
    for code in np.unique(events.code[valued]):
        own = events.values[valued & (events.code == code)]
        low, median[code], high = np.quantile(own, (0.25, 0.5, 0.75))
        spread = (high - low) / 1.349 if high > low else own.std()
        scale[code] = spread if spread > 0 else np.inf
    return median, scale


def reference_grid(events: KnownEvents, references: int) -> Array:
    """Return evenly spaced hours, from the 5th percentile of the first ones to the 95th of the last ones."""
    starts = np.flatnonzero(np.diff(events.patient, prepend=-1))
    first = np.minimum.reduceat(events.hours, starts)
    last = np.maximum.reduceat(events.hours, starts)
    # Built backwards, so that a single reference is the last time.
    return np.linspace(np.quantile(last, 0.95), np.quantile(first, 0.05), references)[::-1].copy()


def _telling(own: pd.DataFrame, enough: int) -> list[str]:
    """Select columns that at least `enough` training patients have, that vary and that duplicate no earlier column."""
    seen, kept = set[bytes](), []
    for name in own.columns:
        column = own[name].to_numpy(np.float64)
        some = column[~np.isnan(column)]
        if len(some) >= enough and np.ptp(some) > 0 and column.tobytes() not in seen:
            seen.add(column.tobytes())
            kept.append(str(name))
    return kept
