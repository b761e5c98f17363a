"""Elastic nets against their conditions of optimality, scikit-learn, and the promises of their penalty path."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax
from sklearn.linear_model import ElasticNet, LogisticRegression

from chiasm.linear.elastic_net import STEPS, fit_elastic_net, largest_penalty, penalty_grid
from chiasm.linear.linear import Linear, fit_ridge_logistic
from chiasm.targets import Outcome
from examples import examples

KINDS = ["regression", "two classes", "three classes"]


def made(kind: str, n: int = 60, f: int = 8, seed: int = 0) -> tuple[str, np.ndarray, Outcome]:
    """The kind of target, columns of unlike scale and place, and an outcome that two of them tell about."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f)) * rng.uniform(0.3, 2, f) + rng.normal(size=f)
    value = x[:, 0] - x[:, 1 % f] + rng.normal(size=n)
    if kind == "regression":
        return kind, x, outcome_of(3 * value + 5)
    cuts = [0.5] if kind == "two classes" else [0.4, 0.8]
    return "classification", x, outcome_of(np.searchsorted(np.quantile(value, cuts), value))


def outcome_of(value: np.ndarray) -> Outcome:
    return Outcome(value=np.asarray(value, float), event=None, known=np.ones(len(value), bool))


def missed(kind: str, x: np.ndarray, outcome: Outcome, linear: Linear, penalty: float, l1_ratio: float) -> float:
    """By what share of the L1 threshold the subgradient of the objective is kept from zero, at most."""
    eta, coef = linear.linear_predictor(x), linear.coef
    if kind == "regression":
        residual = outcome.value[:, None] - eta
    else:
        residual = np.eye(eta.shape[1])[outcome.value.astype(int)] - softmax(eta, axis=1)
        if eta.shape[1] == 2:  # one logit z, of whose coefficient each class has half
            residual, coef = residual[:, 1:], 2 * coef[:, 1:]
    slope = x.T @ residual - penalty * (1 - l1_ratio) * coef
    threshold = penalty * l1_ratio
    off = np.where(coef != 0, np.abs(slope - np.sign(coef) * threshold), np.maximum(np.abs(slope) - threshold, 0))
    level = np.abs(residual.sum(0)).max() * np.abs(x).max()
    return float(max(off.max(), level) / threshold)


@settings(max_examples=examples(60), deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    n=st.integers(12, 60),
    f=st.integers(1, 150),
    seed=st.integers(0, 10**6),
    l1_ratio=st.floats(0.1, 1.0),
    share=st.floats(0.02, 0.99),
)
def test_every_solution_meets_the_conditions_of_optimality(
    kind: str, n: int, f: int, seed: int, l1_ratio: float, share: float
) -> None:
    kind, x, outcome = made(kind, n, f, seed)
    penalty = share * largest_penalty(kind, x, outcome, l1_ratio=l1_ratio)
    (linear,) = fit_elastic_net(kind, x, outcome, [penalty], l1_ratio=l1_ratio)
    assert missed(kind, x, outcome, linear, penalty, l1_ratio) < 2e-4


@pytest.mark.parametrize("kind", KINDS)
def test_the_conditions_hold_on_columns_that_never_came_into_the_working_set(kind: str) -> None:
    kind, x, outcome = made(kind, 50, 3000)
    grid = penalty_grid(kind, x, outcome)
    assert len(grid) == STEPS
    for penalty, linear in zip(grid, fit_elastic_net(kind, x, outcome, grid), strict=True):
        assert missed(kind, x, outcome, linear, penalty, 0.5) < 2e-4
        assert (linear.coef != 0).any(axis=1).sum() < 600


