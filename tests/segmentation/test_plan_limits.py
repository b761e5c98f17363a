"""A plan and a header together name no grid that cannot be read, wherever they come from; nothing is listed before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.unet import UNet
from chiasm.segmentation.parts import grid_for
from chiasm.segmentation.plan import Plan
from chiasm.segmentation.windows import sliding
from mask_cohorts import made_cohort, opened


@pytest.mark.parametrize(
    ("shape", "spacing", "wanted"),
    [((16,) * 3, (3e4,) * 3, (1.0,) * 3), ((16, 16), (1.0, 1.0), (1e-300, 1.0)), ((40, 40), (1e308, 9.0), (1e-9, 0.0)),
     ((16,) * 3, (20.0,) * 3, (1.0,) * 3)],
)  # fmt: skip
def test_a_grid_that_is_far_too_fine_is_refused(
    shape: tuple[int, ...], spacing: tuple[float, ...], wanted: tuple[float, ...]
) -> None:
    with pytest.raises(Unsupported, match=r"an image of [\dx ]+ pixels of .+ mm would be read on a grid of"):
        grid_for(shape, spacing, wanted)


def test_a_grid_that_a_scan_needs_is_not() -> None:
    assert grid_for((60, 512, 512), (5.0, 0.7, 0.7), (1.0, 0.7, 0.7)) == (300, 512, 512)
    assert grid_for((1, 10, 10), (400.0, 1.0, 1.0), (1.0, 1.0, 1.0)) == (400, 10, 10)
    assert len(sliding((300, 512, 512), (64, 64, 64))) == 9 * 15 * 15


def test_windows_beyond_count_are_refused_before_they_are_listed() -> None:
    with pytest.raises(Unsupported, match="20,000 x 20,000 pixels would be read in over 1,048,576 windows of 1 x 1"):
        sliding((20_000, 20_000), (1, 1))


def test_training_and_prediction_say_whose_image_it_is(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 12)
    model = UNet(width=2, depth=1, epochs=1, crops=1).fit(cohort, seed=0)
    grids = {name: replace(own, spacing=(1e-4, 1e-4)) for name, own in model.predictor.grids.items()}
    with pytest.raises(Unsupported, match="row 2: an image of 32 x 32 pixels of 1 x 1 mm would be read on a grid of"):
        replace(model, predictor=replace(model.predictor, grids=grids)).predict(cohort)
    Plan((1e-9, 1.0), (8, 8), 4).write(tmp_path / "plan.json")
    with pytest.raises(Unsupported, match="row 2: an image of 32 x 32"):
        UNet(plan=str(tmp_path / "plan.json")).fit(cohort, seed=0)


def test_a_plan_is_not_made_of_an_image_of_kilometres(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 12)
    with Image.open(tmp_path / "p004_two.png") as picture:
        picture.save(tmp_path / "p004_two.png", dpi=(0.0254, 0.0254))  # a pixel a metre
    with pytest.raises(Unsupported, match="row 6: an image of 32 x 32 pixels of 1,000 x 1,000 mm"):
        chiasm.plan(place)
