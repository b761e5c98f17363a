"""What recipes with inner folds hand out: the model, its response, and links of models that never saw the patient."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chiasm import Choice, cohort_from_frames
from chiasm.cohort import Outcome, synthetic_cohort
from chiasm.fitting.base import trainable
from chiasm.fitting.chosen import prior_link
from chiasm.fitting.cross_fitted import CrossFittedRecipe
from chiasm.fitting.unimodal import held_out_priors
from chiasm.heads.response import calibration
from chiasm.recipes.registry import make_recipe
from small_recipes import mixed

HAND_OUT = (
    "late-fusion",
    "stacked-fusion",
    "early-fusion",
    "multi-ridge",
    "single:m2",
    "boosted-trees",
    "block-forest:trees=20",
    "priority-lasso",
    "ensemble",
)


def by_day(kind: str, name: str) -> bool:
    """True of each recipe with one kind of target, but of members of the ensemble and of a lasso as others."""
    return (kind == "survival") != ("forest" in name) and name not in ("multi-ridge", "early-fusion", "priority-lasso")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        pytest.param(kind, name, marks=[] if by_day(kind, name) else [pytest.mark.nightly])
        for kind in ("survival", "classification")
        for name in HAND_OUT
    ],
)
def test_each_patient_has_a_link_and_learn_gives_the_same_model(name: str, kind: str) -> None:
    training = trainable(mixed(kind), 0, None, "cpu")
    recipe = make_recipe(name)
    assert isinstance(recipe, CrossFittedRecipe)
    found = recipe.cross_fitted(training)
    fitted = found.predictor.link(training.cohort)
    assert found.links.shape == found.calibrated.shape == fitted.shape
    assert np.isfinite(found.links).all() and found.folds.shape == (len(fitted),)
    if kind == "survival":  # a log hazard says how patients compare, whatever the centre of the model's links
        level = [found.calibrated[found.folds == fold].mean() for fold in np.unique(found.folds)]
        np.testing.assert_allclose(level, 0.0, atol=1e-9)
    predictor, response = recipe.learn(training)
    assert np.array_equal(predictor.link(training.cohort), fitted)
    assert (response.slope, response.centre) == (found.response.slope, found.response.centre)


@pytest.mark.parametrize("name", ["late-fusion", "stacked-fusion"])
def test_calibrated_links_need_no_other_slope(name: str) -> None:
    training = trainable(mixed("survival"), 0, None, "cpu")
    found = make_recipe(name).cross_fitted(training)
    slope = calibration("survival", found.calibrated, training.outcome, found.folds)[0]
    assert slope == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("name", ["late-fusion", pytest.param("multi-ridge", marks=pytest.mark.nightly)])
def test_links_are_of_models_of_other_patients(name: str) -> None:
    """Noise is fitted by a model of the patients, and less by models of the others."""
    cohort = synthetic_cohort("noise-modality", 120, target="regression", seed=0)
    noise = np.random.default_rng(9).normal(size=120)
    labelled = cohort.with_target(cohort.target, Outcome(noise, None, np.ones(120, bool)))
    training = trainable(labelled, 0, None, "cpu")
    found = make_recipe(name).cross_fitted(training)
    told = [np.corrcoef(own[:, 0], noise)[0, 1] for own in (found.links, found.predictor.link(training.cohort))]
    assert told[0] < told[1] - 0.15


@pytest.mark.parametrize("name", ["late-fusion", "stacked-fusion"])
def test_of_a_choice_that_nothing_tells_a_link_is_what_the_options_of_other_folds_say(name: str) -> None:
    """No slope and no weight mixes in what the options of all say, those of the patient who is held out among them."""
    rng, ids = np.random.default_rng(0), [f"p{k:02d}" for k in range(60)]
    shown = [["yes", "no"] if own else ["no", "yes"] for own in rng.random(60) < 0.5]
    patients = pd.DataFrame({"right": rng.choice(["yes", "no"], 60, p=[0.7, 0.3]), "options": shown}, index=ids)
    frames = {own: pd.DataFrame({"x": np.ones(60)}, index=ids) for own in ("m1", "m2")}
    training = trainable(cohort_from_frames(patients, frames, Choice("right", "options")), 0, None, "cpu")
    links = make_recipe(name).cross_fitted(training).links
    of_all = prior_link(training.target, training.outcome, None)
    priors = held_out_priors(training, of_all)
    assert np.abs(priors - of_all).max() > 0.1
    np.testing.assert_allclose(links, priors, atol=1e-12)
