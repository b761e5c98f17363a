"""What a plan or weights hold is part of a trial and of a checkpoint, though options name no more than their place."""

from __future__ import annotations

from pathlib import Path

import pytest

import chiasm
from chiasm.artifact import ArtifactError
from chiasm.evaluation.run import fingerprint
from chiasm.evaluation.summary import options_of
from chiasm.recipes.detection.detector import Detector
from chiasm.recipes.segmentation.i_medsam import IMedSAM
from chiasm.recipes.segmentation.sam_med2d import SamMed2d
from chiasm.recipes.segmentation.stu_net import StuNetRecipe
from chiasm.recipes.segmentation.unet import UNet
from chiasm.segmentation.plan import Plan
from mask_cohorts import opened


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return opened(tmp_path_factory.mktemp("shapes"), 12)


def hashed(cohort: chiasm.Cohort, recipe: object) -> str:
    return fingerprint(cohort, [recipe], chiasm.Protocol(folds=2), 0)


def test_a_trial_with_another_plan_in_the_same_file_is_another(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    place = tmp_path / "plan.json"
    recipe, told = UNet(plan=str(place)), set()
    for spacing in ((), (1.0, 1.0), (2.0, 2.0)):
        Plan(spacing, (8, 8), 4, 1).write(place)
        told.add(hashed(cohort, recipe))
        assert hashed(cohort, recipe) in told
    assert len(told) == 3 and not any("content" in name for name in options_of(UNet()))


def test_a_trial_with_other_weights_in_the_same_folder_is_another(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    for recipe in (
        StuNetRecipe(weights=str(tmp_path)), SamMed2d(weights=str(tmp_path)), IMedSAM(trunk=str(tmp_path)),
        Detector(weights=str(tmp_path)),
    ):  # fmt: skip
        told = set()
        for content in (b"", b"a", b"bc"):
            (tmp_path / "model.safetensors").write_bytes(content)
            told.add(hashed(cohort, recipe))
        (tmp_path / "note.txt").write_bytes(content)
        assert hashed(cohort, recipe) in told and len(told) == 3


def test_a_setting_that_is_tuned_names_its_plan_too(tmp_path: Path) -> None:
    place = tmp_path / "plan.json"
    tuned = chiasm.tuned(UNet(plan=str(place)), {"width": [2, 4]})
    told = set()
    for window in (4, 8):
        Plan((), (window, window), 4, 1).write(place)
        told.add(options_of(tuned)[f"content of {place}"])
    assert len(told) == 2


@pytest.mark.parametrize("other", [Plan((2.0, 2.0), (8, 8), 8, 1), Plan((), (12, 12), 8, 1)])
def test_a_checkpoint_of_another_plan_is_not_gone_on_from(cohort: chiasm.Cohort, tmp_path: Path, other: Plan) -> None:
    place, recipe = tmp_path / "plan.json", UNet(plan=str(tmp_path / "plan.json"), width=2, depth=1, epochs=1)
    Plan((), (8, 8), 8, 1).write(place)
    first = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    assert recipe.fit(cohort, seed=0, checkpoint=tmp_path).predictor.epochs == first.predictor.epochs
    other.write(place)
    with pytest.raises(ArtifactError, match="other options"):
        recipe.fit(cohort, seed=0, checkpoint=tmp_path)
