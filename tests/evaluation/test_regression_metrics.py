"""Metrics of a predicted number: equal to scikit-learn and scipy with ties, and weighted equals resampled."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lifelines.utils import concordance_index
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import r2_score, root_mean_squared_error

from chiasm.metrics import regression as ours
from chiasm.metrics.weighted import midranks
from examples import examples


@st.composite
def numbers(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = draw(st.integers(3, 25))
    integers = st.lists(st.integers(0, 5), min_size=n, max_size=n)
    prediction, value, counts = (np.array(draw(integers)) for _ in range(3))
    prediction[:2], value[:2], counts[:2] = [0, 1], [1, 3], counts[:2] + 1
    return prediction.astype(float), value.astype(float), counts


@given(numbers())
@settings(deadline=None, max_examples=examples(200))
def test_equals_the_references_on_resampled_data(data: tuple) -> None:
    prediction, value, counts = data
    rows = np.repeat(np.arange(len(value)), counts)
    weights = np.stack([counts, np.ones_like(counts)])
    for r, i in enumerate((rows, np.arange(len(value)))):
        assert ours.rmse(prediction, value, weights)[r] == pytest.approx(
            root_mean_squared_error(value[i], prediction[i])
        )
        assert ours.r2(prediction, value, weights)[r] == pytest.approx(r2_score(value[i], prediction[i]), abs=1e-9)
        expected = spearmanr(value[i], prediction[i]).statistic
        assert ours.spearman(prediction, value, weights)[r] == pytest.approx(expected, abs=1e-9)
        expected = concordance_index(value[i], prediction[i])
        assert ours.c_index(prediction, value, weights)[r] == pytest.approx(expected, abs=1e-12)
    drawn = midranks(value, counts[None].astype(float))[0]
    np.testing.assert_array_equal(np.repeat(drawn, counts), rankdata(value[rows]))


def test_r2_far_from_zero_keeps_its_digits() -> None:
    rng = np.random.default_rng(0)
    value = 1e8 + rng.normal(size=50)
    prediction = value + 0.3 * rng.normal(size=50)
    assert ours.r2(prediction, value)[0] == pytest.approx(r2_score(value, prediction), abs=1e-9)


def test_constant_values_have_no_r2_and_constant_predictions_no_rank_correlation() -> None:
    for constant in (0.1, 1 / 3, 1e8 + 0.1):  # whose mean may differ from them in the last digit
        weights = np.arange(1, 60)[:, None] * np.ones(7)
        assert np.isnan(ours.r2(np.arange(7.0), np.full(7, constant), weights)).all()
    assert np.isnan(ours.spearman([1.0, 2.0], [3.0, 3.0])) and np.isnan(ours.spearman([1.0, 1.0], [2.0, 3.0]))
    assert np.isnan(ours.r2([1.0, 2.0, 3.0], [0.1, 0.2, 0.3], [[3, 0, 0], [0, 0, 0]])).all()
    assert ours.rmse([1.0, 2.0], [3.0, 3.0]) == pytest.approx(np.sqrt(2.5))


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="one of each a patient"):
        ours.rmse([1.0, 2.0], [1.0])


def test_concordance_of_thousands_in_a_thousand_draws_takes_seconds() -> None:
    rng = np.random.default_rng(0)
    value = np.round(rng.normal(size=5010), 2)
    prediction = np.round(value + rng.normal(size=5010), 1)
    draws = rng.multinomial(5010, np.full(5010, 1 / 5010), size=200)
    start = time.process_time()
    found = ours.c_index(prediction, value, draws)
    assert time.process_time() - start < 5
    rows = np.repeat(np.arange(5010), draws[7])
    assert found[7] == pytest.approx(concordance_index(value[rows], prediction[rows]), abs=1e-12)


def test_concordance_of_ties() -> None:
    assert ours.c_index(np.zeros(4), np.arange(4.0)) == 0.5
    assert np.isnan(ours.c_index(np.arange(4.0), np.zeros(4)))
    assert np.isnan(ours.c_index([1.0, 2.0], [1.0, 2.0], [[2, 0]]))  # nobody to compare with
