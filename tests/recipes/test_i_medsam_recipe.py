"""`i-medsam`: stored, of any contrast, and finer than what is stretched from the pixels that it learned on."""

from __future__ import annotations

import runpy
from pathlib import Path

import pandas as pd
import pytest

import chiasm
from chiasm.recipes.segmentation.i_medsam import IMedSAM
from mask_cohorts import opened

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_model_is_stored_and_draws_of_any_contrast(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 24, absent=0.2)
    name = "i-medsam:width=4,depth=1,hidden=8,bands=2,crops=1,epochs=1"
    model = chiasm.fit(cohort, name, seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    pd.testing.assert_frame_equal(chiasm.fit(cohort, name, seed=0).predict(cohort), said)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), said)
    for wrong in (
        {"width": 0}, {"depth": 9}, {"hidden": 0}, {"bands": 0}, {"dropout": 1.0}, {"dropout": 0.0}, {"share": 0.0},
        {"narrow": -1}, {"unsure": "often"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"lies between|is unsure|is not known"):
            IMedSAM(**wrong)
    assert IMedSAM(dropout=0.0, unsure="entropy").design().share == 0.125


@pytest.mark.nightly
def test_ellipses_learned_at_64_are_drawn_at_256_better_than_their_stretched_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    one = runpy.run_path(str(BENCHMARKS / "outlines_heads.py"))["one"]
    found = one("grid-0", tmp_path, tmp_path / "work")["arms"]
    assert found["field"]["asked"] > found["field"]["map"] + 0.004
    assert found["field"]["asked"] > found["unet"]["map"] + 0.004
