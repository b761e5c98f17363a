"""Recordings of several neurons as counts a bin, of unequal length, and the kernels by which the past is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.errors import count

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
LARGEST = 1_000_000  # spikes of a neuron in a bin: more are no counts


@dataclass(frozen=True)
class Recordings:
    """Counts `(B, T, N)` of B recordings, padded with zeros, and `there` `(B, T)`, True for bins that were recorded."""

    counts: Floats
    there: Bools

    @property
    def neurons(self) -> int:
        return int(self.counts.shape[2])

    @property
    def bins(self) -> NDArray[np.int64]:
        """(B,) number of bins of each recording."""
        return np.asarray(self.there.sum(axis=1))

    @property
    def rows(self) -> Floats:
        """`(M, N)` counts of all M bins that were recorded, one recording after another."""
        return np.asarray(self.counts[self.there])

    def flat(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the M recorded bins of an array `(B, T, ...)`."""
        return values[self.there]

    def unflat(self, values: Floats) -> Floats:
        """Return `(M, ...)` values of the recorded bins as `(B, T, ...)`, zero in padded ones."""
        found = np.zeros((*self.there.shape, *values.shape[1:]))
        found[self.there] = values
        return found


def recordings_of(
    arrays: Sequence[NDArray[Any]], neurons: int | None = None, rows: Sequence[int] | None = None
) -> Recordings:
    """Lay counts `(T_i, N)` of each recording side by side.

    Args:
        arrays: one a recording, bins by neurons, whole numbers from zero.
        neurons: how many there must be; None: as many as in the first.
        rows: of the patients' table, by which an error names a recording; None: it names none.

    Raises:
        Unsupported: a recording has other neurons, no bin, or what is no count.
    """
    width = arrays[0].shape[1] if neurons is None and len(arrays) else neurons or 0
    for number, own in enumerate(arrays):
        named = "a recording" if rows is None else f"the recording of row {rows[number]}"
        if own.ndim != 2 or not len(own) or not own.shape[1]:
            raise Unsupported(f"{named} is no array of bins by neurons with a bin and a neuron or more: write it so")
        if own.shape[1] != width:
            raise Unsupported(
                f"{named} has {count(own.shape[1], 'neuron')}, and others have {width:,}: give the same neurons, "
                "in the same order, in all"
            )
        problem = not_counts(own)
        if problem:
            raise Unsupported(f"{named} holds {problem}: give the spikes of each neuron in each bin, 0, 1, 2, ...")
    longest = max((len(own) for own in arrays), default=1)
    counts = np.zeros((len(arrays), longest, width))
    there = np.zeros((len(arrays), longest), dtype=bool)
    for row, own in enumerate(arrays):
        counts[row, : len(own)], there[row, : len(own)] = own, True
    return Recordings(counts, there)


def not_counts(values: NDArray[Any]) -> str:
    """Say why numbers are no counts, in words; empty if they are."""
    if not np.isfinite(values).all():
        return "numbers that are not finite"
    if (values < 0).any():
        return "negative numbers, which are no counts"
    if (values != np.floor(values)).any():
        return "fractions, which are no counts"
    return f"counts above {LARGEST:,}" if (values > LARGEST).any() else ""


def require_kernels(number: int, slowest: float) -> None:
    """Refuse kernels that cannot be.

    Raises:
        ValueError: there is none, or the slowest takes less than a bin or has no end.
    """
    if number < 1 or not 1 <= slowest < np.inf:
        raise ValueError("there is one kernel or more, and the slowest takes one bin or more, and has an end")


@storable("hidden-state-kernels")
@dataclass(frozen=True)
class Kernels:
    """Exponential kernels of the past: `k_c(d) = (1 - e_c) e_c^(d - 1)`, `e_c = exp(-1 / tau_c)`, d = 1, 2, ... bins.

    Each sums to one, so that what a kernel gives is a mean count a bin, and is not fitted.

    Args:
        taus: `(C,)` their time constants in bins.
    """

    taus: tuple[float, ...]

    @classmethod
    def spaced(cls, number: int, slowest: float) -> Kernels:
        """Return kernels of time constants in equal ratios, from one bin to `slowest` bins; the slowest where one."""
        return cls(tuple(np.geomspace(1.0, slowest, number).tolist()) if number > 1 else (slowest,))

    def __call__(self, counts: Floats) -> Floats:
        """`(B, T, N, C)` of counts `(B, T, N)`: what each bin's past was; before the first bin nothing was."""
        past = np.concatenate([np.zeros_like(counts[:, :1]), counts[:, :-1]], axis=1)
        kept = np.exp(-1.0 / np.asarray(self.taus))
        return np.stack([lfilter([1 - own], [1.0, -own], past, axis=1) for own in kept], axis=-1)

    def after(self, counts: Floats, bins: NDArray[np.int64]) -> Floats:
        """`(B, N, C)` the past of the bin that follows the last one of each recording, of `bins` (B,) bins."""
        longer = np.concatenate([counts, np.zeros_like(counts[:, :1])], axis=1)
        return np.asarray(self(longer)[np.arange(len(bins)), bins])

    def stepped(self, past: Floats, counts: Floats) -> Floats:
        """`(B, N, C)` the past of the next bin, of the past and the counts `(B, N)` of this one."""
        kept = np.exp(-1.0 / np.asarray(self.taus))
        return np.asarray(past * kept + counts[..., None] * (1 - kept))
