"""Linear heads against scikit-survival, lifelines and scikit-learn, and the promises of their penalty path."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss

from chiasm.linear.linear import (
    breslow,
    cox_nll,
    deviance,
    fit_path,
    fit_ridge,
    fit_ridge_cox,
    fit_ridge_logistic,
    survival_at,
)
from chiasm.targets import Outcome


def survivors(n: int = 90, f: int = 6, ties: bool = True, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f))
    time = rng.exponential(np.exp(-0.7 * x[:, 0])) + 0.01
    return x, np.ceil(time * 5) if ties else time, rng.random(n) < 0.6


def outcome_of(value: np.ndarray, event: np.ndarray | None = None) -> Outcome:
    return Outcome(value=value.astype(float), event=event, known=np.ones(len(value), bool))


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("shape", [(90, 6), (40, 70)])
@pytest.mark.parametrize("penalty", [0.5, 20.0])
def test_ridge_cox_equals_scikit_survival(ties: bool, shape: tuple[int, int], penalty: float) -> None:
    sksurv = pytest.importorskip("sksurv.linear_model")
    from sksurv.util import Surv

    x, time, event = survivors(*shape, ties=ties)
    oracle = sksurv.CoxPHSurvivalAnalysis(alpha=penalty, ties="efron", tol=1e-13).fit(x, Surv.from_arrays(event, time))
    np.testing.assert_allclose(fit_ridge_cox(x, time, event, penalty), oracle.coef_, atol=1e-6)


def test_unpenalised_cox_equals_lifelines() -> None:
    x, time, event = survivors()
    frame = pd.DataFrame(x).assign(time=time, event=event)
    oracle = CoxPHFitter().fit(frame, "time", "event", fit_options={"precision": 1e-10})
    coef = fit_ridge_cox(x, time, event, 0.0)
    np.testing.assert_allclose(coef, oracle.params_.to_numpy(), atol=1e-6)
    assert cox_nll(x @ coef, time, event) == pytest.approx(-oracle.log_likelihood_, abs=1e-8)


def test_efron_by_hand() -> None:
    risk, time, event = np.log([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0]), np.array([True, True, False])
    expected = np.log(7.0) + np.log(7.0 - 0.5 * 3.0) - np.log(2.0)
    assert cox_nll(risk, time, event) == pytest.approx(expected, abs=1e-12)
    assert cox_nll(risk + 900.0, time, event) == pytest.approx(expected, abs=1e-9)


def test_gradient_of_the_likelihood_vanishes_with_offset_and_weights() -> None:
    x, time, event = survivors()
    offset, weights = 0.3 * x[:, 1], np.array([0.0, 1.0, 2.0, 1.0, 0.5, 3.0])

    def objective(coef: np.ndarray) -> float:
        return cox_nll(x @ coef + offset, time, event) + 2.0 / 2 * float(weights @ coef**2)

    for used in (weights, weights + 0.5):
        weights = used
        coef = fit_ridge_cox(x, time, event, 2.0, offset=offset, penalty_weights=weights)
        slope = [(objective(coef + h) - objective(coef - h)) / 2e-5 for h in np.eye(6) * 1e-5]
        np.testing.assert_allclose(slope, 0.0, atol=1e-5)


def test_without_events_nothing_is_learned() -> None:
    x, time, _ = survivors()
    none = np.zeros(len(x), bool)
    assert not fit_ridge_cox(x, time, none, 1.0).any()
    assert cox_nll(x[:, 0], time, none) == 0.0
    assert deviance("survival", x[:, :1], outcome_of(time, none)) == 0.0
    times, hazard = breslow(x[:, 0], time, none)
    assert len(times) == len(hazard) == 0
    assert (survival_at(x[:3, 0], (times, hazard), [1.0, 2.0]) == 1.0).all()


@pytest.mark.parametrize("event", [np.ones(30, bool), np.arange(30) == 3])
def test_only_ties_and_one_event_are_finite(event: np.ndarray) -> None:
    x, time, _ = survivors(30)
    assert np.isfinite(fit_ridge_cox(x, np.ones(30), event, 1.0)).all()
    assert np.isfinite(fit_ridge_cox(x * 1e3, time, event, 1e-3)).all()


def test_separated_risks_stay_finite_without_a_penalty() -> None:
    time = np.arange(1.0, 21.0)
    assert np.isfinite(fit_ridge_cox(-time[:, None], time, np.ones(20, bool), 0.0)).all()


def test_breslow_equals_lifelines() -> None:
    x, time, event = survivors()
    fitted = CoxPHFitter().fit(pd.DataFrame(x).assign(time=time, event=event), "time", "event")
    risk = (x - x.mean(axis=0)) @ fitted.params_.to_numpy()
    times, hazard = breslow(risk, time, event)
    oracle = fitted.baseline_cumulative_hazard_.loc[times].to_numpy().ravel()
    np.testing.assert_allclose(hazard, oracle, rtol=1e-6)
    survival = survival_at(risk, (times, hazard), times)
    expected = fitted.predict_survival_function(pd.DataFrame(x), times=times).T.to_numpy()
    np.testing.assert_allclose(survival, expected, atol=1e-6)


@pytest.mark.parametrize("f", [5, 80])
@pytest.mark.parametrize("kind", ["survival", "classification", "regression"])
def test_path_from_warm_starts_equals_cold_fits(kind: str, f: int) -> None:
    x, time, event = survivors(60, f, seed=2)
    codes = np.digitize(x[:, 0] + 0.3 * x[:, 1], [-0.5, 0.5])
    outcome = {
        "survival": outcome_of(time, event),
        "classification": outcome_of(codes),
        "regression": outcome_of(x[:, 0] ** 2 + x[:, 1]),
    }[kind]
    penalties = [1.0, 100.0, 10.0, 1000.0]
    path = fit_path(kind, x + 3.0, outcome, penalties)
    for penalty, fitted in zip(penalties, path, strict=True):
        (cold,) = fit_path(kind, x + 3.0, outcome, [penalty])
        np.testing.assert_allclose(fitted.coef, cold.coef, atol=1e-6)
        np.testing.assert_allclose(fitted.intercept, cold.intercept, atol=1e-5)
    losses = [deviance(kind, fitted.linear_predictor(x + 3.0), outcome) for fitted in path]
    assert losses[0] < losses[2] < losses[1] < losses[3]
    if kind == "survival":
        assert abs(path[0].linear_predictor(x + 3.0).mean()) < 1e-9


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("f", [5, 80])
def test_logistic_equals_scikit_learn(classes: int, f: int) -> None:
    x, _, _ = survivors(60, f, seed=3)
    codes = np.digitize(x[:, 0], [-0.4, 0.4][: classes - 1])
    oracle = LogisticRegression(C=1 / 3.0, tol=1e-9, max_iter=5000).fit(x, codes)
    coef, intercept = fit_ridge_logistic(x, codes, [3.0])[0]
    logits = x @ coef + intercept
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(chance, oracle.predict_proba(x), atol=1e-5)
    assert deviance("classification", logits, outcome_of(codes)) == pytest.approx(log_loss(codes, chance), abs=1e-9)


def test_a_class_without_rows_is_unlikely_but_possible() -> None:
    x, _, _ = survivors(60)
    codes = np.where(x[:, 0] > 0, 3, 0)
    coef, intercept = fit_ridge_logistic(x, codes, [1.0], classes=5)[0]
    assert coef.shape == (6, 5) and not coef[:, [1, 2, 4]].any()
    logits = x @ coef + intercept
    chance = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (chance[:, [1, 2, 4]] < 0.05).all() and (chance > 0).all()
    one = fit_ridge_logistic(x, np.full(60, 1), [1.0], classes=3)[0]
    assert np.isfinite(one[1]).all() and one[1].argmax() == 1


@pytest.mark.parametrize("f", [5, 80])
def test_least_squares_equals_scikit_learn(f: int) -> None:
    x, time, _ = survivors(60, f)
    for penalty in (0.3, 30.0):
        oracle = Ridge(alpha=penalty).fit(x, time)
        coef, intercept = fit_ridge(x, time, [penalty])[0]
        np.testing.assert_allclose(coef[:, 0], oracle.coef_, atol=1e-8)
        assert intercept[0] == pytest.approx(oracle.intercept_, abs=1e-8)


def test_unknown_outcomes_change_nothing() -> None:
    x, time, event = survivors()
    known = np.arange(90) % 4 > 0
    hidden = Outcome(value=np.where(known, time, np.nan), event=event & known, known=known)
    left = outcome_of(time[known], event[known])
    for kind in ("survival", "regression"):
        full, part = fit_path(kind, x, hidden, [2.0])[0], fit_path(kind, x[known], left, [2.0])[0]
        np.testing.assert_array_equal(full.coef, part.coef)
        eta = full.linear_predictor(x)
        assert deviance(kind, eta, hidden) == deviance(kind, eta[known], left)


def test_refusals_say_what_is_wrong() -> None:
    x, time, event = survivors()
    with pytest.raises(ValueError, match="finite"):
        fit_ridge_cox(np.where(x > 2, np.nan, x), time, event, 1.0)
    with pytest.raises(ValueError, match=r"\(n, F\)"):
        fit_ridge_cox(x[:5], time, event, 1.0)
    with pytest.raises(ValueError, match=">= 0"):
        fit_path("survival", x, outcome_of(time, event), [-1.0])
    with pytest.raises(ValueError, match="kind"):
        fit_path("ranking", x, outcome_of(time), [1.0])
