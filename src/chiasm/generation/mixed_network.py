"""The network of a mixed diffusion, its loss on numbers and levels, and its training."""

from __future__ import annotations

from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from chiasm.compute.isolation import own_randomness, threads_for
from chiasm.generation.mixed_columns import Coded, MixedColumns
from chiasm.generation.multinomial import cosine_shares, divergence, drawn, noised
from chiasm.generation.private_training import trained_privately

BATCH = 256
RATE, DECAY = 2e-3, 1e-5
KEPT = 0.99  # of the running mean of the weights, at each update; less at first
APART, LEAST_APART = 0.1, 10  # of the patients, who say when to stop
ASKED, PATIENCE, REPEATED = 100, 6, 8
FURTHEST = 6.0
GIVEN = 0.5  # share of patients in a step of whom something is shown as it is


class MixedValues(NamedTuple):
    """Of B patients: numbers `(B, P)`, and levels `(B, C, K)` one-hot; or which are known, 0 or 1, `(B, C, 1)`."""

    numbers: Tensor
    levels: Tensor

    def take(self, rows: Tensor) -> MixedValues:
        """Select patients."""
        return MixedValues(self.numbers[rows], self.levels[rows])

    def nothing(self) -> MixedValues:
        """Of the same patients, that nothing is known."""
        return MixedValues(torch.zeros_like(self.numbers), torch.zeros_like(self.levels[..., :1]))


def one_hot(codes: Tensor, width: int) -> Tensor:
    """`(B, C, K)` of places `(B, C)`; a place of -1 is all 0."""
    return nn.functional.one_hot(codes.clamp_min(0), width).float() * (codes >= 0)[..., None]


class MixedNetwork(nn.Module):
    """`eps, x_0 = net(z_t, x_t, which are known, t)`: two hidden layers and a time of 32 sines and cosines.

    Args:
        numbers: P. sizes: levels of each of C columns. steps: of noise. width: of a hidden layer.
        blocks: of each number, and then of each column of levels, the place of its block.
        says: `(C,)` whether a column of levels says what is missing; indicated: of which numbers and levels one does.
    """

    shares: Tensor
    valid: Tensor
    block: Tensor
    says: Tensor
    indicated: Tensor
    furthest = FURTHEST

    def __init__(
        self, numbers: int, sizes: list[int], steps: int, width: int, blocks: list[int],
        says: np.ndarray, indicated: np.ndarray,
    ) -> None:  # fmt: skip
        super().__init__()
        self.steps, self.wide = steps, max(sizes, default=1)
        valid = torch.arange(self.wide) < torch.tensor(sizes, dtype=torch.long)[:, None]
        for name, value in (
            ("shares", cosine_shares(steps)), ("valid", valid.float()),
            ("block", torch.tensor(blocks, dtype=torch.long)),
            ("says", torch.from_numpy(says)), ("indicated", torch.from_numpy(indicated)),
        ):  # fmt: skip
            self.register_buffer(name, value)
        columns = numbers + len(sizes)
        told = int(valid.sum())
        self.layers = nn.Sequential(
            nn.Linear(numbers + told + columns + 32, width), nn.SiLU(),
            nn.Linear(width, width), nn.SiLU(), nn.Linear(width, numbers + told),
        )  # fmt: skip
        self.multiplications = float(sum(own.weight.numel() for own in self.layers if isinstance(own, nn.Linear)))

    def forward(self, now: MixedValues, known: MixedValues, at: Tensor) -> tuple[Tensor, Tensor]:
        """Noise `(B, P)` of the numbers, and probabilities `(B, C, K)` of the levels that were there first."""
        valid = self.valid.bool()
        wave = (at[:, None] / self.steps) * torch.exp(torch.linspace(0, 5, 16))
        parts = [now.numbers, now.levels[:, valid], known.numbers, known.levels[..., 0], wave.sin(), wave.cos()]
        found = self.layers(torch.cat(parts, dim=1))
        many = now.numbers.shape[1]
        scores = now.levels.new_full(now.levels.shape, -torch.inf).masked_scatter(valid[None], found[:, many:])
        return found[:, :many], scores.softmax(-1)

    def values(self, coded: Coded) -> tuple[MixedValues, MixedValues]:
        """Patients as tensors, 0 where nothing is known, and which is known."""
        numbers, codes = torch.from_numpy(coded.numbers).float(), torch.from_numpy(coded.codes)
        some = MixedValues((~numbers.isnan()).float(), (codes >= 0).float()[..., None])
        return MixedValues(numbers.nan_to_num(0.0), one_hot(codes, self.wide)), some

    def blank(self, n: int) -> tuple[MixedValues, MixedValues]:
        """n patients of whom nothing is known."""
        many = len(self.block) - len(self.valid)
        return self.values(Coded(np.full((n, many), np.nan), np.full((n, len(self.valid)), -1)))

    def shown(self, known: MixedValues, generator: torch.Generator) -> MixedValues:
        """Which values a step shows as they are: of half of the patients nothing, else each block by half.

        Of half of these patients single columns of a block are hidden too. Columns that say what is missing are shown.
        """
        n = len(known.numbers)
        some = torch.rand(n, 1, generator=generator) < GIVEN
        blocks = torch.rand(n, int(self.block.max()) + 1, generator=generator) < 0.5
        cells = torch.rand(n, len(self.block), generator=generator)
        kept = torch.where(torch.rand(n, 1, generator=generator) < 0.5, 1.0, torch.rand(n, 1, generator=generator))
        own = blocks[:, self.block] & (cells < kept)
        many = known.numbers.shape[1]
        levels = own[:, many:] | self.says
        return MixedValues(known.numbers * (own[:, :many] & some), known.levels * (levels & some)[..., None])

    def loss(
        self, values: MixedValues, known: MixedValues, shown: MixedValues, at: Tensor, generator: torch.Generator
    ) -> Tensor:
        """`(B,)` loss: the mean squared error of the noise of numbers, and steps times the divergence of levels.

        Both are means over columns (Kotelnikov et al., TabDDPM, ICML 2023, equation 6, with the mean over numbers).
        What is missing is noise: it is told as such where another column says that it is missing, and else left out.
        """
        n, many = len(at), values.numbers.shape[1]
        even = (self.valid / self.valid.sum(-1, keepdim=True)).expand(n, -1, -1)
        first = torch.where(known.numbers > 0, values.numbers, torch.randn(values.numbers.shape, generator=generator))
        level = torch.where(known.levels > 0, values.levels, drawn(even, generator))
        share, earlier = self.shares[at], self.shares[at - 1]
        noise = torch.randn(first.shape, generator=generator)
        numbers = share.sqrt()[:, None] * first + (1 - share).sqrt()[:, None] * noise
        levels = drawn(noised(level, share, self.valid), generator)
        now = MixedValues(torch.where(shown.numbers > 0, first, numbers), torch.where(shown.levels > 0, level, levels))
        told, chances = self(now, shown, at)
        counted = (1 - shown.numbers) * torch.maximum(known.numbers, self.indicated[:many].float())
        error = (((told - noise) ** 2) * counted).sum(1) / max(1, many)
        apart = divergence(level, now.levels, chances, share / earlier, earlier, self.valid)
        weighed = (1 - shown.levels[..., 0]) * torch.maximum(known.levels[..., 0], self.indicated[many:].float())
        whole: Tensor = error + self.steps * (apart * weighed).sum(1) / max(1, len(self.valid))
        return whole


