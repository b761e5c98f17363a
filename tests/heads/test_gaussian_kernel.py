"""Features of a Gaussian kernel, and the closed form by which a width is chosen."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.linear.gaussian_kernel import LANDMARKS, gaussian_maps, left_out_errors, residuals
from chiasm.linear.kernel_ridge import median_distance, squared_distances
from chiasm.targets import Outcome


def test_products_of_features_are_the_centred_kernel_where_all_patients_are_landmarks() -> None:
    x = np.random.default_rng(0).normal(size=(40, 3))
    for width, own in zip((1.0, 3.0), gaussian_maps(x, 0, components=40, widths=(1.0, 3.0)), strict=True):
        kernel = np.exp(-squared_distances(x, x) / (width * median_distance(x)))
        middle = np.eye(40) - 1 / 40
        expected = middle @ kernel @ middle
        features = own(x)
        scale = np.linalg.eigvalsh(expected / 40)[-1]
        np.testing.assert_allclose(features @ features.T * scale, expected, atol=1e-4)
        np.testing.assert_allclose(features.mean(0), 0, atol=1e-6)
        assert features[:, 0].std() == pytest.approx(1, rel=1e-6)


def test_landmarks_are_drawn_by_the_seed() -> None:
    x = np.random.default_rng(0).normal(size=(LANDMARKS + 50, 3))
    one, same, other = (gaussian_maps(x, seed, components=8)[0] for seed in (1, 1, 2))
    assert len(one.landmarks) == LANDMARKS
    np.testing.assert_array_equal(one(x), same(x))
    assert not np.array_equal(one.landmarks, other.landmarks)


def test_the_closed_form_is_a_ridge_fitted_without_each_patient_in_turn() -> None:
    rng = np.random.default_rng(0)
    left, size, _ = np.linalg.svd(rng.normal(size=(30, 4)) - 0.1, full_matrices=False)
    x = left * size
    x = x - x.mean(0)
    x = np.linalg.svd(x, full_matrices=False)[0] * [3.0, 2.0, 1.0, 0.5]  # centred and uncorrelated
    y = x[:, :1] + rng.normal(size=(30, 1))
    y -= y.mean()
    penalties = (0.01, 0.1, 1.0)
    expected = []
    for penalty in penalties:
        total = 0.0
        for row in range(30):
            design = np.column_stack([np.ones(30), x])
            ridge = np.diag([0.0] + [penalty * 30] * 4)
            keep = np.arange(30) != row
            coef = np.linalg.solve(design[keep].T @ design[keep] + ridge, design[keep].T @ y[keep])
            total += float((y[row] - design[row] @ coef)[0] ** 2)
        expected.append(total)
    np.testing.assert_allclose(left_out_errors(x, y, penalties), expected, rtol=1e-9)


def test_what_the_null_model_leaves_sums_to_zero() -> None:
    rng = np.random.default_rng(0)
    n, everybody = 60, np.ones(60, bool)
    time, event = np.round(rng.exponential(5, n)) + 1, rng.random(n) < 0.6
    outcomes = {
        "survival": Outcome(time, event, everybody),
        "classification": Outcome(rng.integers(0, 3, n).astype(float), None, everybody),
        "regression": Outcome(rng.normal(size=n), None, everybody),
        "multilabel": Outcome(np.where(rng.random((n, 2)) < 0.1, np.nan, rng.integers(0, 2, (n, 2))), None, everybody),
    }
    for kind, outcome in outcomes.items():
        np.testing.assert_allclose(
            residuals(kind, outcome, 3 if kind == "classification" else None).sum(0), 0, atol=1e-9
        )
    last = time == time.max()
    found = residuals("survival", outcomes["survival"], None)[:, 0]
    hazard = sum(event[time == t].sum() / (time >= t).sum() for t in np.unique(time))
    np.testing.assert_allclose(found[last], event[last] - hazard)
