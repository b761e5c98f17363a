"""`unet`: alone as in a batch, stored, resumed, with any contrast absent, and refused where nothing can be drawn."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.unet import UNet
from chiasm.targets.label_maps import of_text
from mask_cohorts import LABELS, made_cohort, opened

SMALL = {"epochs": 1, "width": 4, "depth": 1, "crops": 1}
NAME = "unet:width=4,depth=1,crops=1,flips=all,epochs=1"


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> chiasm.Cohort:
    return opened(tmp_path_factory.mktemp("shapes"), 24, absent=0.2)


def test_a_model_says_the_same_of_one_and_of_all_and_after_it_was_stored(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    model = chiasm.fit(cohort, NAME, seed=0)
    said = model.predict(cohort)
    assert list(said) == ["pattern", "mask", *(f"volume_{name}" for name in LABELS)]
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    for text, *volumes in said[["mask", "volume_disc", "volume_square"]].to_numpy():
        own = of_text(text, LABELS)
        assert own.shape == (32, 32)
        np.testing.assert_allclose(own.volumes(2), np.array(volumes, dtype=float))
    alone = model.predict(cohort.subset(np.arange(len(cohort)) == 3))
    pd.testing.assert_frame_equal(alone, said.iloc[[3]])
    for wrong in ({"window": (8,)}, {"grids": {}}, {"without": np.zeros(2)}, {"without": np.r_[0, 0, 3.0, 1, 1]}):
        with pytest.raises(ValueError, match=r"windows of two|a map behind|in numbers"):
            replace(model.predictor, **wrong)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    recipe = UNet(**{**SMALL, "epochs": 2}, flips="all")
    whole = recipe.fit(cohort, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        from chiasm.training.checkpoint import Checkpoint

        write = Checkpoint.write

        def stop(self: Checkpoint, *given: object) -> None:
            write(self, *given)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        patch.setattr(Checkpoint, "write", stop)
        with pytest.raises(KeyboardInterrupt):
            recipe.fit(cohort, seed=1, checkpoint=tmp_path)
    resumed = recipe.fit(cohort, seed=1, checkpoint=tmp_path)
    pd.testing.assert_frame_equal(resumed.predict(cohort), whole.predict(cohort))


def test_who_has_no_image_is_told_what_maps_have_on_average(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 24)
    with place.open("a") as file:
        file.write('[modalities.clinical]\nkind = "table"\ncolumns = ["age"]\n')
    for name in ("one", "two"):
        (tmp_path / f"p005_{name}.png").unlink()
    made = chiasm.encode(chiasm.open_cohort(place)).cohort
    said = chiasm.fit(made, UNet(**SMALL).name, seed=0).predict(made)
    assert made.outcome is not None
    means = made.outcome.value[np.arange(24) != 5].mean(axis=0)
    np.testing.assert_allclose(said.loc["p005", ["volume_disc", "volume_square"]].astype(float), means)
    assert said.loc["p005", "pattern"] == "" and json.loads(said.loc["p005", "mask"])["shape"] == [32, 32]


def test_what_cannot_be_drawn_in_is_refused(cohort: chiasm.Cohort, tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="target of them"):
        UNet().supports(chiasm.synthetic_cohort("unique", 40))
    with pytest.raises(Unsupported, match="no modality of images"):
        UNet().supports(chiasm.synthetic_cohort("unique", 40, target="mask"))
    with pytest.raises(Unsupported, match="no modality 'x'"):
        UNet(modality="x").supports(cohort)
    place = made_cohort(tmp_path, 12)
    place.write_text(place.read_text().replace('encoder = "grid"', 'encoder = "patches:size=32,patch=8"'))
    with pytest.raises(Unsupported, match='encoder = "grid"'):
        UNet(**SMALL).fit(chiasm.encode(chiasm.open_cohort(place)).cohort, seed=0)
    from PIL import Image

    other = made_cohort(tmp_path / "b", 12)
    Image.fromarray(np.ones((30, 32), dtype=np.uint8)).save(tmp_path / "b" / "p003_map.png")
    with pytest.raises(Unsupported, match="row 5: the label map has another shape"):
        UNet(**SMALL).fit(chiasm.encode(chiasm.open_cohort(other)).cohort, seed=0)
    for wrong in ({"flips": "up"}, {"width": 0}, {"depth": 9}, {"epochs": -1}, {"window": 0}, {"crops": 0}):
        with pytest.raises(ValueError, match=r"known|lies between|must be"):
            UNet(**wrong)


@pytest.mark.nightly
def test_shapes_are_drawn_and_the_second_contrast_pays_for_the_square(tmp_path: Path) -> None:
    train, new = opened(tmp_path / "a", 60, absent=0.15), opened(tmp_path / "b", 40, seed=1)
    found = {}
    for name in ("", "modality=one,"):
        model = chiasm.fit(train, f"unet:{name}width=8,depth=2,epochs=40,batch=4", seed=0)
        model.save(tmp_path / f"model{name}")
        found[name] = chiasm.validate(tmp_path / f"model{name}", new).table().set_index("metric").loc["dice"]
    assert found[""]["low"] > 0.85 and found[""]["low"] > found["modality=one,"]["mean"]
