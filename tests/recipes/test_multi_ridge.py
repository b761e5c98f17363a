"""`multi-ridge`: penalties by modality, blocks without one, and what is refused before anything is computed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Outcome, Unsupported, synthetic_cohort
from chiasm.fitting.block_choice import choose_blocks
from chiasm.recipes.registry import make_recipe
from small_recipes import mixed


@pytest.mark.parametrize("kind", ["classification", "survival"])
def test_noise_is_penalised_more_than_what_tells(kind: str) -> None:
    cohort = synthetic_cohort("noise-modality", 300, target=kind, seed=0)
    penalties = make_recipe("multi-ridge").fit(cohort, seed=0).predictor.penalties
    assert penalties["m2"] >= 10 * penalties["m1"]


def test_an_absent_modality_adds_nothing() -> None:
    cohort = mixed("regression")
    model = make_recipe("multi-ridge").fit(cohort, seed=0)
    lacking = cohort.with_modalities(["m1"]).with_target(None, None)
    given = lacking.subset(lacking.rows_of("m1"))
    features, mean = model.predictor.features["m1"], model.predictor.means["m1"]
    own = features.features(given.raw("m1")) - mean
    raw = own @ model.predictor.linear.coef[: own.shape[1]] + model.predictor.linear.intercept
    expected = model.predictor.centre + model.predictor.slope * (raw - model.predictor.centre)
    assert next(iter(model.predictor.means)) == "m1"
    np.testing.assert_allclose(model.predictor.link(given), expected, rtol=1e-9, atol=1e-9)


def test_a_free_modality_has_no_penalty_and_another_fit() -> None:
    cohort = mixed("survival")
    free = make_recipe("multi-ridge:free=m1").fit(cohort, seed=0).predictor
    assert free.penalties["m1"] == 0 < min(free.penalties["m2"], free.penalties["m3"])
    plain = make_recipe("multi-ridge").fit(cohort, seed=0).predictor
    width = len(free.means["m1"])
    assert np.abs(free.linear.coef[:width]).sum() > np.abs(plain.linear.coef[:width]).sum()


def wide() -> Cohort:
    rng = np.random.default_rng(0)
    ids = [f"case-{k}" for k in range(40)]
    values = {name: pd.DataFrame(rng.normal(size=(40, 30)), ids).rename(columns=str) for name in ("a", "b")}
    patients = pd.DataFrame({"y": rng.normal(size=40)}, ids)
    return chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("multi-ridge:free=c", "names 'c', and the cohort's modalities are a, b"),
        ("multi-ridge:free=a+b", "leaves no modality to penalise"),
        ("multi-ridge:free=a", "has 30 columns, and 40 patients or events allow 8"),
    ],
)
def test_what_cannot_be_fitted_is_refused(spec: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        recipe = make_recipe(spec)
        recipe.supports(wide())
        recipe.fit(wide(), seed=0)


def test_links_are_out_of_fold() -> None:
    """With noise alone, links of held-out rows go with the outcome by chance; fitted ones would go with it always."""
    rng = np.random.default_rng(3)
    values, folds = rng.normal(size=(120, 300)), np.arange(120) % 5
    outcome = Outcome(rng.normal(size=120), None, np.ones(120, bool))
    found = choose_blocks("regression", [values - values.mean(0)], np.zeros((120, 0)), outcome, folds, None)
    assert abs(np.corrcoef(found.links[:, 0], outcome.value)[0, 1]) < 0.25
