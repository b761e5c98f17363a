"""Encoder of event records by a network that was pretrained to tell what comes next, from a folder, frozen."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.record.event_tokens import EventTokens
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.sequence.sequence_encoder import window_means
from chiasm.encoders.weights import Stamp, frozen, stamp_of
from chiasm.fusion.record_sequence import RecordSequence, in_order, since_first
from chiasm.pretraining.records.folder import stored_record_network
from chiasm.readers.reading import Events, ReadError
from chiasm.tokens import Tokens

LEVELS = ("pooled", "event")
MOST_WINDOWS = 64


@storable("encoder-record")
@dataclass(frozen=True)
class RecordEncoder:
    """Encoder with the states of a network that `chiasm pretrain --method next-event` wrote, one after each event.

    `level=pooled`: token 0 is the mean of all states, token 1 the last one, which has read the whole record, tokens
    2 .. W + 1 are the means over the windows `[floor(i n / W), ceil((i + 1) n / W))` of the n events in their order.
    `level=event`: one token an event, with its time; of a longer record the last `most`. Events whose code the network
    does not know are left out; a record that has no other is refused.

    Args:
        weights: the folder: its whole path, or that from where the command runs, or, in a manifest, from where that
            lies.
        level, windows, most: which states become tokens.

    Raises:
        ValueError: an option is out of range, or no folder is named.
        ReadError: at `encode`, a record without a code that the network knows.
        Unsupported: at first use: no such folder, or the package of the cell is missing.
    """

    weights: str = ""
    level: str = "pooled"
    windows: int = 4
    most: int = 256

    id: ClassVar[str] = "record"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64

    def __post_init__(self) -> None:
        if not self.weights:
            raise ValueError("the encoder 'record' needs weights=FOLDER, as chiasm pretrain --method next-event wrote")
        if self.level not in LEVELS or not 0 <= self.windows <= MOST_WINDOWS or self.most < 1:
            raise ValueError(f"level is pooled or event, windows 0 to {MOST_WINDOWS}, and most 1 or more")

    @property
    def width(self) -> int:
        return int(self._read.network.tasks.shape[1])

    @property
    def slots(self) -> int:
        return 2 + self.windows if self.level == "pooled" else 0

    @property
    def identity(self) -> str:
        """Return the encoder's identity, in which a hash of what the folder holds stands for its path."""
        return identity_of(replace(self, weights="-"), self._read.stamp)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def require(self, value: Events) -> None:
        """Raise ReadError of a record that `encode` would refuse."""
        if not np.isin(value.codes, self._read.events.vocabulary).any():
            raise ReadError(
                "no event has a code that the encoder's network knows",
                "write codes as where it was pretrained, or pretrain on records like these",
            )

    def remembered(self) -> SeenItems | None:
        """Return marks of the records that the network was pretrained on; None where the folder keeps none."""
        return self._read.seen

    def encode(self, raw: Sequence[Events]) -> Tokens:
        """Encode records to tokens `(B, 2 + windows, width)`, or `(B, T, width)` with times for `level=event`, float32.

        The network runs in float64, so that the states of a record do not depend on those beside it.
        """
        for record in raw:
            self.require(record)
        read = self._read
        if not len(raw):
            return Tokens(
                torch.zeros(0, self.slots or 1, self.width), torch.zeros(0, self.slots or 1, dtype=torch.bool)
            )
        own = in_order(read.events.encode(list(raw)))
        own = Tokens(own.values.double(), own.mask, None if own.times is None else own.times.double())
        assert own.times is not None
        with torch.no_grad():
            states = read.network.scanned(read.network.entrances["0"](own.values, since_first(own)))
        counts = own.mask.sum(1).tolist()
        if self.level == "pooled":
            parts = [self._pooled(state[:count]) for state, count in zip(states, counts, strict=True)]
            values = torch.stack(parts).float()
            return Tokens(values, torch.ones(values.shape[:2], dtype=torch.bool))
        longest = min(max(counts), self.most)
        values, times = states.new_zeros(len(raw), longest, self.width), states.new_zeros(len(raw), longest)
        mask = torch.zeros(len(raw), longest, dtype=torch.bool)
        for row, count in enumerate(counts):
            kept = slice(max(0, count - self.most), count)
            size = kept.stop - kept.start
            values[row, :size], times[row, :size] = states[row, kept], own.times[row, kept]
            mask[row, :size] = True
        return Tokens(values.float(), mask, times.float())

    def _pooled(self, states: Tensor) -> Tensor:
        """Return the tokens `(2 + W, D)` of one record's states `(n, D)`."""
        return torch.cat([states.mean(0, keepdim=True), states[-1:], window_means(states, self.windows)])

    @property
    def _read(self) -> _Read:
        return _stored(self.weights, stamp_of(self.weights, "chiasm pretrain --method next-event"))


@dataclass(frozen=True)
class _Read:
    """What a folder holds, the network in float64, and the hash by which it is known."""

    network: RecordSequence
    events: EventTokens
    seen: SeenItems | None
    stamp: str


@lru_cache(maxsize=4)
def _stored(folder: str, stamp: Stamp) -> _Read:
    stored = stored_record_network(folder)
    network, events = stored.network(), stored.events
    edges = b"" if events.edges is None else np.ascontiguousarray(events.edges, "<f8").tobytes()
    known = (
        "\0".join(events.vocabulary).encode() + f"{events.steps} {events.bins} {events.gap} {stored.config}".encode()
    )
    own = {name: value for name, value in network.state_dict().items() if name in stored.weights}
    digest = hashlib.sha256(hash_state(own).encode() + known + edges).hexdigest()
    seen = stored.facts.get("seen")
    return _Read(frozen(network).double(), events, seen if isinstance(seen, SeenItems) else None, digest)
