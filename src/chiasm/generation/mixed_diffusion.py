"""`mixed-diffusion`: numbers take steps of Gaussian noise, levels steps of chance, and one network takes both back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from chiasm.artifact import storable
from chiasm.compute.isolation import own_randomness, threads_for
from chiasm.generation.diffusion import FEWEST_STEPS
from chiasm.generation.mixed_columns import Coded, MixedColumns
from chiasm.generation.mixed_network import MixedNetwork, MixedValues, network_of, trained, trained_without_telling
from chiasm.generation.multinomial import before, drawn
from chiasm.generation.private_training import UPDATES as PRIVATE_UPDATES
from chiasm.generation.rows import Rows

Array = NDArray[np.float64]
EXPECTED_DRAWS = 25
DENSITY_DRAWS = 16


@storable("mixed-diffusion")
@dataclass(frozen=True)
class FittedMixedDiffusion:
    """A fitted diffusion over the outcome and all modalities.

    Args:
        columns: how patients become numbers and levels.
        steps, width: of the network, which tells the noise of numbers, and which level was there.
        state: its parameters.
    """

    columns: MixedColumns
    steps: int
    width: int
    state: dict[str, np.ndarray]

    @classmethod
    def of(cls, columns: MixedColumns, network: MixedNetwork, width: int) -> Self:
        """Keep a trained network."""
        kept = {name: own.detach().numpy().copy() for name, own in network.named_parameters()}
        return cls(columns, network.steps, width, kept)

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return "quantiles of columns, shares of levels, and the weights of a network that draws rows of patients"

    @cached_property
    def network(self) -> MixedNetwork:
        """The network with its parameters, for prediction."""
        with own_randomness(0):
            made = network_of(self.columns, self.steps, self.width)
        made.load_state_dict({name: torch.tensor(own) for name, own in self.state.items()}, strict=False)
        return made.eval()

    def sample(self, n: int, seed: int, given: Rows | None = None) -> Rows:
        """Draw n patients, or what those given lack; see `generation.generator.Fitted`."""
        rng = np.random.default_rng(np.random.SeedSequence(seed))
        values, known = self._given(n, given)
        return self.columns.rows(_coded(self._drawn(values, known, seed)), given, rng)

    def expected(self, given: Rows) -> Rows:
        """What is given, and for what is lacking the median of 25 draws of numbers and the most frequent level.

        All patients meet the same noise in each draw, so that what is expected of one hangs on no other.
        """
        values, known = self._given(len(given), given)
        found = [self._drawn(values, known, seed, alike=True) for seed in range(EXPECTED_DRAWS)]
        numbers = torch.stack([own.numbers for own in found]).median(0).values
        levels = torch.stack([own.levels for own in found]).mean(0)
        return self.columns.rows(_coded(MixedValues(numbers, levels)), given, None)

    def log_density(self, rows: Rows) -> Array:
        """`(n,)` less the loss of a patient, over the same 16 times and draws of noise for all: no density as such."""
        values, known = self.network.values(self.columns.coded(rows))
        blank = values.nothing()
        out = torch.zeros(len(rows))
        with torch.no_grad(), threads_for(self.network.multiplications * len(rows)):
            for draw in range(DENSITY_DRAWS):
                generator = torch.Generator().manual_seed(draw)
                at = torch.full((len(rows),), 1 + draw * self.network.steps // DENSITY_DRAWS)
                out -= self.network.loss(values, known, blank, at, generator)
        return (out / DENSITY_DRAWS).double().numpy()

    def _given(self, n: int, given: Rows | None) -> tuple[MixedValues, MixedValues]:
        """Values of what is given, and which are: all that says what is missing says that it is there."""
        if given is None:
            return self.network.blank(n)
        coded = self.columns.coded(given)
        says, there = self.columns.indicators()
        return self.network.values(Coded(coded.numbers, np.where(says, there, coded.codes)))

    def _drawn(self, values: MixedValues, known: MixedValues, seed: int, alike: bool = False) -> MixedValues:
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad(), threads_for(self.network.multiplications * len(values.numbers)):
            return list(backwards(self.network, values, known, generator, alike))[-1]


def backwards(
    network: MixedNetwork, values: MixedValues, known: MixedValues, generator: torch.Generator, alike: bool = False
) -> Iterator[MixedValues]:
    """Yield patients at each step back from noise to data; what is known is itself at every step.

    Numbers: `z_{t-1} = (z_t - b_t / sqrt(1 - abar_t) eps) / sqrt(a_t) + sqrt(v_t) n`, with
    `v_t = b_t (1 - abar_{t-1}) / (1 - abar_t)` (Ho et al., NeurIPS 2020). Levels: a draw from `q(x_{t-1} | x_t, told)`.

    Args:
        alike: all patients meet the same noise.
    """

    def noise_of() -> Tensor:
        many = values.numbers.shape[1]
        return torch.randn(1 if alike else n, many, generator=generator).expand(n, many)

    shares, valid, n = network.shares, network.valid, len(values.numbers)
    numbers = noise_of()
    levels = drawn((valid / valid.sum(-1, keepdim=True)).expand(n, -1, -1), generator, alike)
    for at in range(network.steps, 0, -1):
        numbers = torch.where(known.numbers > 0, values.numbers, numbers)
        levels = torch.where(known.levels > 0, values.levels, levels)
        noise, told = network(MixedValues(numbers, levels), known, torch.full((n,), at))
        share, earlier = float(shares[at]), float(shares[at - 1])
        own = share / earlier
        numbers = (numbers - (1 - own) / np.sqrt(1 - share) * noise) / np.sqrt(own)
        numbers = numbers.clamp(-network.furthest, network.furthest)
        if at > 1:
            spread = np.sqrt((1 - own) * (1 - earlier) / (1 - share))
            numbers = numbers + spread * noise_of()
        chances = before(levels, told, torch.full((n,), own), torch.full((n,), earlier), valid)
        levels = drawn(chances, generator, alike)
        yield MixedValues(
            torch.where(known.numbers > 0, values.numbers, numbers),
            torch.where(known.levels > 0, values.levels, levels),
        )


def _coded(values: MixedValues) -> Coded:
    return Coded(values.numbers.double().numpy(), values.levels.argmax(-1).numpy())


@dataclass(frozen=True)
class MixedDiffusion:
    """A small diffusion of mixed columns, after TabDDPM (ICML 2023).

    Numbers become normal scores by their own distribution, words and numbers of at most ten values stay levels, so that
    they need no order; the outcome, who lacks a modality and which cells are missing are levels and numbers among the
    others, and what is missing is noise. Of half of the patients of each step the network is shown some blocks as they
    are, so that it draws what a patient lacks given what he has.

    Args:
        steps: of noise.
        width: of the network's two hidden layers.
        updates: of the network at most; it stops earlier where a tenth of the patients, who teach it nothing, are told
            no better.
        factors: of each wide block; 0: those that stand out of the noise.
        seed: of the network and its training.
        epsilon: of differential privacy; 0: without.
    """

    steps: int = 100
    width: int = 128
    updates: int = 3000
    factors: int = 0
    seed: int = 0
    epsilon: float = 0.0

    def __post_init__(self) -> None:
        if self.steps < FEWEST_STEPS or min(self.width, self.updates) < 1 or self.factors < 0:
            raise ValueError(
                f"mixed-diffusion takes at least {FEWEST_STEPS} steps, a width and updates of at least 1, and factors "
                "of at least 0"
            )

    @property
    def name(self) -> str:
        own, plain = vars(self), vars(type(self)())
        said = ",".join(f"{key}={value}" for key, value in own.items() if value != plain[key])
        return f"mixed-diffusion:{said}" if said else "mixed-diffusion"

    def private(self, epsilon: float) -> MixedDiffusion:
        """The same under differential privacy, of at most 400 updates."""
        return replace(self, epsilon=epsilon, updates=min(self.updates, PRIVATE_UPDATES))

    def fit(self, rows: Rows) -> FittedMixedDiffusion:
        """Fit to patients; no level of fewer than five is kept but those of the outcome."""
        if self.epsilon:
            columns = MixedColumns.fit(rows, self.factors, of_range=True)
            network = trained_without_telling(
                columns, columns.coded(rows), self.steps, self.width, self.updates, self.seed, self.epsilon
            )
            return FittedMixedDiffusion.of(columns, network, self.width)
        columns = MixedColumns.fit(rows, self.factors)
        network = trained(columns, columns.coded(rows, fitted=True), self.steps, self.width, self.updates, self.seed)
        return FittedMixedDiffusion.of(columns, network, self.width)
