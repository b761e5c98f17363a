"""Calibration: in the large, its slope and its curve; known answers, weights of draws, and the lowess of R by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from chiasm.metrics import calibration as ours
from chiasm.metrics import smoothing
from chiasm.metrics.logistic import logistic_line, logistic_shift, logit
from examples import examples

ALL = (ours.calibration_intercept, ours.calibration_slope, ours.observed_expected, ours.ici, ours.e90)


def ones(n: int) -> np.ndarray:
    return np.ones((1, n))


def sample(n: int, seed: int, slope: float = 1.0, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities p and outcomes whose true log odds are `shift + slope logit(p)`."""
    rng = np.random.default_rng(seed)
    x = 1.5 * rng.normal(size=n)
    return 1 / (1 + np.exp(-x)), (rng.random(n) < 1 / (1 + np.exp(-shift - slope * x))).astype(float)


@pytest.mark.parametrize("slope", [0.2, 1.0, 3.0])
def test_calibration_slope_equals_unpenalised_logistic_regression(slope: float) -> None:
    rng = np.random.default_rng(0)
    x = 2 * rng.normal(size=120)
    code = (rng.random(120) < 1 / (1 + np.exp(-slope * x - 0.5))).astype(int)
    p = 1 / (1 + np.exp(-x))
    weights = rng.multinomial(120, np.full(120, 1 / 120), size=20)
    found = ours.calibration_slope(p, code, weights)
    for value, counts in zip(found, weights, strict=True):
        model = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-12, max_iter=500)
        assert value == pytest.approx(model.fit(x[:, None], code, sample_weight=counts).coef_[0, 0], abs=1e-6)


def test_calibration_slope_is_one_for_true_probabilities_and_halves_when_logits_double() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=20_000)
    code = (rng.random(20_000) < 1 / (1 + np.exp(-x))).astype(int)
    one, double = (1 / (1 + np.exp(-scale * x)) for scale in (1, 2))
    slope = ours.calibration_slope(one, code, ones(20_000))[0]
    assert slope == pytest.approx(1, abs=0.05)
    assert ours.calibration_slope(double, code, ones(20_000))[0] == pytest.approx(slope / 2, abs=1e-6)


@pytest.mark.parametrize("p", [[0.1, 0.2, 0.8, 0.9], [0.1, 0.5, 0.5, 0.9], [0.5, 0.5, 0.5, 0.5], [0.9, 0.8, 0.2, 0.1]])
def test_calibration_slope_without_a_finite_slope_is_nan(p: list[float]) -> None:
    assert np.isnan(ours.calibration_slope(np.array(p), np.array([0.0, 0, 1, 1]), ones(4))).all()


@pytest.mark.parametrize("shift", [-1.0, 0.0, 0.7])
def test_the_intercept_is_the_shift_of_the_log_odds(shift: float) -> None:
    p, y = sample(20_000, 2, shift=shift)
    assert ours.calibration_intercept(p, y, ones(len(p)))[0] == pytest.approx(shift, abs=0.06)
    root = logistic_shift(logit(p), y, ones(len(p)))
    assert np.sum(1 / (1 + np.exp(-root[0] - logit(p)))) == pytest.approx(y.sum(), rel=1e-9)