@pytest.mark.parametrize("f", [6, 90])
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
@pytest.mark.parametrize("penalty", [2.0, 15.0])
def test_least_squares_equals_scikit_learn(f: int, l1_ratio: float, penalty: float) -> None:
    kind, x, outcome = made("regression", f=f)
    oracle = ElasticNet(alpha=penalty / len(x), l1_ratio=l1_ratio, tol=1e-12, max_iter=10**6).fit(x, outcome.value)
    (linear,) = fit_elastic_net(kind, x, outcome, [penalty], l1_ratio=l1_ratio)
    np.testing.assert_allclose(linear.coef[:, 0], oracle.coef_, atol=1e-4)
    assert linear.intercept[0] == pytest.approx(oracle.intercept_, abs=1e-4)


@pytest.mark.parametrize("classes", KINDS[1:])
@pytest.mark.parametrize("f", [6, 90])
@pytest.mark.parametrize("l1_ratio", [0.3, 0.9])
def test_logistic_equals_scikit_learn(classes: str, f: int, l1_ratio: float) -> None:
    kind, x, outcome = made(classes, f=f)
    x = x - x.mean(0)  # saga is slow where columns are not centred
    named = {"penalty": "elasticnet"} if tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 8) else {}
    oracle = LogisticRegression(
        solver="saga", C=1 / 3.0, l1_ratio=l1_ratio, tol=1e-8, max_iter=10**5, random_state=0, **named
    ).fit(x, outcome.value)
    (linear,) = fit_elastic_net(kind, x, outcome, [3.0], l1_ratio=l1_ratio)
    coef, intercept = linear.coef, linear.intercept
    if coef.shape[1] == 2:
        coef, intercept = coef[:, 1:] - coef[:, :1], intercept[1:] - intercept[:1]
    else:  # a common level of all classes changes nothing
        intercept, oracle.intercept_ = intercept - intercept.mean(), oracle.intercept_ - oracle.intercept_.mean()
    np.testing.assert_allclose(coef.T, oracle.coef_, atol=1e-4)
    np.testing.assert_allclose(intercept, oracle.intercept_, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("l1_ratio", [0.2, 1.0])
def test_the_largest_penalty_is_the_first_of_which_nothing_is_left(kind: str, l1_ratio: float) -> None:
    kind, x, outcome = made(kind)
    top = largest_penalty(kind, x, outcome, l1_ratio=l1_ratio)
    at, above, below = fit_elastic_net(kind, x, outcome, [top, 3 * top, 0.999 * top], l1_ratio=l1_ratio)
    assert not at.coef.any() and not above.coef.any() and below.coef.any()
    assert missed(kind, x, outcome, at, top, l1_ratio) < 1e-9  # zero because it is best, not because it is the start
    mean = at.linear_predictor(x) if kind == "regression" else softmax(at.linear_predictor(x), axis=1)
    seen = outcome.value[:, None] if kind == "regression" else np.eye(mean.shape[1])[outcome.value.astype(int)]
    np.testing.assert_allclose(mean[0], seen.mean(0), atol=1e-12)
    assert penalty_grid(kind, x, outcome, l1_ratio=l1_ratio)[-1] == top


@pytest.mark.parametrize("kind", KINDS)
def test_a_constant_column_gets_nothing_and_changes_nothing(kind: str) -> None:
    kind, x, outcome = made(kind)
    constant = np.column_stack([np.zeros(60), x, np.full(60, 0.1), np.full(60, 1e9)])
    alone, beside = (fit_elastic_net(kind, z, outcome, [2.0, 20.0]) for z in (x, constant))
    for one, other in zip(alone, beside, strict=True):
        assert not other.coef[[0, -2, -1]].any()
        np.testing.assert_allclose(other.coef[1:-2], one.coef, atol=1e-5)
    nothing = constant[:, [0, -2, -1]]
    assert largest_penalty(kind, nothing, outcome) == 0
    assert not any(linear.coef.any() for linear in fit_elastic_net(kind, nothing, outcome, [1e-12, 1.0]))
    assert min(penalty_grid(kind, nothing, outcome)) > 0


@pytest.mark.parametrize("codes", [[0, 3], [0, 1, 3], [2]])
def test_a_class_without_rows_is_treated_as_by_the_ridge(codes: list[int]) -> None:
    _, x, _ = made("regression")
    y = np.array(codes)[np.arange(60) % len(codes)]
    (linear,) = fit_elastic_net("classification", x, outcome_of(y), [1e6], classes=5)
    coef, intercept = fit_ridge_logistic(x, y, [1e9], classes=5)[0]
    assert linear.coef.shape == (8, 5) and not linear.coef.any() and np.abs(coef).max() < 1e-6
    np.testing.assert_allclose(linear.intercept, intercept, atol=1e-5)
    if len(codes) > 1:
        half = np.where(np.bincount(y, minlength=5) > 0, np.bincount(y, minlength=5), 0.5)
        np.testing.assert_allclose(linear.intercept, np.log(half / 60), atol=1e-12)
    (linear,) = fit_elastic_net("classification", x, outcome_of(y), [1.0], classes=5)
    absent = sorted(set(range(5)) - set(codes))
    assert not linear.coef[:, absent].any() and linear.coef[:, codes].any() == (len(codes) > 1)
    chance = softmax(linear.linear_predictor(x), axis=1)
    assert (chance[:, absent] < 0.05).all() and (chance > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_outcomes_change_nothing(kind: str) -> None:
    kind, x, outcome = made(kind)
    known = np.arange(60) % 4 > 0
    hidden = Outcome(value=np.where(known, outcome.value, np.nan), event=None, known=known)
    assert largest_penalty(kind, x, hidden) == largest_penalty(kind, x[known], outcome.take(np.flatnonzero(known)))
    (full,) = fit_elastic_net(kind, x, hidden, [2.0], classes=3)
    (part,) = fit_elastic_net(kind, x[known], outcome.take(np.flatnonzero(known)), [2.0], classes=3)
    np.testing.assert_array_equal(full.coef, part.coef)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("f", [8, 300])
def test_columns_in_another_order_have_the_same_coefficients(kind: str, f: int) -> None:
    kind, x, outcome = made(kind, f=f)
    order = np.random.default_rng(1).permutation(f)
    straight, mixed = (fit_elastic_net(kind, z, outcome, [5.0])[0] for z in (x, x[:, order]))
    np.testing.assert_allclose(mixed.coef, straight.coef[order], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("f", [8, 300])
def test_a_path_from_warm_starts_equals_cold_fits(kind: str, f: int) -> None:
    kind, x, outcome = made(kind, f=f)
    top = largest_penalty(kind, x, outcome)
    penalties = [0.1 * top, 0.5 * top, 0.03 * top, 2 * top]
    path = fit_elastic_net(kind, x, outcome, penalties)
    for penalty, fitted in zip(penalties, path, strict=True):
        (cold,) = fit_elastic_net(kind, x, outcome, [penalty])
        np.testing.assert_allclose(fitted.coef, cold.coef, atol=2e-4)
    sparse = [int((linear.coef != 0).any(axis=1).sum()) for linear in path]
    assert sparse[2] >= sparse[0] > sparse[1] > sparse[3] == 0


def test_refusals_say_what_is_wrong() -> None:
    kind, x, outcome = made("regression")
    for penalties in ([], [0.0], [1.0, -1.0]):
        with pytest.raises(ValueError, match="> 0"):
            fit_elastic_net(kind, x, outcome, penalties)
    with pytest.raises(ValueError, match="l1_ratio"):
        fit_elastic_net(kind, x, outcome, [1.0], l1_ratio=0.0)
    with pytest.raises(ValueError, match="'survival'"):
        fit_elastic_net("survival", x, outcome, [1.0])
    with pytest.raises(ValueError, match="finite"):
        fit_elastic_net(kind, np.where(x > 1, np.nan, x), outcome, [1.0])
