"""`fine-gray` obeys the laws of a recipe, says incidences of each cause, and refuses other targets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import chiasm
from chiasm.metrics.scores import score
from chiasm.recipes.baselines.fine_gray import FineGrayRecipe
from chiasm.testing import check_recipe
from lighter_trials import only_ridges
from small_recipes import at_night


@pytest.mark.parametrize("modality", ["", *at_night("m1")])
def test_laws_hold(modality: str) -> None:
    with only_ridges():
        check_recipe(FineGrayRecipe(modality=modality), kinds=("competing",), n=56)


def test_it_ranks_the_main_cause_and_comes_back_from_disk(tmp_path: Path) -> None:
    cohort = chiasm.synthetic_cohort("complementary", 160, target="competing", seed=1, missing=0.2)
    with only_ridges():
        model = chiasm.fit(cohort.subset(np.arange(110)), "fine-gray", seed=0)
    assert model.response.subdistribution and len(model.predictor.coefficients()) == 2
    test = cohort.subset(np.arange(110, 160))
    said = model.predict(test)
    assert test.outcome is not None
    assert score("competing", said, test.outcome, ("cancer", "other"))["wolbers_c"][0] > 0.6
    model.save(tmp_path / "model")
    assert chiasm.load_model(tmp_path / "model").predict(test).equals(said)


def test_other_targets_are_refused() -> None:
    cohort = chiasm.synthetic_cohort("complementary", 60, target="survival", seed=1)
    with pytest.raises(chiasm.Unsupported, match="competing risks, or early-fusion"):
        chiasm.fit(cohort, "fine-gray")
