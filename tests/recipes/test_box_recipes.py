"""Recipes that draw boxes: alone as in a batch, stored, resumed, without an image, and refused where they cannot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.detection.centres import Centres
from chiasm.recipes.detection.detector import Detector
from chiasm.targets.marked import of_text
from detection_cohorts import LABELS, made_cohort, opened

SMALL = {"epochs": 2, "width": 8, "depth": 1}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return opened(tmp_path_factory.mktemp("shapes"), 24)


def test_a_model_says_the_same_of_one_and_of_all_and_after_it_was_stored(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    model = chiasm.fit(cohort, "centres:epochs=2,width=8,depth=1,flips=all", seed=0)
    said = model.predict(cohort)
    assert list(said) == ["pattern", "boxes", *(f"count_{name}" for name in LABELS)]
    alone = model.predict(cohort.subset(np.arange(len(cohort)) == 3))
    pd.testing.assert_frame_equal(alone, said.iloc[[3]], atol=1e-5)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    again = chiasm.fit(cohort, "centres:epochs=2,width=8,depth=1,flips=all", seed=0)
    pd.testing.assert_frame_equal(again.predict(cohort), said)


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    whole = Centres(**SMALL, flips="all").fit(cohort, seed=1)
    file = tmp_path / "centres.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        from chiasm.training.checkpoint import Checkpoint

        write = Checkpoint.write

        def stop(self: Checkpoint, *given: object) -> None:
            write(self, *given)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patch.setattr(Checkpoint, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            Centres(**SMALL, flips="all").fit(cohort, seed=1, checkpoint=tmp_path)
    assert file.exists()
    resumed = Centres(**SMALL, flips="all").fit(cohort, seed=1, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(resumed.predict(cohort), whole.predict(cohort))


def test_who_has_no_image_is_told_what_images_have_on_average(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 24)
    with place.open("a") as file:
        file.write('[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n')
    (tmp_path / "p005.png").unlink()
    cohort = chiasm.encode(chiasm.open_cohort(place)).cohort
    model = chiasm.fit(cohort, "centres:epochs=1,width=8,depth=1", seed=0)
    said = model.predict(cohort)
    known = np.array([k for k in range(24) if k != 5])
    assert cohort.outcome is not None
    means = cohort.outcome.value[known].mean(axis=0)
    np.testing.assert_allclose(said.loc["p005", ["count_square", "count_disc"]].astype(float), means)
    assert said.loc["p005", "pattern"] == "" and said.loc["p005", "boxes"] != "[]"
    nothing = cohort.outcome.boxes
    assert nothing is not None and len(nothing.each) == 24


def test_what_cannot_be_drawn_in_is_refused(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="target of boxes"):
        Centres().supports(chiasm.synthetic_cohort("unique", 40))
    with pytest.raises(Unsupported, match="no modality of images"):
        Centres().supports(chiasm.synthetic_cohort("unique", 40, target="boxes"))
    with pytest.raises(Unsupported, match="no modality 'x'"):
        Centres(modality="x").supports(cohort)
    with pytest.raises(Unsupported, match="multiple of 128"):
        Centres(depth=5).supports(cohort)
    padded = made_cohort(tmp_path, 12, encoder="patches:size=32,patch=8,resize=pad")
    with pytest.raises(Unsupported, match="patches that fill"):
        Centres(**SMALL).fit(chiasm.encode(chiasm.open_cohort(padded)).cohort, seed=0)
    for wrong in ({"flips": "up"}, {"width": 0}, {"depth": 9}, {"epochs": -1}):
        with pytest.raises(ValueError, match=r"known|lies between|must be"):
            Centres(**wrong)


@pytest.mark.nightly
def test_shapes_are_found(tmp_path: Path) -> None:
    model = chiasm.fit(opened(tmp_path / "a", 120), "centres:epochs=30,width=8,depth=1,learning_rate=0.005", seed=0)
    model.save(tmp_path / "model")
    found = chiasm.validate(tmp_path / "model", opened(tmp_path / "b", 40, seed=1)).table().set_index("metric")
    assert found.loc["map_50", "low"] > 0.8 and found.loc["count_error", "high"] < 0.5


@pytest.mark.nightly
@pytest.mark.parametrize("network", ["yolos", "rt-detr"])
def test_a_detector_of_transformers_is_stored_and_begins_with_local_weights(
    cohort: chiasm.Cohort, tmp_path: Path, network: str
) -> None:
    pytest.importorskip("transformers")
    recipe = Detector(network=network, width=16, queries=6, epochs=1)
    model = recipe.fit(cohort, seed=0)
    said = model.predict(cohort)
    assert max(len(of_text(text, LABELS)) for text in said["boxes"]) == 6
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    own = recipe.design().finder(1, 32, 2).model
    own.save_pretrained(tmp_path / "weights")
    begun = replace(recipe, weights=str(tmp_path / "weights"), epochs=0, width=32)
    predictor = begun.fit(cohort, seed=1).predictor
    for name, value in own.state_dict().items():
        np.testing.assert_array_equal(predictor.state[f"model.{name}"], value.numpy(), name)
    with pytest.raises(Unsupported, match="weights='nowhere'"):
        replace(recipe, weights=str(tmp_path / "nowhere")).fit(cohort, seed=0)
    with pytest.raises(Unsupported, match="multiple of"):
        recipe.fits(36)
    with pytest.raises(ValueError, match="known"):
        Detector(network="yolo")
