"""Fit hidden states to recordings by expectation-maximisation from several starts, and read recordings by them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.dynamics.states.chain import (
    Chain,
    Posterior,
    expected_states,
    forward,
    forward_backward,
    most_likely,
    reestimated,
)
from chiasm.dynamics.states.emission import SOFTPLUS, Emission
from chiasm.dynamics.states.networks import (
    Bins,
    Networks,
    OneHotStep,
    fresh,
    gaussian_penalty,
    hardened,
    hardened_penalty,
    improve_gaussian,
    improve_hardened,
    one_hot_from,
    spread_penalty,
)
from chiasm.dynamics.states.recordings import Kernels, Recordings
from chiasm.errors import count

Floats = NDArray[np.float64]
ONE_HOT, GAUSSIAN, FREE = "one-hot", "gaussian", "free"
CONNECTIVITIES = (ONE_HOT, GAUSSIAN, FREE)
STEPS = 12  # of L-BFGS within an M-step
EPOCHS_A_ROUND = 4  # of AdamW between two E-steps, as in the paper's code
POLISH = 3  # rounds after the signs of one-hot networks are held
CLOSE = 1e-5  # gain of log likelihood a bin below which rounds end
WEIGHT = 50.0  # bins that the sticky chain counts as
SMOOTH = 5  # bins over which counts are averaged, to find states to begin with


@dataclass(frozen=True)
class Settings:
    """How hidden states are fitted.

    Args:
        states: K, one or more.
        connectivity: "one-hot", "gaussian" or "free": the prior of the networks.
        link: "softplus" or "exp".
        kernels: C exponential kernels of the past; slowest: the longest time constant, in bins.
        stay: probability with which a state is kept from bin to bin, to begin with and as the prior's mode.
        rounds: E-steps at most; epochs: gradient steps of one-hot networks; restarts: how often all begins anew.
    """

    states: int = 3
    connectivity: str = ONE_HOT
    link: str = SOFTPLUS
    kernels: int = 5
    slowest: float = 10.0
    stay: float = 0.98
    rounds: int = 30
    epochs: int = 100
    restarts: int = 3


@storable("hidden-states")
@dataclass(frozen=True)
class Fitted:
    """Fitted hidden states: the chain, the rates of each state, how the past is read, and how the fit went.

    Args:
        signs: `(K, N, N, 3)` probability of inhibition, none and excitation of one-hot networks; empty for others.
        path: log likelihood a bin after each E-step of the start that was kept.
        starts: last log likelihood a bin of each start, the first first.
        rates: `(N,)` mean spikes a bin of the training recordings, and `bins` how many they had.
    """

    chain: Chain
    emission: Emission
    kernels: Kernels
    signs: np.ndarray
    path: tuple[float, ...]
    starts: tuple[float, ...]
    rates: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bins: int = 0

    def likelihood(self, recordings: Recordings) -> Floats:
        """`(B, T, K)` log likelihood of each bin in each state; zero in padded bins."""
        past = recordings.flat(self.kernels(recordings.counts))
        return recordings.unflat(self.emission.log_likelihood(recordings.rows, past))

    def posterior(self, recordings: Recordings) -> Posterior:
        """What the whole recordings say of the states."""
        return forward_backward(self.likelihood(recordings), recordings.there, self.chain)

    def path_of(self, recordings: Recordings) -> NDArray[np.int64]:
        """`(B, T)` the most likely path; -1 in padded bins."""
        return most_likely(self.likelihood(recordings), recordings.there, self.chain)

    def ahead(self, recordings: Recordings) -> Floats:
        """`(B, T, N)` spikes of each bin as expected from the bins before it: `sum_k p(z_t = k | y_1..t-1) r_ki(t)`."""
        past = recordings.flat(self.kernels(recordings.counts))
        rates = self.emission.rates(past)  # (M, K, N)
        known = np.exp(recordings.flat(expected_states(self.likelihood(recordings), recordings.there, self.chain)))
        return recordings.unflat(np.einsum("mk,mkn->mn", known, rates))

    def beyond(self, recordings: Recordings, bins: int) -> Floats:
        """`(B, H, N)` spikes of each of the H bins that follow each recording, as expected from it.

        From the second of them on, the past holds what was expected of the bins before, for their counts are not seen.
        """
        logs = forward(self.likelihood(recordings), recordings.there, self.chain)[:, -1]
        known = np.exp(logs - np.logaddexp.reduce(logs, axis=1, keepdims=True))
        past = self.kernels.after(recordings.counts, recordings.bins)
        found = np.empty((len(known), bins, recordings.neurons))
        for ahead in range(bins):
            known = known @ self.chain.moves
            found[:, ahead] = np.einsum("bk,bkn->bn", known, self.emission.rates(past))
            past = self.kernels.stepped(past, found[:, ahead])
        return found

    @property
    def parameters(self) -> int:
        """Number of parameters that were learned: biases, weights, the mix of kernels, starts and steps."""
        emission = self.emission
        return int(emission.bias.size + emission.weight.size + emission.mix.size + self.chain.start.size**2)


def fit_states(
    recordings: Recordings, settings: Settings, *, seed: int, told: Callable[[int], None] | None = None
) -> Fitted:
    """Fit hidden states from several starts, and keep the one whose log likelihood, less all penalties, is largest.

    Rounds of an E-step (forward-backward) and an M-step (chain in closed form, networks by gradient) begin with
    Gaussian networks; one-hot networks begin where these end.

    Args:
        seed: of the starts and of the Gumbel draws.
        told: called with the number of each start that is done.

    Raises:
        Unsupported: there is no spike, or there are fewer bins than states in every recording.

    Source: Li et al., ICLR 2024, https://arxiv.org/abs/2310.15263. Deviations:
    one-hot networks start from Gaussian ones; the divergence weighs as it does in the evidence bound; the spread of
    Gaussian networks is held from zero; strengths are fitted again after the signs are held; the chain is learned.
    """
    require_learnable(recordings, settings)
    past = recordings.flat(settings_kernels(settings)(recordings.counts))
    runs = []
    for number in range(settings.restarts if settings.states > 1 else 1):
        runs.append(_one_start(recordings, past, settings, seed, number))
        if told is not None:
            told(number + 1)
    best = int(np.argmax([score for score, _ in runs]))
    counts = recordings.rows
    ends = tuple(own.path[-1] for _, own in runs)
    return replace(runs[best][1], starts=ends, rates=counts.mean(axis=0), bins=len(counts))


def settings_kernels(settings: Settings) -> Kernels:
    """The kernels that settings ask for."""
    return Kernels.spaced(settings.kernels, settings.slowest)


def require_learnable(recordings: Recordings, settings: Settings) -> None:
    """Check that there is something to learn.

    Raises:
        Unsupported: no spike at all, or more states than the longest recording has bins.
    """
    if not recordings.counts.any():
        raise Unsupported("no recording holds a spike: there is no rate to learn")
    longest = int(recordings.bins.max())
    if settings.states > longest:
        raise Unsupported(
            f"{count(settings.states, 'state')} are asked for, and the longest recording has {count(longest, 'bin')}: "
            "give longer recordings, or ask for fewer states"
        )


def _one_start(
    recordings: Recordings, past: Floats, settings: Settings, seed: int, number: int
) -> tuple[float, Fitted]:
    """Fit from one start; returns the penalised log likelihood too."""
    rng = np.random.default_rng([seed, number])
    draws = torch.Generator().manual_seed(int(rng.integers(2**31)))
    counts, kernels = recordings.rows, settings_kernels(settings)
    networks = fresh(settings.states, counts, settings.kernels, settings.link, rng)
    chain = Chain.sticky(settings.states, settings.stay)
    weight = _first_states(recordings, settings.states, number, rng)
    path: list[float] = []
    free = settings.connectivity == FREE
    steps = STEPS if settings.states > 1 else 500

    def expect() -> Posterior:
        logs = recordings.unflat(networks.emission().log_likelihood(counts, past))
        found = forward_backward(logs, recordings.there, chain)
        path.append(float(found.evidence.sum()) / len(counts))
        return found

    for _ in range(settings.rounds if settings.states > 1 else 1):
        improve_gaussian(networks, Bins.of(counts, past, weight), free=free, steps=steps)
        found = expect()
        weight, chain = recordings.flat(found.states), reestimated(found, chain, settings.stay, WEIGHT)
        if len(path) > 1 and path[-1] - path[-2] < CLOSE:
            break
    signs = np.zeros((0, 0, 0, 0))
    if settings.connectivity == ONE_HOT:
        networks = one_hot_from(networks, Bins.of(counts, past, weight))
        step = OneHotStep(networks, draws)
        for _ in range(-(-settings.epochs // EPOCHS_A_ROUND)):
            step(Bins.of(counts, past, weight), EPOCHS_A_ROUND)
            found = expect()
            weight, chain = recordings.flat(found.states), reestimated(found, chain, settings.stay, WEIGHT)
        networks = hardened(networks)
        for _ in range(POLISH if settings.states > 1 else 1):
            improve_hardened(networks, Bins.of(counts, past, weight), steps=steps)
            found = expect()
            weight, chain = recordings.flat(found.states), reestimated(found, chain, settings.stay, WEIGHT)
        signs = torch.softmax(networks.adjacency, -1).numpy() if networks.adjacency is not None else signs
    fitted = Fitted(chain, networks.emission(), kernels, signs, tuple(path), ())
    return penalised(fitted, networks, recordings, settings), fitted


def penalised(fitted: Fitted, networks: Networks, recordings: Recordings, settings: Settings) -> float:
    """Return the log likelihood less all that the fit minimises beside it, by which starts are ranked.

    That is the penalty of the networks and of their spread, and the sticky prior of the chain.
    """
    if settings.states == 1:
        return 0.0  # there is one start
    held = Chain.sticky(settings.states, settings.stay)
    stuck = WEIGHT * held.moves * np.log(fitted.chain.moves), held.start * np.log(fitted.chain.start)
    penalty = 0.0
    if settings.connectivity == ONE_HOT:
        penalty = float(hardened_penalty(networks))
    elif settings.connectivity == GAUSSIAN:
        penalty = float(gaussian_penalty(networks, free=False)) + spread_penalty(networks)
    evidence = fitted.posterior(recordings).evidence.sum()
    return float(evidence + sum(own.sum() for own in stuck)) - penalty


def _first_states(recordings: Recordings, states: int, number: int, rng: np.random.Generator) -> Floats:
    """`(M, K)` states to begin with: clusters of smoothed rates at the first start, random stretches at the others."""
    if states == 1:
        return np.ones((int(recordings.there.sum()), 1))
    if number == 0:
        own = _clusters(recordings, states, int(rng.integers(2**31)))
    else:
        length = max(2, int(recordings.bins.max()) // (4 * states))
        stretches = -(-recordings.there.shape[1] // length)
        drawn = rng.integers(states, size=(len(recordings.there), stretches))
        own = recordings.flat(np.repeat(drawn, length, axis=1)[:, : recordings.there.shape[1]])
    return 0.1 / states + 0.9 * np.eye(states)[own]


def _clusters(recordings: Recordings, states: int, seed: int) -> NDArray[np.int64]:
    """`(M,)` clusters of the square roots of mean counts over a few bins, within each recording."""
    from sklearn.cluster import KMeans  # type: ignore[import-untyped]

    rows = np.sqrt(_smoothed(recordings))
    if len(np.unique(rows, axis=0)) < states:
        return np.arange(len(rows)) % states
    return np.asarray(KMeans(states, n_init=1, random_state=seed).fit_predict(rows), dtype=np.int64)


def _smoothed(recordings: Recordings) -> Floats:
    """`(M, N)` mean counts over a few bins, of each recording's own bins: what pads a shorter one is no silence."""
    from scipy.ndimage import uniform_filter1d  # type: ignore[import-untyped]

    whole = zip(recordings.counts, recordings.bins.tolist(), strict=True)
    return np.concatenate([uniform_filter1d(own[:bins], SMOOTH, axis=0) for own, bins in whole])
