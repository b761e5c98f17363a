"""`sam-med2d`: trained from nothing and upon a frozen SAM, alone as in a batch, stored, and answering clicks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.sam_med2d import SamMed2d
from chiasm.segmentation.clicked import Click, outlined
from chiasm.segmentation.sam import build_sam, small_config
from chiasm.targets.label_maps import map_of, of_text
from command_line import Run
from mask_cohorts import LABELS, opened

pytest.importorskip("transformers")
SMALL = {"epochs": 1, "width": 16, "depth": 1, "size": 32, "patch": 8, "clicks": 1}


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shapes")


@pytest.fixture(scope="module")
def cohort(shapes: Path) -> chiasm.Cohort:
    return opened(shapes, 16, absent=0.2)


@pytest.fixture(scope="module")
def model(cohort: chiasm.Cohort, shapes: Path) -> chiasm.FittedModel:
    torch.manual_seed(0)
    build_sam(small_config(32, 8, 16, 1)).save_pretrained(str(shapes / "sam"))
    return SamMed2d(**{**SMALL, "size": 0}, weights=str(shapes / "sam")).fit(cohort, seed=0)


def test_a_model_on_a_frozen_sam_is_stored_and_says_the_same_of_one_and_of_all(
    model: chiasm.FittedModel, cohort: chiasm.Cohort, shapes: Path, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    said = model.predict(cohort)
    pd.testing.assert_frame_equal(model.predict(cohort.subset(np.arange(len(cohort)) == 3)), said.iloc[[3]])
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    held = load_file(shapes / "sam" / "model.safetensors")
    for name, value in held.items():
        if name.startswith("vision_encoder"):
            np.testing.assert_array_equal(model.predictor.state[f"sam.{name}"], value.numpy())


def test_clicks_draw_their_label_anew_and_leave_the_others(model: chiasm.FittedModel, shapes: Path) -> None:
    images = {path.stem[5:]: path for path in sorted(shapes.glob("p003_[ot]*.png"))}
    alone = outlined(model, images)
    said = model.predict({name: str(path) for name, path in images.items()}).iloc[0]
    np.testing.assert_array_equal(alone.codes, of_text(said["mask"], LABELS).codes)
    before = np.zeros((32, 32), dtype=int)
    before[20:25, 3:9], before[2:5, 2:5] = 2, 1
    clicks = [Click((10.0, 12.0), True, "disc"), Click((2.0, 2.0), False, "disc")]
    own = outlined(model, images, clicks, map_of(before))
    drawn = own.codes == 1
    np.testing.assert_array_equal(own.codes[~drawn] == 2, before[~drawn] == 2)
    assert outlined(model, images, (), map_of(before)).codes.sum() == before.sum()
    again = outlined(model, images, clicks, map_of(before))
    np.testing.assert_array_equal(again.codes, own.codes)
    wide = replace(model, predictor=replace(model.predictor, window=(48, 40)))  # of an image smaller than the window
    assert outlined(wide, images, clicks, map_of(before)).shape == outlined(wide, images, clicks).shape == (32, 32)
    with pytest.raises(Unsupported, match="click 1 lies outside of the image, which is 32 x 32"):
        outlined(model, images, [Click((40.0, 2.0), True, "disc")])
    with pytest.raises(Unsupported, match="the label map before is 8 x 8"):
        outlined(model, images, clicks, map_of(before[:8, :8]))


def test_what_was_erased_where_nobody_clicked_stays_erased(model: chiasm.FittedModel, shapes: Path) -> None:
    """Windows without a click keep the map before them, an empty one too."""
    small = replace(model, predictor=replace(model.predictor, window=(16, 16)))
    before = np.zeros((32, 32), dtype=int)
    before[:5, :5] = 1
    (image, *_) = sorted(shapes.glob("p00*_one.png"))
    own = outlined(small, {"one": image}, [Click((28.0, 30.0), False, "disc")], map_of(before))
    np.testing.assert_array_equal(own.codes[:8, :8], before[:8, :8])  # no window of the click reaches so far


def test_what_it_cannot_read_is_refused(cohort: chiasm.Cohort, shapes: Path) -> None:
    for wrong in ({"width": 20}, {"size": 30}, {"clicks": -1}, {"objects": 0}, {"patch": 0}):
        with pytest.raises(ValueError, match=r"multiple|lies between"):
            SamMed2d(**wrong)
    with pytest.raises(Unsupported, match="holds no network of transformers"):
        SamMed2d(weights=str(shapes)).fit(cohort, seed=0)


def test_clicks_are_given_by_the_command_line_and_in_python(
    model: chiasm.FittedModel, shapes: Path, tmp_path: Path, run: Run
) -> None:
    model.save(tmp_path / "model")
    (name, image), *_ = [(path.stem[5:], path) for path in sorted(shapes.glob("p003_[ot]*.png"))]
    own = chiasm.outline(tmp_path / "model", {name: image}, ["10,12,+,disc", Click((2.0, 2.0), False, "disc")])
    given = ("segment", tmp_path / "model", f"{name}={image}", "--click", "10,12,+,disc", "--click", "2,2,-,disc")
    found = run(*given, "--out", tmp_path / "a.png", "--json")
    assert found.code == 0, found.err
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), own.codes)
    found = run(*given, "--click", "99,2,+,disc", "--out", tmp_path / "b.png")
    assert found.code == 2 and "click 3 lies outside of the image" in found.err
    assert run(*given, "--click", "9;2", "--out", tmp_path / "b.png").code == 2
    assert not (tmp_path / "b.png").exists()
