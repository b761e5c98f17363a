"""Tokens streamed from disk: each batch is read and scaled when it is needed, so that memory stays bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from chiasm.protocols import Encoder
from chiasm.tokens import Tokens


@dataclass(frozen=True)
class StreamedTokens:
    """The tokens of one modality for all patients, like `PackedTokens`, but read from the store batch by batch.

    Args:
        raw: `StoredTokens` of the patients who have the modality.
        encoder: the encoder, fitted on training patients.
        places: `(B,)` the index of each patient in `raw`, -1 if absent.
        lengths: `(B,)` int64 number of tokens of each patient.
    """

    raw: Any
    encoder: Encoder
    places: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, raw: Any, encoder: Encoder, rows: np.ndarray, patients: int) -> StreamedTokens:
        """Create from `raw` of the patients `rows` out of `patients`; the others are absent."""
        places, lengths = np.full(patients, -1), np.zeros(patients, np.int64)
        places[rows], lengths[rows] = np.arange(len(rows)), raw.lengths
        return cls(raw, encoder, places, lengths)

    def __len__(self) -> int:
        return len(self.places)

    @property
    def width(self) -> int:
        return self.encoder.width

    @property
    def slots(self) -> int:
        return self.encoder.slots

    def subset(self, rows: np.ndarray) -> StreamedTokens:
        """Return the tokens of the patients `rows`, still on disk."""
        if len(rows) == len(self) and np.array_equal(rows, np.arange(len(self))):
            return self
        return StreamedTokens(self.raw, self.encoder, self.places[rows], self.lengths[rows])

    def take(self, rows: np.ndarray) -> Tokens:
        """Read and encode the patients `rows` as a padded batch, as long as the longest of them or `slots`."""
        places = self.places[rows]
        here = np.flatnonzero(places >= 0)
        longest = self.slots or max(1, int(self.lengths[rows].max(initial=0)))
        tokens = self.encoder.encode(self.raw.take(places[here])) if len(here) else None
        if tokens is not None and len(here) == len(rows):
            return tokens
        values = torch.zeros((len(rows), longest, self.width), dtype=torch.float32)
        mask = torch.zeros((len(rows), longest), dtype=torch.bool)
        if tokens is not None:
            values[torch.from_numpy(here)], mask[torch.from_numpy(here)] = tokens.values, tokens.mask
        return Tokens(values, mask)
