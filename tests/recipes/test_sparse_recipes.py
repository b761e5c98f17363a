"""`ipf-lasso` and `priority-lasso`: who comes first is believed first, and what is refused before any computation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported, synthetic_cohort
from chiasm.recipes.registry import make_recipe
from small_recipes import mixed


def copies(n: int = 160) -> chiasm.Cohort:
    """Two modalities that say the same of a number, one with more columns of noise than the other."""
    rng = np.random.default_rng(0)
    ids = [f"case-{k:03d}" for k in range(n)]
    told = rng.normal(size=n)
    values = {
        name: pd.DataFrame(np.column_stack([told, rng.normal(size=(n, width))]), ids).rename(columns="c{}".format)
        for name, width in (("few", 2), ("many", 30))
    }
    patients = pd.DataFrame({"y": told + 0.5 * rng.normal(size=n)}, ids)
    return chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))


@pytest.mark.parametrize(("order", "first"), [("", "few"), ("few+many", "few"), ("many + few", "many")])
def test_the_first_of_two_that_say_the_same_is_believed(order: str, first: str) -> None:
    spec = "priority-lasso" + (f":order={order}" if order else "")
    coef = make_recipe(spec).fit(copies(), seed=0).predictor.coef
    other = {"few": "many", "many": "few"}[first]
    assert abs(coef[first][0, 0]) > 5 * abs(coef[other][0, 0])


def test_an_absent_modality_adds_nothing() -> None:
    cohort = mixed("regression", 56)
    for name in ("priority-lasso", "ipf-lasso"):
        model = make_recipe(name).fit(cohort, seed=0).predictor
        lacking = cohort.with_modalities(["m1"]).with_target(None, None)
        given = lacking.subset(lacking.rows_of("m1"))
        own = model.features["m1"].features(given.raw("m1")) - model.means["m1"]
        if name == "priority-lasso":
            raw = model.prior + own @ model.coef["m1"]
        else:
            raw = model.linear.intercept + own @ model.linear.coef[: own.shape[1]]
            assert next(iter(model.means)) == "m1"
        expected = model.centre + model.slope * (raw - model.centre)
        np.testing.assert_allclose(model.link(given), expected, rtol=1e-9, atol=1e-9)


def test_noise_is_made_dearer_than_what_tells() -> None:
    cohort = synthetic_cohort("noise-modality", 160, target="survival", seed=0)
    model = make_recipe("ipf-lasso").fit(cohort, seed=0).predictor
    width = len(model.means["m1"])
    assert np.abs(model.linear.coef[:width]).max() > 2 * np.abs(model.linear.coef[width:]).max(initial=0.0)


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("priority-lasso:order=few+other", "must name each modality once, and the cohort's are few, many"),
        ("priority-lasso:order=few", "must name each modality once"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(spec: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        make_recipe(spec).supports(copies())


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("priority-lasso:order=few+few", "names a modality twice"),
        ("priority-lasso:l1_ratio=0", "must lie above 0"),
        ("ipf-lasso:l1_ratio=1.5", "must lie above 0"),
    ],
)
def test_options_without_a_meaning_are_refused(spec: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make_recipe(spec)
