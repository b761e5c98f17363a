"""Tokens, the output of every encoder and input of every fusion: padded batches, and a packed form without padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Tokens:
    """The tokens of one modality for a batch of patients.

    Args:
        values: `(B, T, D)` float. Values where `mask` is False are never read.
        mask: `(B, T)` bool, True for a real token.
        times: `(B, T)` float, hours on the patient's own clock, or None. Times where `mask` is False are never read.
    """

    values: Tensor
    mask: Tensor
    times: Tensor | None = None

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.mask.shape != self.values.shape[:2]:
            raise ValueError(
                "Tokens need values (B, T, D) and mask (B, T), "
                f"not {tuple(self.values.shape)} and {tuple(self.mask.shape)}"
            )

    def where_present(self, present: Tensor) -> Tokens:
        """Mask the tokens of absent patients, and replace every masked value and time by zero.

        A replaced value has zero gradient and cannot affect the output, be it NaN, 0 or 1e9.

        Args:
            present: `(B,)` bool.
        """
        mask = self.mask & present[:, None]  # (B, T)
        if bool(mask.all()):
            return self
        values = torch.where(mask[..., None], self.values, torch.zeros((), dtype=self.values.dtype))
        times = None if self.times is None else torch.where(mask, self.times, torch.zeros((), dtype=self.times.dtype))
        return Tokens(values, mask, times)


class Packed(Protocol):
    """Protocol of the tokens of many patients, in memory or on disk, from which batches are taken."""

    def __len__(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each patient, 0 if absent: `(B,)` int64."""

    def take(self, rows: np.ndarray) -> Tokens:
        """Return the patients `rows` as a padded batch."""

    def subset(self, rows: np.ndarray) -> Packed:
        """Return the tokens of the patients `rows`, still packed."""


@dataclass(frozen=True)
class PackedTokens:
    """Concatenated tokens of many patients, in memory and without padding.

    Args:
        values: `(sum of T_i, D)` float32.
        offsets: `(B + 1,)` int64; patient i owns `values[offsets[i]:offsets[i + 1]]`, and is absent without a token.
        slots: number of tokens of every present patient if each has its own meaning; 0 for bags.
        times: `(sum of T_i,)` float32 time of each token, or None.
    """

    values: Tensor
    offsets: np.ndarray
    slots: int = 0
    times: Tensor | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each patient: `(B,)` int64."""
        return np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Tokens:
        """Return the patients `rows` as a padded batch, as long as the longest of them or `slots`."""
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        longest = self.slots or max(1, int(lengths.max(initial=0)))
        steps = np.arange(longest)
        mask = steps[None, :] < lengths[:, None]  # (B, T)
        index = np.where(mask, starts[:, None] + steps[None, :], 0)
        if len(self.values) == 0:
            values = self.values.new_zeros((len(rows), longest, self.width))
            times = None if self.times is None else values.new_zeros((len(rows), longest))
            return Tokens(values, torch.from_numpy(mask), times)
        place = torch.from_numpy(index)
        values = self.values[place.reshape(-1)].reshape(len(rows), longest, self.width)
        return Tokens(values, torch.from_numpy(mask), None if self.times is None else self.times[place])

    def subset(self, rows: np.ndarray) -> PackedTokens:
        """Return the tokens of the patients `rows`, still packed."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        lengths = self.lengths[rows]
        starts = np.repeat(self.offsets[:-1][rows] - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        index = torch.from_numpy(starts + np.arange(int(lengths.sum())))
        times = None if self.times is None else self.times[index]
        return PackedTokens(self.values[index], np.concatenate([[0], np.cumsum(lengths)]), self.slots, times)

    def shared(self, places: np.ndarray) -> SharedTokens:
        """Let patient i have the tokens at `places[i]` of these, or none where it is -1."""
        nobody = np.concatenate([self.offsets, self.offsets[-1:]])
        return SharedTokens(PackedTokens(self.values, nobody, self.slots, self.times), places)

    @staticmethod
    def scatter(
        parts: Sequence[np.ndarray],
        rows: np.ndarray,
        patients: int,
        width: int,
        slots: int = 0,
        times: Sequence[np.ndarray] | None = None,
    ) -> PackedTokens:
        """Pack `parts[k]`, `(T_k, D)`, as the tokens of patient `rows[k]` among `patients`; the others are absent.

        `times[k]`, `(T_k,)`, are the times of these tokens; None if they have none.
        """
        lengths = np.zeros(patients, dtype=np.int64)
        lengths[rows] = [len(part) for part in parts]
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        if not parts:
            return PackedTokens(torch.zeros((0, width), dtype=torch.float32), offsets, slots)
        order = np.argsort(rows, kind="stable")
        flat = np.concatenate([parts[k] for k in order]).astype(np.float32, copy=False)
        when = None
        if times is not None:
            when = torch.from_numpy(np.concatenate([times[k] for k in order]).astype(np.float32))
        return PackedTokens(torch.from_numpy(np.ascontiguousarray(flat)), offsets, slots, when)


@dataclass(frozen=True)
class SharedTokens:
    """Tokens of many patients who share them, as pairs share drugs: each different one is kept once.

    Args:
        packed: the U different ones, and one without a token at the end.
        places: `(B,)` which of them each patient has; -1, the last, if absent.
    """

    packed: PackedTokens
    places: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    @property
    def width(self) -> int:
        return self.packed.width

    @property
    def slots(self) -> int:
        return self.packed.slots

    @property
    def lengths(self) -> np.ndarray:
        """Number of tokens of each patient: `(B,)` int64."""
        return np.asarray(self.packed.lengths[self.places])

    def take(self, rows: np.ndarray) -> Tokens:
        """Return the patients `rows` as a padded batch, as long as the longest of them or `slots`."""
        return self.packed.take(self.places[rows] % len(self.packed))

    def subset(self, rows: np.ndarray) -> SharedTokens:
        """Return the tokens of the patients `rows`, still shared."""
        return SharedTokens(self.packed, self.places[rows])
