"""P35: the unit of a target or of a column changes nothing: the same predictions, scores and verdict."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.cohort import Cohort
from small_recipes import FEW, PATHS, at_night, every_variant, mixed, on_paths, parts, short_name, small

FACTORS = (1e-9, 1e9)
LEARNING = FEW | {name for name in PATHS if name.startswith("flora")}  # each hospital meets the unit for itself
# Eighteen orders apart in `make test`; whether the unit in between is like them, in `make nightly`.
PAIRS = [FACTORS, pytest.param((1.0, 1e9), marks=pytest.mark.nightly)]


def in_unit(cohort: Cohort, factor: float) -> Cohort:
    """The cohort with its outcome in another unit."""
    assert cohort.outcome is not None
    return cohort.with_target(cohort.target, replace(cohort.outcome, value=cohort.outcome.value * factor))


def apart(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


def columns_in_unit(kind: str, factor: float) -> Cohort:
    """The mixed cohort with every column of its table and its omics block in another unit."""
    made = parts(kind)
    for name in ("m1", "m2"):
        frame = made.values[name]
        numbers = frame.select_dtypes("number").columns
        made.values[name] = frame.assign(**{column: frame[column] * factor for column in numbers})
    return made.cohort()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]:g} and {pair[1]:g}")
@pytest.mark.parametrize("recipe", on_paths(every_variant(), LEARNING), ids=short_name)
def test_a_regression_target_in_another_unit_is_predicted_alike(recipe: Any, pair: tuple[float, float]) -> None:
    cohort = mixed("regression", n=84)
    recipe.supports(cohort)
    found, expected = (
        recipe.fit(in_unit(cohort, factor), seed=0).predict(cohort)["prediction"].to_numpy() / factor for factor in pair
    )
    assert np.ptp(expected) > 0
    assert apart(found, expected) < 1e-6


@pytest.mark.parametrize("name", ["late-fusion", *at_night("early-fusion")])  # by day the other meets units of columns
def test_survival_times_in_another_unit_give_the_same_risks(name: str) -> None:
    cohort = mixed("survival")
    expected = small(name).fit(cohort, seed=0).predict(cohort).drop(columns="pattern").to_numpy()
    for factor in FACTORS:
        found = small(name).fit(in_unit(cohort, factor), seed=0).predict(cohort).drop(columns="pattern").to_numpy()
        assert apart(found, expected) < 1e-6


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
@pytest.mark.parametrize("name", ["early-fusion", *at_night("late-fusion")])
def test_columns_in_another_unit_give_the_same_predictions(name: str, kind: str) -> None:
    cohort = mixed(kind)
    expected = small(name).fit(cohort, seed=0).predict(cohort).drop(columns="pattern").to_numpy()
    for factor in FACTORS:
        other = columns_in_unit(kind, factor)
        found = small(name).fit(other, seed=0).predict(other).drop(columns="pattern").to_numpy()
        assert apart(found, expected) < 1e-5  # an omics block is held in single precision


@pytest.mark.usefixtures("ridges")
def test_scores_and_verdict_do_not_depend_on_the_unit() -> None:
    cohort = mixed("regression").with_modalities(["m1", "m2"])
    cohort = cohort.subset(cohort.present.any(1))
    protocol = chiasm.Protocol(folds=2, inner_folds=2, repeats=1, draws=100)
    small_unit, large_unit = (
        chiasm.evaluate(in_unit(cohort, factor), ["early-fusion"], protocol, jobs=1) for factor in (1e-6, 1e6)
    )
    assert small_unit.verdict is not None and large_unit.verdict is not None
    assert small_unit.verdict.sentence == large_unit.verdict.sentence
    means = [own.table().query("metric == 'r2'").set_index("recipe")["mean"] for own in (small_unit, large_unit)]
    assert {"early-fusion", "single:m1", "single:m2"} <= set(means[0].index)
    np.testing.assert_allclose(*means, atol=1e-6)


def test_a_target_of_a_single_value_is_refused() -> None:
    cohort = in_unit(mixed("regression"), 0.0)
    found = [problem for problem in chiasm.check_cohort(cohort) if problem.finding == "single-class"]
    assert [problem.severity for problem in found] == ["error"]


@pytest.mark.parametrize("value", [1e300, 1e-320, 1e160])
def test_a_target_that_no_unit_brings_into_reach_is_refused(value: float) -> None:
    cohort = in_unit(mixed("regression"), value)
    found = [problem for problem in chiasm.check_cohort(cohort) if problem.finding == "target-out-of-reach"]
    assert [problem.severity for problem in found] == ["error"] and "another unit" in found[0].fix
    assert f"{value:g}" not in str(found[0])
