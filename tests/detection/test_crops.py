"""Crops of boxes: the pixels of each box, a cohort of them, and of how many images every crop is told rightly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

import chiasm
from chiasm.cli import app
from chiasm.cohort import Unsupported
from chiasm.detection.crops import cut, save_picture
from chiasm.evaluation.patient_by_patient import patients_right
from detection_cohorts import SIDE, made_cohort


def test_a_box_is_cut_out_with_its_margin_and_no_further_than_the_image() -> None:
    image = np.arange(200, dtype=np.float32).reshape(1, 10, 20)
    part = cut(image, np.array([0.25, 0.2, 0.5, 0.6]), 0.0)
    assert part is not None
    np.testing.assert_array_equal(part, image[:, 2:6, 5:10])
    wider = cut(image, np.array([0.25, 0.2, 0.5, 0.6]), 0.25)
    assert wider is not None and wider.shape == (1, 6, 9)
    edge = cut(image, np.array([0.8, 0.8, 1.0, 1.0]), 1.0)
    assert edge is not None and edge.shape == (1, 4, 8)
    assert cut(image, np.array([0.5, 0.5, 0.51, 0.9]), 0.0) is None


def test_sixteen_bits_stay_and_what_a_png_does_not_hold_is_refused(tmp_path: Path) -> None:
    deep = np.array([[[0, 300], [65_535, 4]]], dtype=np.float32)
    save_picture(tmp_path / "a.png", deep)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), deep[0])
    for wrong in (
        deep - 1,
        deep * 2,
        np.zeros((2, 3, 3), np.float32),
        np.full((1, 2, 2), np.nan, np.float32),
        deep / 65_535,
    ):
        with pytest.raises(Unsupported, match="PNG"):
            save_picture(tmp_path / "b.png", wrong)


def test_crops_are_a_cohort_whose_images_are_groups(tmp_path: Path) -> None:
    place = made_cohort(tmp_path / "shapes", 30)
    (tmp_path / "shapes" / "p004.png").write_bytes(b"no image")
    done = CliRunner().invoke(app, ["crops", str(place), "--out", str(tmp_path / "out"), "--margin", "0"])
    assert done.exit_code == 0, done.output
    assert "could not be read, and have no crop: 1" in done.output
    table = pd.read_csv(tmp_path / "out" / "crops.csv", dtype=str)
    source = chiasm.open_cohort(place)
    assert source.outcome is not None
    assert len(table) == source.outcome.value.sum() - source.outcome.value[4].sum()
    first = source.outcome.boxes.each[0]  # type: ignore[union-attr]
    whole = np.asarray(Image.open(tmp_path / "shapes" / "p000.png"))
    left, top, right, bottom = (round(float(own) * SIDE) for own in first.corners[0])
    crop = np.asarray(Image.open(tmp_path / "out" / "crops" / "000001.png"))
    np.testing.assert_array_equal(crop, whole[top:bottom, left:right])
    cohort = chiasm.open_cohort(tmp_path / "out" / "cohort.toml")
    assert cohort.group is not None and len(set(cohort.group)) == table["image"].nunique() < len(table)
    again = CliRunner().invoke(app, ["crops", str(place), "--out", str(tmp_path / "out")])
    assert isinstance(again.exception, FileExistsError)
    with pytest.raises(Unsupported, match="target of boxes"):
        chiasm.crops(chiasm.synthetic_cohort("unique", 40), tmp_path / "other")


def test_the_crops_of_an_image_of_no_group_are_one_group(tmp_path: Path) -> None:
    place = made_cohort(tmp_path / "shapes", 12)
    table = pd.read_csv(tmp_path / "shapes" / "patients.csv")
    table["person"] = ["a", "a", *[""] * 10]
    table.to_csv(tmp_path / "shapes" / "patients.csv", index=False)
    place.write_text(place.read_text().replace('id = "id"\n', 'id = "id"\ngroup = "person"\n', 1))
    made = chiasm.crops(place, tmp_path / "out").table
    assert set(made["image"]) == {"a", *table["id"][2:]}


@pytest.mark.nightly
def test_groups_are_counted_in_a_trial_and_on_its_page(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = np.repeat(rng.integers(0, 2, 60), 2)
    ids = [f"i{k:03d}" for k in range(120)]
    patients = pd.DataFrame(
        {"y": np.where(label, "b", "a"), "of": np.repeat([f"g{k}" for k in range(60)], 2)}, index=ids
    )
    x = pd.DataFrame({"x": label + rng.normal(0, 0.5, 120), "z": rng.normal(size=120)}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, {"m": x}, target=chiasm.Classification("y"), group="of")
    brief = chiasm.Protocol(folds=2, repeats=1, draws=100)
    trial = chiasm.evaluate(cohort, ["single:m"], brief, out=tmp_path / "run", jobs=1)
    (row,) = patients_right(trial, "single:m").to_dict("records")
    assert row["groups"] == 60 and row["items"] == 120
    frames = pd.concat([trial.frames["single:m"][key] for key in trial.folds])
    right = (frames["p_b"] > 0.5) == (patients.loc[frames.index, "y"] == "b")
    share = right.groupby(patients.loc[frames.index, "of"]).mean()
    assert row["all_right"] == pytest.approx((share == 1).mean(), abs=0.02)  # folds count the same
    assert row["share_right"] == pytest.approx(share.mean(), abs=0.02)
    assert row["all_right_low"] < row["all_right"] < row["all_right_high"] and row["all_right"] == row["most_right"]
    again = chiasm.load_trial(tmp_path / "run")
    pd.testing.assert_frame_equal(patients_right(again), patients_right(trial))
    assert trial.document["grouped"][-1]["recipe"] == "null"
    assert "grouped-table" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="no recipe"):
        patients_right(trial, "other")
