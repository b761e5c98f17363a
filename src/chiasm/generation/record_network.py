"""`autoregressive`: each event is drawn given those before it and what else is known of the patient."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness, threads_for
from chiasm.generation.mixed_columns import MixedColumns
from chiasm.generation.record_words import RecordWords, Worded
from chiasm.generation.records import Records
from chiasm.generation.rows import Rows

WIDTH, BATCH, RATE = 64, 32, 3e-3
UPDATES, ASKED, PATIENCE = 1500, 50, 4
APART, LEAST_APART = 0.1, 10


class RecordNetwork(nn.Module):
    """`h_k = GRU(h_{k-1}, event k)`, from a start upon the patient; a code upon h, its gap upon both, then its value.

    Args:
        sizes: number of words for codes, gaps and values. given: numbers that a patient is told by.
    """

    def __init__(self, sizes: tuple[int, int, int], given: int, width: int) -> None:
        super().__init__()
        self.words = nn.ModuleList(nn.Embedding(size, width) for size in sizes)
        self.start = nn.Sequential(nn.Linear(given, width), nn.Tanh())
        self.cell = nn.GRU(width, width, batch_first=True)
        self.code, self.gap, self.value = (nn.Linear(width, size) for size in sizes)
        self.multiplications = float(sum(own.numel() for own in self.cell.parameters()))

    def loss(self, words: Tensor, given: Tensor) -> Tensor:
        """`(B,)` less the log probability of each record, its end among it, a mean over its events.

        Args:
            words: `(B, T, 3)` codes, gaps and values. given: `(B, G)`.
        """
        own = [embed(words[..., k]) for k, embed in enumerate(self.words)]
        start = self.start(given)
        after, _ = self.cell(sum(own)[:, :-1], start[None])
        before = torch.cat([start[:, None], after], dim=1)
        there, event = words[..., 0] > 0, words[..., 0] > 1
        found = _unlikely(self.code(before), words[..., 0]) * there
        found = found + _unlikely(self.gap(before + own[0]), words[..., 1]) * event
        found = found + _unlikely(self.value(before + own[0] + own[1]), words[..., 2]) * event
        return found.sum(1) / there.sum(1).clamp_min(1)

    @torch.no_grad()
    def draw(self, given: Tensor, longest: int, generator: torch.Generator) -> Tensor:
        """Words `(B, longest, 3)` of records, one event or more each; a record that does not end is cut."""
        state = self.start(given)[None]
        going, found = torch.ones(len(given), dtype=torch.bool), []
        for place in range(longest):
            before = state[0]
            scores = self.code(before).index_fill(1, torch.tensor([0] if place else [0, 1]), -torch.inf)
            own = [_one(scores, generator)]
            own.append(_one(self.gap(before + self.words[0](own[0])), generator))
            own.append(_one(self.value(before + self.words[0](own[0]) + self.words[1](own[1])), generator))
            going = going & (own[0] > 1)
            found.append(torch.stack(own, dim=-1) * going[:, None])
            if not going.any():
                break
            whole = sum(embed(words) for embed, words in zip(self.words, own, strict=True))
            _, state = self.cell(whole[:, None], state)
        return torch.stack(found, dim=1)


@dataclass(frozen=True)
class FittedRecords:
    """A fitted model of the records of one modality.

    Args:
        words, network: what an event is to the network, and the network.
        columns: how what else is known of a patient becomes numbers.
    """

    words: RecordWords
    network: RecordNetwork
    columns: MixedColumns

    def sample(self, rows: Rows, has: NDArray[np.bool_], seed: int) -> Records:
        """Draw a record for each patient who has one, given the other columns."""
        given, generator = _numbers(self.columns, rows)[has], torch.Generator().manual_seed(seed)
        words = np.zeros((len(rows), 1, 3), dtype=int)
        if has.any():
            with threads_for(self.network.multiplications * len(given)):
                drawn = self.network.draw(given, self.words.longest, generator).numpy()
            words = np.zeros((len(rows), *drawn.shape[1:]), dtype=int)
            words[has] = drawn
        rng = np.random.default_rng(np.random.SeedSequence([seed, 3]))
        return self.words.records(Worded(*np.moveaxis(words, -1, 0)), rng)


def fit_records(records: Records, rows: Rows, seed: int = 0, updates: int = UPDATES) -> FittedRecords:
    """Fit the records of patients given their other columns; a tenth of them, held back, says when to stop.

    Codes, and values of a code, of fewer than five patients are left out; values and hours keep their distributions as
    101 quantiles, in sixteen parts of as many events each, and are drawn within a part.
    """
    words, columns = RecordWords.fit(records), MixedColumns.fit(rows)
    has = np.flatnonzero(records.lengths > 0)
    given = _numbers(columns, rows)[has]
    whole = torch.from_numpy(np.stack(words.worded(records.take(has)), axis=-1))
    lengths = (whole[..., 0] > 0).sum(1)
    with own_randomness(seed):
        network = RecordNetwork(words.sizes, given.shape[1], WIDTH)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(has), generator=generator)
    apart = min(max(LEAST_APART, round(APART * len(order))), len(order) // 2)
    asked, taught = order[:apart], order[apart:]
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    best, lowest, since = deepcopy(network), float("inf"), 0
    with threads_for(network.multiplications * BATCH):
        for update in range(1, updates + 1):
            batch = taught[torch.randint(len(taught), (min(BATCH, len(taught)),), generator=generator)]
            loss = network.loss(whole[batch, : int(lengths[batch].max())], given[batch]).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            if update % ASKED and update != updates:
                continue
            with torch.no_grad():
                parts = asked.split(BATCH)  # type: ignore[no-untyped-call]
                found = sum(
                    float(network.loss(whole[own, : int(lengths[own].max())], given[own]).sum()) for own in parts
                )
            since = since + 1 if found >= lowest else 0
            if found < lowest:
                best, lowest = deepcopy(network), found
            if since >= PATIENCE:
                break
    return FittedRecords(words, best.eval(), columns)


def _numbers(columns: MixedColumns, rows: Rows) -> Tensor:
    """`(n, G)` what is known of patients: numbers, which of them are known, and levels."""
    coded = columns.coded(rows)
    numbers = torch.from_numpy(coded.numbers).float()
    levels = [
        nn.functional.one_hot(torch.from_numpy(own + 1), size + 1)[:, 1:].float()
        for own, size in zip(coded.codes.T, columns.sizes, strict=True)
    ]
    return torch.cat([numbers.nan_to_num(0.0), (~numbers.isnan()).float(), *levels], dim=1)


def _unlikely(scores: Tensor, words: Tensor) -> Tensor:
    return nn.functional.cross_entropy(scores.flatten(0, 1), words.flatten(), reduction="none").view(words.shape)


def _one(scores: Tensor, generator: torch.Generator) -> Tensor:
    return torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0]
