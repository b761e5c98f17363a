"""A hidden Markov chain: posterior states, the most likely path, and what is expected next, of many recordings at once.

Shapes: B recordings, T bins of the longest, K states, N neurons. Shorter recordings are padded at their end: there
the state is carried on unchanged, and nothing is counted. All is in log space, float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Posterior:
    """What the bins say of the states.

    Args:
        states: `(B, T, K)` probability of each state in each bin, given the whole recording; zero in padded bins.
        pairs: `(K, K)` expected number of steps from one state to another, over all recordings.
        starts: `(K,)` expected number of recordings that begin in each state.
        evidence: `(B,)` log likelihood of each recording, states summed out.
    """

    states: Floats
    pairs: Floats
    starts: Floats
    evidence: Floats


@storable("hidden-state-chain")
@dataclass(frozen=True)
class Chain:
    """Where a recording begins, and how its state moves: `start` `(K,)` and `moves` `(K, K)`, rows sum to one."""

    start: np.ndarray
    moves: np.ndarray

    @classmethod
    def sticky(cls, states: int, stay: float) -> Chain:
        """Return the chain that begins anywhere and keeps its state with probability `stay`."""
        if states == 1:
            return cls(np.ones(1), np.ones((1, 1)))
        moves = np.full((states, states), (1 - stay) / (states - 1))
        np.fill_diagonal(moves, stay)
        return cls(np.full(states, 1 / states), moves)

    def logs(self) -> tuple[Floats, Floats]:
        """Return the logarithms of both; minus infinity where a step cannot be."""
        with np.errstate(divide="ignore"):
            return np.log(self.start), np.log(self.moves)


def forward(likelihood: Floats, there: Bools, chain: Chain) -> Floats:
    """Return log p(y_1..t, z_t = k), `(B, T, K)`.

    `a_t(k) = l_t(k) + log sum_j exp(a_(t-1)(j) + log A_jk)`, `a_1 = log pi + l_1`.

    Args:
        likelihood: `(B, T, K)` log likelihood of each bin's counts in each state.
        there: `(B, T)` True for bins that were recorded; a recording begins at its first bin and has no gap.
        chain: where it begins and how it moves.
    """
    start, moves = chain.logs()
    found = np.empty_like(likelihood)
    found[:, 0] = start + likelihood[:, 0]
    for t in range(1, likelihood.shape[1]):
        before = found[:, t - 1]
        found[:, t] = np.where(there[:, t, None], _through(before, moves) + likelihood[:, t], before)
    return found


def backward(likelihood: Floats, there: Bools, chain: Chain) -> Floats:
    """Return log p(y_(t+1)..T | z_t = k), `(B, T, K)`.

    `b_t(j) = log sum_k exp(log A_jk + l_(t+1)(k) + b_(t+1)(k))`, `b_T = 0`.
    """
    _, moves = chain.logs()
    found = np.zeros_like(likelihood)
    for t in range(likelihood.shape[1] - 2, -1, -1):
        after = _through(likelihood[:, t + 1] + found[:, t + 1], moves.T)
        found[:, t] = np.where(there[:, t + 1, None], after, 0.0)
    return found


def forward_backward(likelihood: Floats, there: Bools, chain: Chain) -> Posterior:
    """Compute the posterior of the states by the forward-backward algorithm, for all recordings at once.

    With a and b of `forward` and `backward`: `log p(z_t = k | y) = a_t(k) + b_t(k) - log p(y)`, and the probability of
    a step from j to k at t, `a_(t-1)(j) + log A_jk + l_t(k) + b_t(k) - log p(y)`.

    Args:
        likelihood, there, chain: as for `forward`.

    Source: Rabiner, Proceedings of the IEEE 1989, https://doi.org/10.1109/5.18626, equations 19 to 37; he scales each
    step, here logarithms are kept.
    """
    _, moves = chain.logs()
    ahead, behind = forward(likelihood, there, chain), backward(likelihood, there, chain)
    evidence = _sum_of(ahead[:, -1], -1)  # padded bins carry the last one on
    states = np.where(there[..., None], np.exp(ahead + behind - evidence[:, None, None]), 0.0)
    if likelihood.shape[1] > 1:
        step = ahead[:, :-1, :, None] + moves + (likelihood + behind)[:, 1:, None, :] - evidence[:, None, None, None]
        pairs = np.exp(step[there[:, 1:]]).sum(axis=0)
    else:
        pairs = np.zeros_like(moves)
    return Posterior(states, pairs, states[:, 0].sum(axis=0), evidence)


def expected_states(likelihood: Floats, there: Bools, chain: Chain) -> Floats:
    """`(B, T, K)` log p(z_t = k | y_1..t-1): what is known of the state of a bin before its counts are seen."""
    start, moves = chain.logs()
    ahead = forward(likelihood, there, chain)
    found = np.empty_like(ahead)
    found[:, 0] = start
    for t in range(1, ahead.shape[1]):
        found[:, t] = _through(ahead[:, t - 1], moves) - _sum_of(ahead[:, t - 1], -1)[:, None]
    return found


def most_likely(likelihood: Floats, there: Bools, chain: Chain) -> NDArray[np.int64]:
    """`(B, T)` the states of the most likely path, by the Viterbi algorithm; -1 in padded bins.

    Of two paths that are equally likely, the one of the lower states is taken.
    """
    start, moves = chain.logs()
    rows, bins, states = likelihood.shape
    best = start + likelihood[:, 0]
    came = np.zeros((rows, bins, states), dtype=np.int64)
    for t in range(1, bins):
        through = best[:, :, None] + moves
        own = through.argmax(axis=1)
        reached = np.take_along_axis(through, own[:, None], axis=1)[:, 0] + likelihood[:, t]
        recorded = there[:, t, None]
        came[:, t] = np.where(recorded, own, np.arange(states))
        best = np.where(recorded, reached, best)
    path = np.empty((rows, bins), dtype=np.int64)
    path[:, -1] = best.argmax(axis=1)
    for t in range(bins - 1, 0, -1):
        path[:, t - 1] = came[np.arange(rows), t, path[:, t]]
    return np.where(there, path, -1)


def reestimated(found: Posterior, before: Chain, stay: float, weight: float) -> Chain:
    """Return the chain that the expected steps and starts make most likely, held to a sticky one.

    `A_jk = (n_jk + w s_jk) / sum_k (n_jk + w s_jk)` with n the expected steps, s the sticky chain and w its weight in
    steps: the mode under a Dirichlet prior. Of the starts all states together count as one recording
    more.
    """
    states = len(before.start)
    if states == 1:
        return before
    held = Chain.sticky(states, stay)
    moves = found.pairs + weight * held.moves
    starts = found.starts + held.start
    return Chain(starts / starts.sum(), moves / moves.sum(axis=1, keepdims=True))


def _through(before: Floats, moves: Floats) -> Floats:
    """`(B, K)` log sum_j exp(before_j + moves_jk)."""
    return np.asarray(np.logaddexp.reduce(before[:, :, None] + moves, axis=1))


def _sum_of(logs: Floats, axis: int) -> Floats:
    return np.asarray(np.logaddexp.reduce(logs, axis=axis))
