"""The estimators keep scikit-learn's manners, and predict what the recipe does on the same patients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import chiasm
from chiasm.recipes.baselines.single import Single
from lighter_trials import ridges_by_day

RARE = "a class of one patient is refused, since it cannot be in training and in test"
EXPECTED = dict.fromkeys(
    (
        "check_dont_overwrite_parameters",
        "check_f_contiguous_array_estimator",
        "check_methods_sample_order_invariance",
        "check_methods_subset_invariance",
        "check_dict_unchanged",
        "check_fit2d_predict1d",
    ),
    RARE,
)


@pytest.fixture(autouse=True, scope="module")
def ridges() -> Iterator[None]:
    """Models of one modality are ridges by day: whose they are is nothing to an estimator."""
    with ridges_by_day():
        yield


def blocks(n: int = 90, missing: float = 0.2) -> tuple[pd.DataFrame, np.ndarray]:
    """A frame whose columns have the modalities in their first level, and a number that both tell of."""
    rng = np.random.default_rng(4)
    parts = {name: pd.DataFrame(rng.normal(size=(n, 3)), columns=list("abc")) for name in ("m1", "m2")}
    y = parts["m1"]["a"].to_numpy() + parts["m2"]["b"].to_numpy() + 0.3 * rng.normal(size=n)
    parts["m2"] = parts["m2"].mask(np.repeat(rng.random((n, 1)) < missing, 3, axis=1))
    frame = pd.concat(parts, axis=1).set_axis(rng.permutation(n) * 7, axis=0)
    return frame, y


@pytest.mark.nightly
@pytest.mark.filterwarnings("ignore")  # of the checks' own cohorts, such as a column that repeats another
@pytest.mark.parametrize(
    ("made", "expected"),
    [(chiasm.ChiasmClassifier, EXPECTED), (chiasm.ChiasmRegressor, {})],
    ids=["classes", "numbers"],
)
def test_every_check_of_scikit_learn(made: Any, expected: dict[str, str]) -> None:
    found = check_estimator(made(), expected_failed_checks=expected, on_fail=None, on_skip=None)
    assert [one["check_name"] for one in found if one["status"] == "failed"] == []
    assert {one["check_name"] for one in found if one["status"] == "xfail"} == set(expected)


def test_a_regressor_predicts_what_the_recipe_does_in_the_order_of_the_rows() -> None:
    frame, y = blocks()
    ids = [f"{k:02d}" for k in range(len(frame))]
    patients = pd.DataFrame({"y": y}, index=ids)
    parts = {name: frame[name].set_axis(ids, axis=0) for name in ("m1", "m2")}
    cohort = chiasm.cohort_from_frames(patients, parts, chiasm.Regression("y"))
    recipe = chiasm.fit(cohort, "late-fusion", seed=3).predict(cohort)["prediction"].to_numpy()
    made = chiasm.ChiasmRegressor(seed=3).fit(frame, y)
    np.testing.assert_allclose(made.predict(frame), recipe, atol=1e-12)
    turned = frame.iloc[::-1]
    np.testing.assert_allclose(made.predict(turned)[::-1], recipe, atol=1e-9)
    assert made.model_.modalities == {"m1": "table", "m2": "table"}


def test_modalities_by_name_and_by_position_are_those_of_the_levels() -> None:
    frame, y = blocks()
    flat = frame.set_axis(["_".join(column) for column in frame.columns], axis=1)
    names = {m: [column for column in flat if column.startswith(m)] for m in ("m1", "m2")}
    places = {"m1": [0, 1, 2], "m2": [3, 4, 5]}
    wanted = chiasm.ChiasmRegressor().fit(frame, y).predict(frame)
    named = chiasm.ChiasmRegressor(modalities=names).fit(flat, y)
    placed = chiasm.ChiasmRegressor(modalities=places).fit(flat.to_numpy(), y)
    np.testing.assert_allclose(named.predict(flat), wanted, atol=1e-12)
    np.testing.assert_allclose(placed.predict(flat.to_numpy()), wanted, atol=1e-12)
    with pytest.raises(ValueError, match="names a column that X lacks: m1_z"):
        chiasm.ChiasmRegressor(modalities={"m1": ["m1_z"]}).fit(flat, y)


def test_a_classifier_is_searched_over_and_scored_in_folds() -> None:
    frame, y = blocks()
    classes = np.where(y > 0, "high", "low")
    found = cross_val_score(chiasm.ChiasmClassifier(), frame, classes, cv=3, scoring="roc_auc")
    assert found.min() > 0.7
    search = GridSearchCV(chiasm.ChiasmClassifier(), {"recipe": ["late-fusion", "early-fusion"]}, cv=2)
    chosen = search.fit(frame, classes).best_estimator_
    assert list(chosen.classes_) == ["high", "low"]
    assert set(chosen.predict(frame)) <= {"high", "low"}
    np.testing.assert_allclose(chosen.predict_proba(frame).sum(1), 1.0)
    copy = clone(chosen)
    assert copy.get_params() == chosen.get_params()
    with pytest.raises(NotFittedError):
        copy.predict(frame)


def test_a_step_before_it_sees_training_rows_alone() -> None:
    """Columns of noise that are selected on all rows predict noise; selected on training rows, they cannot."""
    rng = np.random.default_rng(0)
    noise, y = rng.normal(size=(60, 300)), rng.normal(size=60)
    made = chiasm.ChiasmRegressor(Single("table", models="linear"))
    honest = cross_val_score(make_pipeline(SelectKBest(f_regression, k=8), made), noise, y, cv=3)
    leaky = cross_val_score(made, SelectKBest(f_regression, k=8).fit_transform(noise, y), y, cv=3)
    assert honest.mean() < 0.05 < 0.3 < leaky.mean()
    frame, y = blocks(missing=0.0)
    flat = frame.set_axis(["_".join(column) for column in frame.columns], axis=1).to_numpy()
    model = chiasm.ChiasmRegressor(modalities={"m1": [0, 1, 2], "m2": [3, 4, 5]})
    found = cross_val_score(make_pipeline(StandardScaler(), model), flat, y, cv=KFold(2))
    for (train, test), own in zip(KFold(2).split(flat), found, strict=True):
        centre, spread = flat[train].mean(0), flat[train].std(0)
        said = clone(model).fit((flat[train] - centre) / spread, y[train]).predict((flat[test] - centre) / spread)
        assert own == pytest.approx(r2_score(y[test], said), abs=1e-9) and own > 0.5


def test_survival_has_the_manners_of_scikit_survival() -> None:
    util = pytest.importorskip("sksurv.util")
    metrics = pytest.importorskip("sksurv.metrics")
    frame, y = blocks(120)
    rng = np.random.default_rng(0)
    time, event = np.exp(rng.normal(size=120) - y) * 30, rng.random(120) < 0.8
    outcome = util.Surv.from_arrays(event, time)
    made = chiasm.ChiasmSurvival().fit(frame, outcome)
    assert made.score(frame, outcome) == pytest.approx(
        metrics.concordance_index_censored(event, time, made.predict(frame))[0]
    )
    assert made.score(frame, outcome) > 0.75 and np.corrcoef(made.predict(frame), y)[0, 1] > 0.5, (
        "y brings the event on"
    )
    curves = made.predict_survival(frame)
    assert (curves.diff(axis=1).iloc[:, 1:] <= 0).all().all() and list(curves.columns) == sorted(curves.columns)
    with pytest.raises(ValueError, match="structured array of an event"):
        chiasm.ChiasmSurvival().fit(frame, time)


@pytest.mark.parametrize(
    ("X", "y", "said"),
    [
        (pd.DataFrame(), [], "0 rows and 0 columns"),
        (np.ones((20, 2)), np.zeros(20), "1 class"),
        (np.full((20, 2), np.inf), np.arange(20) % 2, "infinity"),
        (np.ones((20, 2)), None, "target y is None"),
        (np.ones((20, 2)), np.arange(19) % 2, "inconsistent numbers"),
    ],
    ids=["nothing", "one class", "infinite", "no y", "another length"],
)
def test_what_is_no_input_is_refused(X: Any, y: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        chiasm.ChiasmClassifier().fit(X, y)
