"""The hidden chain equals the sum over all paths, and dynamax; recordings of unequal length do not touch each other."""

from __future__ import annotations

import json
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import poisson

from chiasm.dynamics.states.chain import Chain, expected_states, forward_backward, most_likely, reestimated

REFERENCES = json.loads((Path(__file__).parent / "fixtures" / "references.json").read_text(encoding="utf-8"))


def drawn(rng: np.random.Generator, states: int, *, forbidden: bool = False) -> Chain:
    moves = rng.dirichlet(np.ones(states), size=states)
    if forbidden and states > 1:
        moves[0, -1] = 0.0
        moves /= moves.sum(axis=1, keepdims=True)
    return Chain(rng.dirichlet(np.ones(states)), moves)


SIZES = [(1, 3), (2, 1), (4, 4), (8, 2), pytest.param(8, 3, marks=pytest.mark.nightly)]  # bins and states


def by_enumeration(logs: np.ndarray, chain: Chain) -> tuple[float, np.ndarray, np.ndarray, np.ndarray, float]:
    """Evidence, posterior, expected steps, best path and its log probability of one recording `(T, K)`."""
    bins, states = logs.shape
    total, each, pairs = 0.0, np.zeros((bins, states)), np.zeros((states, states))
    best, path = -np.inf, np.zeros(bins, int)
    for own in product(range(states), repeat=bins):
        p = chain.start[own[0]] * np.prod([chain.moves[a, b] for a, b in pairwise(own)])
        p *= np.exp(logs[np.arange(bins), own].sum())
        total += p
        each[np.arange(bins), own] += p
        for a, b in pairwise(own):
            pairs[a, b] += p
        if p > best:
            best, path = p, np.array(own)
    return np.log(total), each / total, pairs / total, path, np.log(best)


@pytest.mark.parametrize(("bins", "states"), SIZES)
def test_equals_the_sum_over_all_paths(bins: int, states: int) -> None:
    rng = np.random.default_rng(bins)
    chain = drawn(rng, states, forbidden=True)
    lengths = [bins, max(1, bins // 2)]
    there = np.arange(bins) < np.array(lengths)[:, None]
    logs = np.where(there[..., None], rng.normal(scale=3, size=(2, bins, states)), 0.0)
    found, paths = forward_backward(logs, there, chain), most_likely(logs, there, chain)
    steps, starts = np.zeros((states, states)), np.zeros(states)
    for row, length in enumerate(lengths):
        evidence, each, pairs, path, _ = by_enumeration(logs[row, :length], chain)
        assert found.evidence[row] == pytest.approx(evidence, abs=1e-10)
        np.testing.assert_allclose(found.states[row, :length], each, atol=1e-10)
        assert not found.states[row, length:].any() and (paths[row, length:] == -1).all()
        np.testing.assert_array_equal(paths[row, :length], path)
        steps, starts = steps + pairs, starts + each[0]
    np.testing.assert_allclose(found.pairs, steps, atol=1e-10)
    np.testing.assert_allclose(found.starts, starts, atol=1e-10)


@pytest.mark.parametrize("case", REFERENCES["chains"], ids=["two", "three", "four"])
def test_equals_dynamax(case: dict[str, list[float]]) -> None:
    chain = Chain(np.array(case["start"]), np.array(case["moves"]))
    counts, rates = np.array(case["counts"]), np.array(case["rates"])
    logs = poisson.logpmf(counts[:, None, :], rates).sum(-1)[None]
    there = np.ones(logs.shape[:2], bool)
    found = forward_backward(logs, there, chain)
    assert found.evidence[0] == pytest.approx(case["evidence"], rel=1e-9)
    np.testing.assert_allclose(found.states[0], case["states"], atol=1e-9)
    np.testing.assert_allclose(found.pairs, case["pairs"], atol=1e-8)
    np.testing.assert_array_equal(most_likely(logs, there, chain)[0], case["path"])


def test_what_is_expected_of_a_bin_has_not_seen_it() -> None:
    rng = np.random.default_rng(1)
    chain, logs = drawn(rng, 3), rng.normal(size=(2, 5, 3))
    there = np.ones((2, 5), bool)
    known = np.exp(expected_states(logs, there, chain))
    np.testing.assert_allclose(known.sum(-1), 1)
    changed = logs.copy()
    changed[:, 3:] += rng.normal(size=(2, 2, 3))
    np.testing.assert_array_equal(np.exp(expected_states(changed, there, chain))[:, :4], known[:, :4])
    # one bin after another, the evidence is the product of what was expected of each
    each = np.log((known * np.exp(logs)).sum(-1)).sum(1)
    np.testing.assert_allclose(each, forward_backward(logs, there, chain).evidence)


def test_thousands_of_bins_that_say_much_stay_finite() -> None:
    logs = np.full((1, 3000, 2), -800.0)
    logs[0, :, 1] -= 900.0
    found = forward_backward(logs, np.ones((1, 3000), bool), Chain.sticky(2, 0.98))
    assert found.evidence[0] == pytest.approx(3000 * -800 + np.log(0.5) + 2999 * np.log(0.98))
    assert found.states[0, :, 0].min() > 1 - 1e-12


def test_a_step_of_the_chain_raises_the_evidence_and_is_held_to_staying() -> None:
    rng = np.random.default_rng(2)
    logs, there, chain = rng.normal(scale=2, size=(6, 30, 3)), np.ones((6, 30), bool), Chain.sticky(3, 0.9)
    before = forward_backward(logs, there, chain)
    after = forward_backward(logs, there, reestimated(before, chain, 0.9, 0.0))
    assert after.evidence.sum() > before.evidence.sum()
    held = reestimated(before, chain, 0.9, 1e9).moves
    np.testing.assert_allclose(held, chain.moves, atol=1e-5)
