"""Modalities that few training patients have, columns that only some sites fill, groups of some patients only."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.units import alone_where_empty
from chiasm.encoders import TableEncoder
from chiasm.heads.response import Response
from chiasm.recipes.baselines.stacked import weights_for
from chiasm.recipes.registry import make_recipe
from lighter_trials import ridges_by_day

SMALL = "latents=4,latent_width=8,epochs=2"
SPECS = [
    "single:b", "early-fusion", "late-fusion", "stacked-fusion", f"healnet:{SMALL}", f"lego-merge:{SMALL}",
    f"lego-fuse:{SMALL},fuse_epochs=1",
]  # fmt: skip


def cohort(n: int = 80, few: int = 8, **columns: np.ndarray) -> chiasm.Cohort:
    """Three modalities, of which `few` patients have b."""
    rng = np.random.default_rng(0)
    ids = [f"case-{k:03d}" for k in range(n)]
    x = rng.normal(size=(n, 4))
    patients = pd.DataFrame({"y": (x[:, 0] + rng.normal(size=n) > 0).astype(int), **columns}, index=ids)
    frames = {name: pd.DataFrame(x + rng.normal(size=x.shape), ids, list("klmn")) for name in "abc"}
    frames["b"] = frames["b"].iloc[:few]
    named = {name: name for name in columns}
    return chiasm.cohort_from_frames(patients, frames, target=chiasm.Classification("y"), **named)


@pytest.mark.parametrize(
    ("few", "spec"),
    [
        pytest.param(few, spec, marks=[] if few == 4 or spec == "late-fusion" else [pytest.mark.nightly])
        for few in (1, 4, 9)
        for spec in SPECS
    ],
)
def test_a_scarce_modality_is_left_out_of_the_fit(spec: str, few: int, tmp_path) -> None:
    given = cohort(few=few)
    model = make_recipe(spec).fit(given, seed=0)
    frame = model.predict(given)
    assert np.isfinite(frame.filter(like="p_").to_numpy()).all()
    assert not frame["pattern"].str.contains("b").any()
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(given), frame)
    only = given.subset(given.rows_of("b")).with_modalities(["b"])
    assert (model.predict(only)["pattern"] == "").all()


def test_nobody_has_weights_for_nothing(recwarn) -> None:
    found = weights_for({"a+b": np.array([0.5, 1.0])}, ["a", "b"], np.array([False, False]))
    assert found.tolist() == [0.0, 0.0] and not recwarn.list


@pytest.mark.nightly
def test_a_trial_with_a_modality_of_one_site_ends(recwarn) -> None:
    n = 80
    site = np.repeat(["s0", "s1", "s2", "s3"], n // 4)
    given = cohort(n, few=n // 4, site=site)
    protocol = chiasm.Protocol(folds=4, repeats=1, by="site", draws=100)
    with ridges_by_day():  # what else is tried of so few patients is fitted above
        trial = chiasm.evaluate(given, ["single:a", "single:b", "late-fusion"], protocol, jobs=1)
    assert trial.table()["mean"].notna().all()


def test_a_column_that_training_left_empty_is_ignored() -> None:
    train = pd.DataFrame({"age": [1.0, 2.0, 3.0], "note": [None, None, None]})
    encoder = TableEncoder().fit(train)
    late = pd.DataFrame({"age": [1.0, 2.0], "note": ["late", None]})
    np.testing.assert_array_equal(encoder.features(late), encoder.features(train.iloc[:2]))


@pytest.mark.parametrize("unit", [1e-3, 1.0, 1e3])
def test_the_unit_of_a_binary_column_changes_nothing(unit: float) -> None:
    frame = pd.DataFrame({"x": np.tile([0.0, 1.0, 1.0], 10), "z": np.linspace(0, 1, 30)})
    expected = TableEncoder().fit(frame).features(frame)
    scaled = frame.assign(x=frame["x"] * unit)
    np.testing.assert_allclose(TableEncoder().fit(scaled).features(scaled), expected)


def test_patients_of_no_group_are_drawn_one_by_one() -> None:
    labels = alone_where_empty(np.array(["", "", "g", "g", ""]))
    assert len(set(labels.tolist())) == 4 and labels[2] == labels[3]


def test_two_large_groups_still_hold_some_patients_out() -> None:
    given = chiasm.synthetic_cohort("complementary", 80, target="survival", seed=0)
    halves = np.repeat(["left", "right"], 40)
    import dataclasses

    grouped = dataclasses.replace(given, group=halves)
    frame = make_recipe("healnet:latents=4,latent_width=8,epochs=1").fit(grouped, seed=0).predict(grouped)
    assert frame.filter(like="survival_").shape[1] == 3


def test_recipes_read_survival_off_at_the_same_times() -> None:
    given = chiasm.synthetic_cohort("complementary", 80, target="survival", seed=0)
    columns = {tuple(make_recipe(spec).fit(given, seed=0).predict(given).columns) for spec in ("late-fusion", SPECS[4])}
    assert len(columns) == 1


def test_links_of_several_models_are_centred_before_they_meet() -> None:
    rng = np.random.default_rng(0)
    given = chiasm.synthetic_cohort("complementary", 400, target="survival", seed=0)
    assert given.outcome is not None and given.target is not None
    link, folds = rng.normal(size=(400, 1)), np.arange(400) % 5
    shifted = link + folds[:, None] * 3.0
    plain = Response.fit(given.target, link, given.outcome, calibrate=True, folds=folds)
    moved = Response.fit(given.target, shifted, given.outcome, calibrate=True, folds=folds)
    assert moved.slope == pytest.approx(plain.slope)
    np.testing.assert_allclose(moved.hazard, plain.hazard)


def test_an_empty_warning_list() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_recipe("late-fusion").fit(cohort(few=40), seed=0)