@given(st.integers(0, 10_000), st.integers(2, 12))
@settings(deadline=None, max_examples=examples(100))
def test_weights_stand_for_resampled_patients(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    p, y = rng.integers(1, 6, n) / 6, rng.integers(0, 2, n).astype(float)
    counts = rng.integers(0, 3, n)
    rows = np.repeat(np.arange(n), counts)
    for measure in ALL[:3]:
        found, expected = measure(p, y, counts[None].astype(float))[0], measure(p[rows], y[rows], ones(len(rows)))[0]
        assert found == pytest.approx(expected, abs=1e-7, nan_ok=True), measure.__name__


def test_the_quantile_of_counts_is_that_of_the_resampled_values() -> None:
    rng = np.random.default_rng(3)
    values, counts = rng.integers(0, 9, (40, 15)).astype(float), rng.multinomial(15, np.full(15, 1 / 15), size=40)
    expected = [np.quantile(np.repeat(v, c), 0.9) for v, c in zip(values, counts, strict=True)]
    np.testing.assert_allclose(ours.weighted_quantile(values, counts.astype(float), 0.9), expected, atol=1e-12)
    np.testing.assert_allclose(  # equal weights that are no counts
        ours.weighted_quantile(values, np.full((40, 15), 0.3), 0.9), np.quantile(values, 0.9, axis=1), atol=1e-12
    )


def test_draws_that_start_at_the_sample_fit_end_where_slow_steps_do() -> None:
    p, y = sample(60, 4)
    weights = np.random.default_rng(5).multinomial(60, np.full(60, 1 / 60), size=50).astype(float)
    intercept, slope = logistic_line(logit(p), y, weights)
    for r in range(50):
        alone = logistic_line(logit(p)[weights[r] > 0], y[weights[r] > 0], weights[r : r + 1, weights[r] > 0])
        assert (intercept[r], slope[r]) == pytest.approx((alone[0][0], alone[1][0]), abs=1e-7)


def slow_lowess(x: np.ndarray, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A line at each patient, by weighted least squares."""
    nearest = max(int(2 / 3 * len(x) + 1e-7), 2)
    out = []
    for at in x:
        far = np.sort(np.abs(x - at))[nearest - 1]
        distance = np.abs(x - at)
        kernel = np.where(distance <= 0.999 * far, (1 - (distance / far) ** 3) ** 3, 0.0) * w
        root = np.sqrt(kernel)
        out.append(np.linalg.lstsq(np.c_[root, root * (x - at)], root * y, rcond=None)[0][0])
    return np.array(out)


def test_every_draw_is_a_local_line_with_the_reach_of_the_sample() -> None:
    p, y = sample(50, 6)
    weights = np.random.default_rng(7).integers(0, 4, (5, 50)).astype(float)
    expected = [slow_lowess(p, y, w) for w in weights]
    np.testing.assert_allclose(smoothing.lowess(p, y, weights, delta=0), expected, atol=1e-9)
    np.testing.assert_allclose(smoothing.lowess(p, y, weights), expected, atol=0.01)  # lines a hundredth apart


def test_a_line_is_its_own_smooth_and_one_value_its_mean() -> None:
    x = np.linspace(0.1, 0.9, 30)
    weights = np.random.default_rng(8).integers(1, 4, (3, 30)).astype(float)
    np.testing.assert_allclose(smoothing.lowess(x, 2 * x - 0.3, weights), np.tile(2 * x - 0.3, (3, 1)), atol=1e-9)
    same, y = np.full(10, 0.3), np.repeat([0.0, 1.0], 5)
    np.testing.assert_allclose(smoothing.lowess(same, y, ones(10)), 0.5)
    assert ours.ici(same, y, ones(10))[0] == pytest.approx(0.2) == ours.e90(same, y, ones(10))[0]


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.6, 0.0), (1.0, 0.8)])
def test_in_a_large_sample_the_index_is_the_true_distance(slope: float, shift: float) -> None:
    p, y = sample(20_000, 9, slope, shift)
    apart = np.abs(p - 1 / (1 + np.exp(-shift - slope * logit(p))))
    assert ours.ici(p, y, ones(len(p)))[0] == pytest.approx(apart.mean(), abs=0.02)
    assert ours.e90(p, y, ones(len(p)))[0] == pytest.approx(np.quantile(apart, 0.9), abs=0.03)


def test_a_draw_of_nobody_or_of_one_class_has_no_intercept_and_no_slope() -> None:
    p, y = np.array([0.2, 0.6, 0.4, 0.7]), np.array([0.0, 1.0, 1.0, 0.0])
    weights = np.array([[1.0, 1, 1, 1], [2, 0, 0, 2], [0, 0, 0, 0]])
    for measure in ALL[:2]:
        found = measure(p, y, weights)
        assert np.isfinite(found[0]) and np.isnan(found[1:]).all()
    assert np.isnan(ours.observed_expected(p, y, weights)).tolist() == [False, False, True]
    for measure in ALL:
        assert np.isnan(measure(p[:0], y[:0], weights[:, :0])).all()