def network_of(columns: MixedColumns, steps: int, width: int) -> MixedNetwork:
    """A network for such columns, untrained."""
    names = list(columns.margins)
    blocks = [names.index(name) for name, _ in (*columns.numbers, *columns.codes)]
    numbers, levels = columns.indicated()
    says, _ = columns.indicators()
    return MixedNetwork(
        len(columns.numbers), columns.sizes, steps, width, blocks, says, np.concatenate([numbers, levels])
    )


def trained(columns: MixedColumns, coded: Coded, steps: int, width: int, updates: int, seed: int) -> MixedNetwork:
    """Train a network; of its running mean the one is kept that tells a tenth of the patients, held back, best."""
    with own_randomness(seed):
        network = network_of(columns, steps, width)
    generator = torch.Generator().manual_seed(seed)
    values, known = network.values(coded)
    order = torch.randperm(len(coded.numbers), generator=generator)
    apart = min(max(LEAST_APART, round(APART * len(order))), len(order) // 2)
    asked, taught = order[:apart].repeat(REPEATED), order[apart:]
    mean, best, lowest, since = deepcopy(network), deepcopy(network), float("inf"), 0
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    with threads_for(network.multiplications * min(BATCH, len(taught)) * 3):
        for update in range(1, updates + 1):
            batch = taught[torch.randint(len(taught), (min(BATCH, len(taught)),), generator=generator)]
            at = torch.randint(1, steps + 1, (len(batch),), generator=generator)
            own = known.take(batch)
            loss = network.loss(values.take(batch), own, network.shown(own, generator), at, generator).mean()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            with torch.no_grad():
                for kept, new in zip(mean.parameters(), network.parameters(), strict=True):
                    kept.lerp_(new, max(1 - KEPT, 9 / (update + 9)))
                if update % ASKED and update != updates:
                    continue
                found = _asked(mean, values.take(asked), known.take(asked))
            since = since + 1 if found >= lowest else 0
            if found < lowest:
                best, lowest = deepcopy(mean), found
            if since >= PATIENCE:
                break
    return best.eval()


def trained_without_telling(
    columns: MixedColumns, coded: Coded, steps: int, width: int, updates: int, seed: int, epsilon: float
) -> MixedNetwork:
    """Train a network under differential privacy; see `private_training.trained_privately`."""
    with own_randomness(seed):
        network = network_of(columns, steps, width)
    values, known = network.values(coded)

    def loss(network: MixedNetwork, rows: Tensor, generator: torch.Generator) -> Tensor:
        at = torch.randint(1, steps + 1, (len(rows),), generator=generator)
        own = known.take(rows)
        return network.loss(values.take(rows), own, network.shown(own, generator), at, generator)

    with threads_for(network.multiplications * BATCH * 3):
        return trained_privately(network, loss, len(coded.numbers), epsilon, updates, seed)


def _asked(network: MixedNetwork, values: MixedValues, known: MixedValues) -> float:
    """The mean loss of patients, at the same times and with the same noise each time."""
    generator = torch.Generator().manual_seed(0)
    at = torch.randint(1, network.steps + 1, (len(values.numbers),), generator=generator)
    return float(network.loss(values, known, network.shown(known, generator), at, generator).mean())
