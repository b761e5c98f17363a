"""What a sequence network makes of sequences: mean states of the whole and of windows along it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.compute.isolation import threads_for
from chiasm.encoders.sequence.network import SequenceNetwork, padded
from chiasm.encoders.sequence.sequence_encoder import conjoined, window_means

Floats = NDArray[np.float32]


@dataclass(frozen=True, repr=False)
class States:
    """Mean states of n sequences in memory, `(n, slots, D)`, read as stored tokens are."""

    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    @property
    def slots(self) -> int:
        """Tokens of each sequence."""
        return int(self.values.shape[1])

    @property
    def width(self) -> int:
        """D."""
        return int(self.values.shape[2])

    @property
    def lengths(self) -> NDArray[np.int_]:
        """Tokens of each sequence, `(n,)`."""
        return np.full(len(self), self.slots)

    def batch(self, rows: Sequence[int] | NDArray[np.int_]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return a copy of some, `(b, slots, D)`, and their mask."""
        own = self.values[np.asarray(rows, np.int64)]
        return own, np.ones(own.shape[:2], bool)

    def take(self, rows: NDArray[np.int_]) -> Self:
        """Return some of them."""
        return type(self)(self.values[rows])


def states_of(network: SequenceNetwork, texts: Sequence[str], windows: int, batch: int) -> States:
    """Run a network over sequences, those of similar length together; letters outside the alphabet are unknown.

    It runs in float64, so that the states of a sequence do not depend on those beside it.
    Token 0 is the mean over all letters, the others are those over windows, as `SequenceEncoder` has them.
    """
    network = copy.deepcopy(network).double()
    numbers = [network.tokenize(text, unknown=True) for text in texts]
    values = np.zeros((len(texts), 1 + windows, network.config.strand_width), np.float32)
    order = np.argsort([len(own) for own in numbers], kind="stable")
    work = 6.0 * sum(own.numel() for own in network.parameters()) * batch * max(map(len, numbers), default=0)
    with torch.inference_mode(), threads_for(work):
        for start in range(0, len(order), batch):
            rows = order[start : start + batch]
            ids, mask = padded([numbers[row] for row in rows])
            states = conjoined(network(ids, mask), network.config)
            for row, own, real in zip(rows, states, mask, strict=True):
                letters = own[real]
                values[row] = torch.cat([letters.mean(0, keepdim=True), window_means(letters, windows)]).numpy()
    return States(values)
