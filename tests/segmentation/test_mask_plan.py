"""A plan says how images are read: its rules by hand, its file as a person writes it, a network that follows it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chiasm
from chiasm.cohort import Unsupported
from chiasm.recipes.segmentation.unet import UNet
from chiasm.segmentation.grids import ImageGrids
from chiasm.segmentation.plan import Plan, grid_as_planned, spacing_for, window_for
from chiasm.targets.label_maps import of_text
from command_line import Run
from mask_cohorts import made_cohort, volume_cohort

nibabel = pytest.importorskip("nibabel")


def volumes(folder: Path, n: int = 12) -> Path:
    """Volumes in HU-like numbers of two spacings, an organ in each; the last but one of one slice, the last empty."""
    rng, made = np.random.default_rng(3), []
    for k in range(n):
        fine = 1 if k % 3 else 2
        shape, mm = ((12 * fine, 10 * fine, 1 if k == n - 2 else 4), (1.2 / fine, 1.5 / fine, 24.0 if k % 2 else 20.0))
        codes = np.zeros(shape, dtype=np.uint8)
        if k != n - 1:
            codes[2 * fine : 7 * fine, 3 * fine : 8 * fine, : 2 + k % 2] = 1
        values = np.where(codes == 1, 60.0, -900.0) + rng.normal(0, 20, shape)
        values[0, 0, 0] = 900.0  # metal
        made.append((values, codes, np.diag([*mm, 1.0])))
    return volume_cohort(folder, made)


def test_spacing_is_the_median_and_of_a_coarse_axis_the_tenth_percentile() -> None:
    even = np.array([[1.0, 0.5, 0.5]] * 4)
    assert spacing_for(even, np.full((4, 3), 100)) == ()
    apart = np.array([[8.0, 0.6, 0.6], [5.0, 0.8, 0.8], [4.0, 0.7, 0.7]])
    assert spacing_for(apart, np.array([[20, 512, 512]] * 3)) == (round(4.2, 6), 0.7, 0.7)
    assert spacing_for(apart, np.array([[300, 512, 512]] * 3)) == (5.0, 0.7, 0.7)  # as many pixels as elsewhere
    fine = np.array([[8.0, 0.6, 0.6], [5.0, 0.8, 0.8], [0.1, 0.7, 0.7]])
    assert spacing_for(fine, np.array([[20, 512, 512]] * 3))[0] == pytest.approx(0.1 + 0.2 * 4.9)
    finest = np.array([[9.0, 2.6, 2.6], [10.0, 2.8, 2.8], [0.1, 2.7, 2.7]])
    assert spacing_for(finest, np.array([[20, 512, 512]] * 3)) == (2.7, 2.7, 2.7)  # never below the other axes


def test_a_window_is_even_in_millimetres_within_the_image() -> None:
    assert window_for(np.array([300.0, 512, 512]), (1.0, 1.0, 1.0)) == (64, 64, 64)
    deep, down, across = window_for(np.array([300.0, 512, 512]), (4.0, 1.0, 1.0))
    assert deep * 4 == pytest.approx(down, rel=0.15) and down == across and 0.8 < deep * down * across / 64**3 <= 1
    assert window_for(np.array([1.0, 512, 512]), (20.0, 1.0, 1.0)) == (1, 512, 512)
    assert window_for(np.array([30.0, 40]), (1.0, 1.0)) == (30, 40)
    assert np.prod(window_for(np.array([1.5, 700, 700]), (60.0, 1.0, 1.0))) <= 64**3
    assert np.prod(window_for(np.array([7.5, 900, 900]), (20.0, 1.0, 1.0))) <= 64**3
    assert all(np.prod(window_for(np.array(own), (1.0, 9.0, 1.0))) <= 64**3 for own in ([9.0, 900, 900], [900.0, 2, 2]))


def test_a_plan_is_a_file_that_a_person_changes(tmp_path: Path) -> None:
    own = Plan((2.5, 0, 0.8), (8, 16, 16), 4, 1, {"ct": "labels"}, {"images": 3})
    own.write(tmp_path / "plan.json")
    assert Plan.read(tmp_path / "plan.json") == own
    text = json.loads((tmp_path / "plan.json").read_text())
    for change, said in (
        ({"windows": [4, 4]}, "did you mean 'window'"), ({"window": [4]}, "two or three sides"),
        ({"window": [4.5, 4, 4]}, "whole numbers"), ({"spacing": [1.0]}, "as many lengths"),
        ({"spacing": [-1.0, 1, 1]}, "millimetres"), ({"batch": 0}, "1 to 1,024"), ({"batch": None}, "whole numbers"),
        ({"scale": {"ct": "hu"}}, "image or labels"), ({"scale": 3}, "whole numbers"), ({"spacing": "a"}, "is numbers"),
    ):  # fmt: skip
        (tmp_path / "wrong.json").write_text(json.dumps({**text, **change}))
        with pytest.raises(ValueError, match=said):
            Plan.read(tmp_path / "wrong.json")
    (tmp_path / "wrong.json").write_text("[1, 2")
    with pytest.raises(ValueError, match=r"wrong\.json is no plan"):
        Plan.read(tmp_path / "wrong.json")


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")  # of the three
def test_a_network_follows_a_plan_and_answers_on_the_grid_of_each_image(run: Run, tmp_path: Path) -> None:
    """Two spacings, slices twenty times apart, one slice, an empty map: all of it is read, told and drawn."""
    place = volumes(tmp_path / "scans")
    told = {own.what.split(" in ")[0]: own for own in chiasm.check_cohort(place)}
    assert all(own.severity == "warning" and own.row is not None for own in told.values()) and len(told) == 3
    assert run("plan", place, "--out", tmp_path / "plan.json").code == 0
    plan = Plan.read(tmp_path / "plan.json")
    assert plan.spacing == (22.0, 1.5, 1.2) and plan.window == (4, 10, 12) and plan.scale == {"scan": "labels"}
    inside = plan.found["numbers inside labels"]["scan"]
    assert inside["percentile 50"] == pytest.approx(60, abs=3) and inside["spread"] == pytest.approx(20, abs=3)
    cohort = chiasm.encode(chiasm.open_cohort(place)).cohort
    model = chiasm.fit(
        cohort, f"unet:plan={tmp_path / 'plan.json'},width=4,depth=1,epochs=12,learning_rate=0.02", seed=0
    )
    (grid,) = model.predictor.grids.values()
    assert model.predictor.window == (4, 10, 12) and grid.spacing == plan.spacing and -100 < grid.clip[0] < 60
    said = model.predict(cohort)
    maps, drawn, known = cohort.outcome.maps, 0, 0
    for row, patient in enumerate(cohort.ids):
        own, true = of_text(said.loc[patient, "mask"], ("organ",)), maps.of(row)
        assert own.shape == true.shape and own.spacing == pytest.approx(true.spacing)
        drawn, known = drawn + int(own.codes.sum()), known + int(true.codes.sum())
    assert 0.3 < drawn / known < 2


def test_a_plan_is_read_before_anything_is_encoded_and_names_modalities(tmp_path: Path) -> None:
    cohort, place = chiasm.open_cohort(made_cohort(tmp_path / "shapes", 12)), tmp_path / "plan.json"
    recipe = UNet(plan=str(place))
    with pytest.raises(FileNotFoundError):
        chiasm.evaluate(cohort, [recipe], chiasm.Protocol(folds=2))
    place.write_text("[]")
    with pytest.raises(ValueError, match="is no plan"):
        recipe.supports_target(cohort.target)
    encoded = chiasm.encode(cohort).cohort
    for window, scale, said in (
        ((8, 8), {"own": "labels", "two": "image"}, "'own', which is no modality, and not 'one'"),
        ((8, 8, 8), {}, "the plan is of images of 3 axes, and these have 2"),
    ):
        Plan((), window, 4, 1, scale).write(place)
        with pytest.raises(Unsupported, match=said):
            recipe.supports(encoded)
    for scale in ({"two": "labels"}, {"one": "image", "two": "image", "third": "image"}):
        Plan((), (8, 8), 4, 1, scale).write(place)
        recipe.supports(encoded)


def test_a_scale_that_cannot_be_followed_is_said(tmp_path: Path) -> None:
    place = made_cohort(tmp_path, 12)
    for own in tmp_path.glob("*_one.png"):
        Image.fromarray(np.full((32, 32), 100, dtype=np.uint8)).save(own)
    cohort, plan = chiasm.encode(chiasm.open_cohort(place)).cohort, Plan((), (8, 8), 4, 1, {"one": "labels"})
    with pytest.warns(chiasm.FindingWarning, match="'one' by numbers inside labels, which are all alike"):
        assert grid_as_planned(cohort, "one", cohort.outcome, plan).clip == ()


def test_what_a_plan_is_not_of_is_said(tmp_path: Path) -> None:
    pictures = chiasm.encode(chiasm.open_cohort(made_cohort(tmp_path / "shapes", 12))).cohort
    plan = chiasm.plan(pictures, tmp_path / "plan.json")
    assert plan.spacing == () and plan.window == (32, 32) and set(plan.scale.values()) == {"image"}
    Plan((), (4, 4, 4), 2).write(tmp_path / "deep.json")
    with pytest.raises(Unsupported, match="of images of 3 axes"):
        chiasm.fit(pictures, f"unet:plan={tmp_path / 'deep.json'},epochs=1", seed=0)
    with pytest.raises(FileNotFoundError):
        chiasm.fit(pictures, f"unet:plan={tmp_path / 'nowhere.json'},epochs=1", seed=0)
    with pytest.raises(ValueError, match="set it too"):
        UNet(mirrors="all", flips="sideways")
    for wrong in ({"spacing": (1.0,)}, {"clip": (2.0, 1.0)}):
        with pytest.raises(ValueError, match=r"spacing at which|cut off"):
            ImageGrids(1, np.zeros(1), np.ones(1), **wrong)
