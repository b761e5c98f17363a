"""Rows that patients share: products, moments and fits equal those of the whole matrix."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Outcome
from chiasm.encoders.table.scaling import Projection
from chiasm.linear import moments
from chiasm.linear.elastic_net import fit_elastic_net, penalty_grid
from chiasm.linear.gaussian_kernel import gaussian_maps, left_out_errors
from chiasm.linear.linear import fit_path
from chiasm.linear.shared_rows import SharedRows, across, gram_of, mapped, side_by_side

N = 400


@pytest.fixture
def pairs() -> SharedRows:
    """400 pairs of 20 drugs with 6 columns and 9 proteins with 4; one column of the proteins is constant."""
    rng = np.random.default_rng(0)
    drugs, proteins = rng.normal(size=(20, 6)), rng.normal(size=(9, 4))
    proteins[:, 2] = 0.5
    return SharedRows((drugs, proteins), (rng.integers(0, 20, N), rng.integers(0, 9, N)))


def outcome_of(kind: str, x: np.ndarray) -> Outcome:
    rng = np.random.default_rng(1)
    score = x[:, 0] - x[:, 7] + rng.normal(size=N)
    value = score if kind == "regression" else np.digitize(score, [-0.5, 0.8]).astype(float)
    return Outcome(value=value, event=None, known=np.ones(N, bool))


def test_products_equal_those_of_the_whole_matrix(pairs: SharedRows) -> None:
    whole, rng = np.asarray(pairs), np.random.default_rng(2)
    rows, chosen = rng.permutation(N)[:150], np.array([1, 4, 5, 6, 9])
    assert pairs.shape == whole.shape == (N, 10)
    np.testing.assert_allclose(pairs @ np.eye(10)[:, :3], whole[:, :3])
    np.testing.assert_allclose(across(pairs, whole[:, :2]), whole.T @ whole[:, :2])
    np.testing.assert_allclose(gram_of(pairs), whole.T @ whole)
    np.testing.assert_allclose(gram_of(pairs[rows].less(whole.mean(0))), gram_of(whole[rows] - whole.mean(0)))
    np.testing.assert_allclose(pairs.mean(0), whole.mean(0))
    np.testing.assert_array_equal(np.asarray(pairs.columns(chosen)), whole[:, chosen])
    np.testing.assert_array_equal(pairs.varies, np.ptp(whole, axis=0) > 0)
    beside = side_by_side([pairs, whole[:, :2]])
    np.testing.assert_array_equal(np.asarray(beside), np.concatenate([whole, whole[:, :2]], axis=1))
    np.testing.assert_allclose(gram_of(beside), gram_of(np.asarray(beside)))


def test_a_column_varies_only_if_it_does_over_the_patients(pairs: SharedRows) -> None:
    one_drug = pairs[pairs.index[0] == 3]
    assert not one_drug.varies[:6].any()


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("summed", [True, False])
def test_fits_equal_those_on_the_whole_matrix(
    pairs: SharedRows, kind: str, summed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = np.asarray(pairs)
    outcome = outcome_of(kind, whole)
    penalties = penalty_grid(kind, whole, outcome)
    sparse, ridge = fit_elastic_net(kind, whole, outcome, penalties), fit_path(kind, whole, outcome, [0.1, 3.0])
    if summed:
        monkeypatch.setattr(moments, "FROM_ROWS", 100)
    np.testing.assert_allclose(penalty_grid(kind, pairs, outcome), penalties, rtol=1e-12)
    for x in (pairs, whole):
        for one, other in zip(fit_elastic_net(kind, x, outcome, penalties), sparse, strict=True):
            np.testing.assert_allclose(one.coef, other.coef, atol=2e-4)
            np.testing.assert_allclose(one.linear_predictor(x), other.linear_predictor(whole), atol=2e-4)
        for one, other in zip(fit_path(kind, x, outcome, [0.1, 3.0]), ridge, strict=True):
            np.testing.assert_allclose(one.linear_predictor(x), other.linear_predictor(whole), atol=1e-5)


def test_components_count_a_row_once_for_each_patient(pairs: SharedRows) -> None:
    drugs = SharedRows(pairs.tables[:1], pairs.index[:1])
    whole = np.asarray(drugs)
    for alike in (False, True):
        counts = np.bincount(drugs.index[0], minlength=20).astype(float)
        one = Projection.fit(drugs.tables[0], 3, alike=alike, counts=counts)
        other = Projection.fit(whole, 3, alike=alike)
        np.testing.assert_allclose(np.asarray(mapped(one, drugs)), other(whole), atol=1e-9)


def test_a_kernel_of_shared_rows_equals_that_of_the_patients(pairs: SharedRows) -> None:
    drugs = SharedRows(pairs.tables[:1], pairs.index[:1])
    whole, rest = np.asarray(drugs), np.random.default_rng(3).normal(size=(N, 1))
    for one, other in zip(gaussian_maps(drugs, 0, components=5), gaussian_maps(whole, 0, components=5), strict=True):
        np.testing.assert_allclose(np.asarray(mapped(one, drugs)), other(whole), atol=1e-6)
        np.testing.assert_allclose(
            left_out_errors(mapped(one, drugs), rest, [0.1, 1.0]), left_out_errors(other(whole), rest, [0.1, 1.0])
        )


def test_features_that_are_not_finite_are_refused(pairs: SharedRows) -> None:
    pairs.tables[0][0, 0] = np.nan
    outcome = Outcome(value=np.zeros(N), event=None, known=np.ones(N, bool))
    with pytest.raises(ValueError, match="must be finite"):
        fit_path("regression", pairs, outcome, [1.0])
