"""The scaler of numeric columns: ranks, ties, binary and constant columns, missing values; and principal components."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from sklearn.decomposition import PCA

from chiasm.encoders.table.scaling import CLIP, Columns, Projection, Scaler
from examples import examples


def scaled(values: list[float] | np.ndarray, new: list[float] | None = None) -> np.ndarray:
    frame = pd.DataFrame({"x": np.asarray(values, float)})
    return Scaler.fit(frame)(frame if new is None else pd.DataFrame({"x": np.asarray(new, float)}))[:, 0]


def test_measurements_become_normal_scores_of_their_ranks() -> None:
    rng = np.random.default_rng(0)
    values = np.sort(rng.lognormal(sigma=3, size=64))
    found = scaled(values)
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found[[0, -1]], ndtri([1 / 65, 64 / 65]) / 2, atol=1e-12)
    np.testing.assert_allclose(found, -found[::-1], atol=0.04)
    expected = ndtri(np.linspace(1 / 65, 64 / 65, 64)) / 2
    np.testing.assert_allclose(found, expected, atol=0.04)


def test_an_outlier_is_the_largest_and_nothing_worse() -> None:
    values = np.r_[np.linspace(-1, 1, 99), 36_893.0]
    found = scaled(values)
    assert found.argmax() == 99 and found.max() == pytest.approx(ndtri(100 / 101) / 2)
    beyond = scaled(values, [1e9, -1e9])
    np.testing.assert_allclose(beyond, ndtri([100 / 101, 1 / 101]) / 2)


def test_the_ranks_do_not_depend_on_the_unit() -> None:
    values = np.random.default_rng(1).normal(size=50)
    np.testing.assert_allclose(scaled(values), scaled(1e3 * values + 7), atol=1e-9)


def test_ties_share_the_middle_of_their_ranks() -> None:
    values = np.r_[np.zeros(60), np.arange(1, 41)]  # many zeros, as in a count
    found = scaled(values)
    assert (found[:60] == found[0]).all()
    assert found[0] == pytest.approx(ndtri((1 / 101 + 60 / 101) / 2) / 2, abs=0.03)
    assert (np.diff(found[59:]) > 0).all()


def test_two_values_are_centred_and_one_apart() -> None:
    np.testing.assert_allclose(scaled([0, 0, 0, 1]), [-0.25, -0.25, -0.25, 0.75])
    np.testing.assert_allclose(np.diff(scaled([3, 3, 5])), [0, 1])


def test_grades_are_standardised_to_half() -> None:
    values = np.repeat([1.0, 2.0, 3.0], 5)
    np.testing.assert_allclose(scaled(values), (values - 2) / values.std() / 2)
    assert scaled(values, [1e9, -1e9]).tolist() == [CLIP / 2, -CLIP / 2]


@pytest.mark.parametrize("values", [[4.0] * 6, [np.nan] * 6])
def test_a_constant_and_an_empty_column_are_zero_whatever_comes(values: list[float]) -> None:
    np.testing.assert_array_equal(scaled(values), np.zeros(6))
    np.testing.assert_array_equal(scaled(values, [1e9, -1.0, np.nan]), np.zeros(3))


def test_a_missing_value_is_the_training_median() -> None:
    values = np.r_[np.arange(1, 22, dtype=float), np.nan]
    found = scaled(values)
    assert found[-1] == found[10]
    assert scaled(values, [np.nan, np.inf, -np.inf]).tolist() == [found[10]] * 3


def test_columns_go_by_name() -> None:
    frame = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 3)), columns=["b", "a", "c"])
    scaler = Scaler.fit(frame)
    np.testing.assert_array_equal(scaler(frame), scaler(frame[["c", "b", "a"]].assign(other=1.0)))
    with pytest.raises(ValueError, match="3 columns at fit, and 1 of them missing now: the first is 'a'"):
        scaler(frame[["b", "c"]])
    columns = Columns().fit(frame)
    np.testing.assert_array_equal(columns.features(frame), Columns().fit(frame[["c", "b", "a"]]).features(frame))
    with pytest.raises(ValueError, match="not fitted"):
        Columns().features(frame)


numbers = st.floats(-1e100, 1e100) | st.sampled_from([np.nan, np.inf, -np.inf, 0.0, 1.0, 1e9])
column = st.lists(numbers, min_size=2, max_size=40)


@settings(max_examples=examples(60), deadline=None)
@given(column, column)
def test_any_column_is_scaled_to_finite_numbers_in_its_order(values: list[float], new: list[float]) -> None:
    found = scaled(values, new)
    assert np.isfinite(found).all()
    finite = np.flatnonzero(np.isfinite(new))
    order = finite[np.argsort(np.array(new)[finite], kind="stable")]
    assert (np.diff(found[order]) >= -1e-9).all()


@pytest.mark.parametrize("shape", [(60, 8), (12, 40)])
def test_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape) @ np.diag(np.linspace(3, 1, shape[1]))
    projection = Projection.fit(values, 5)
    oracle = PCA(5).fit_transform(values)
    ours = projection(values) * projection.scale
    np.testing.assert_allclose(np.abs(ours), np.abs(oracle), atol=1e-8)
    assert projection(values)[:, 0].std() == pytest.approx(1)
    np.testing.assert_allclose(projection.components.T @ projection.components, np.eye(5), atol=1e-10)
    assert (projection.components[np.abs(projection.components).argmax(0), np.arange(5)] > 0).all()


@pytest.mark.parametrize("values", [np.zeros((5, 3)), np.ones((1, 4)), np.ones((2, 7)), np.eye(3)[:, :1]])
def test_components_of_next_to_nothing_are_finite(values: np.ndarray) -> None:
    projection = Projection.fit(values, 4)
    assert np.isfinite(projection(values)).all() and np.isfinite(projection(values + 1)).all()
