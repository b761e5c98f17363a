"""Patients as tensors: all those of a training, and a batch of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch
from torch import Tensor

from chiasm.tokens import Packed, Tokens
from chiasm.training.batches import take


@dataclass(frozen=True)
class TargetTensors:
    """Outcomes of patients as tensors, as `target_tensors` makes them.

    Args:
        value: `(B,)` or `(B, K)`, float32.
        event: `(B,)` bool, False for every kind of target but survival.
    """

    value: Tensor
    event: Tensor

    def __len__(self) -> int:
        return len(self.value)

    def take(self, rows: np.ndarray) -> Self:
        """Return the outcomes of the patients `rows`."""
        index = torch.from_numpy(rows)
        return type(self)(self.value[index], self.event[index])

    def to(self, device: str | torch.device) -> Self:
        """Return the outcomes on a device."""
        return type(self)(self.value.to(device), self.event.to(device))

    @classmethod
    def of(cls, parts: Sequence[TargetTensors]) -> Self:
        """Concatenate the outcomes of several batches."""
        return cls(torch.cat([part.value for part in parts]), torch.cat([part.event for part in parts]))


@dataclass(frozen=True)
class Batch:
    """The patients of one step.

    Args:
        tokens: modality to its padded tokens.
        present: `(B, M)` bool, modalities sorted by name.
        target: outcomes of the B patients.
        offset: `(B, K)` that is added to the link of each patient; None: zero.
    """

    tokens: dict[str, Tokens]
    present: Tensor
    target: TargetTensors
    offset: Tensor | None = None

    def __len__(self) -> int:
        return len(self.present)


@dataclass(frozen=True)
class Examples:
    """The patients of a training, those held out for early stopping among them.

    Args:
        tokens: modality to the packed tokens of all patients.
        present: `(B, M)` bool, modalities sorted by name.
        target: outcomes of all patients.
        held_out: `(B,)` bool, patients used for early stopping and never trained on.
        offset: `(B, K)` float32 that is added to the link of each patient; None: zero.
    """

    tokens: Mapping[str, Packed]
    present: np.ndarray
    target: TargetTensors
    held_out: np.ndarray
    offset: Tensor | None = None

    def digest(self) -> str:
        """Return a hash of who has which modality, who is held out, the outcomes, what a teacher tells, the offsets."""
        found = hashlib.sha256()
        told = [getattr(self.target, own.name).numpy() for own in fields(self.target)]
        parts = [self.present, self.held_out, *told]
        for own in parts if self.offset is None else [*parts, self.offset.numpy()]:
            found.update(repr((own.shape, own.dtype.str)).encode() + np.ascontiguousarray(own).tobytes())
        return found.hexdigest()

    def batch(self, rows: np.ndarray, device: str, present: Tensor | None = None) -> Batch:
        """Return the patients `rows` as a padded batch; `present` `(B, M)` replaces which modalities they have."""
        here = torch.from_numpy(self.present[rows]) if present is None else present
        offset = None if self.offset is None else self.offset[torch.from_numpy(rows)].to(device)
        return Batch(take(self.tokens, rows, device), here.to(device), self.target.take(rows).to(device), offset)

    def held_out_batches(self, size: int, device: str) -> Iterator[Batch]:
        """Yield the held-out patients, in their order."""
        rows = np.flatnonzero(self.held_out)
        for start in range(0, len(rows), size):
            yield self.batch(rows[start : start + size], device)
