"""Bits a spike equal the likelihoods of scipy, and are there for counts alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from chiasm.metrics.scored import Scored
from chiasm.metrics.spikes import bits_per_spike, terms
from chiasm.targets.outcome import Outcome


def outcome(value: np.ndarray) -> Outcome:
    return Outcome(value.astype(float), None, np.ones(len(value), bool))


def test_equals_the_likelihoods_of_scipy_draw_by_draw() -> None:
    rng = np.random.default_rng(0)
    value, train = rng.poisson(1.5, (20, 3)), rng.poisson(1.5, (30, 3))
    said, weights = rng.gamma(2, 1, (20, 3)), rng.integers(0, 3, (4, 20)).astype(float)
    each = poisson.logpmf(value, said) - poisson.logpmf(value, train.mean(axis=0))
    expected = (weights @ each.sum(axis=1)) / (weights @ value.sum(axis=1)) / np.log(2)
    np.testing.assert_allclose(bits_per_spike(terms(Scored(said, outcome(value), outcome(train))), weights), expected)


def test_the_rates_of_training_say_zero_and_a_rate_below_zero_is_finite() -> None:
    value, train = np.array([[1, 0], [2, 0]]), np.array([[1, 0], [3, 0]])
    mean = np.tile(train.mean(axis=0), (2, 1))
    everyone = np.ones((1, 2))
    assert bits_per_spike(terms(Scored(mean, outcome(value), outcome(train))), everyone)[0] == 0
    below = bits_per_spike(terms(Scored(mean - 9, outcome(value), outcome(train))), everyone)[0]
    # both are taken for half a spike in the two training items, a quarter a bin
    gain = 3 * np.log(0.25 / 2) - 2 * (0.25 - 2)
    assert below == pytest.approx(gain / 3 / np.log(2))


@pytest.mark.parametrize("wrong", [np.array([[0.5]]), np.array([[-1.0]])])
def test_what_is_no_count_has_none(wrong: np.ndarray) -> None:
    whole = outcome(np.array([[1.0]]))
    for value, train in ((outcome(wrong), whole), (whole, outcome(wrong)), (whole, None)):
        assert np.isnan(bits_per_spike(terms(Scored(np.ones((1, 1)), value, train)), np.ones((1, 1)))).all()
    silent = outcome(np.zeros((1, 1)))
    assert np.isnan(bits_per_spike(terms(Scored(np.ones((1, 1)), silent, whole)), np.ones((1, 1)))).all()
