"""`i-medsam`: stored, of any contrast, and finer than what is stretched from the pixels that it learned on."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.encoders.raster.reading import RasterReading
from chiasm.encoders.raster.stored_raster import StoredRaster
from chiasm.recipes.segmentation.i_medsam import IMedSAM
from mask_cohorts import opened

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_model_is_stored_and_draws_of_any_contrast(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 24, absent=0.2)
    name = "i-medsam:width=4,depth=1,hidden=8,bands=2,crops=1,epochs=1"
    model = chiasm.fit(cohort, name, seed=0)
    said = model.predict(cohort)
    assert set(said["pattern"]) == {"one", "two", "one+two"}
    model.save(tmp_path / "model")
    few = cohort.subset(np.arange(len(cohort)) % 6 == 0)
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(few), said.loc[few.ids])
    for wrong in (
        {"width": 0}, {"depth": 9}, {"hidden": 0}, {"bands": 0}, {"dropout": 1.0}, {"dropout": 0.0}, {"share": 0.0},
        {"narrow": -1}, {"rank": 0}, {"unsure": "often"},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"lies between|is unsure|is not known"):
            IMedSAM(**wrong)
    assert IMedSAM(dropout=0.0, unsure="entropy").design().share == 0.125


def test_a_pretrained_trunk_stays_as_it_is_and_learns_beside_its_attention(tmp_path: Path) -> None:
    cohort = opened(tmp_path / "a", 24, absent=0.2)
    config = RasterConfig(size=16, patch=4, width=8, depth=1, heads=2)
    weights = {name: own.numpy() for name, own in untrained(config, 3).state_dict().items()}
    reading = RasterReading("image", 1, 16)
    artifact.save(tmp_path / "vit", StoredRaster(config, reading, np.zeros(1), np.ones(1), weights))
    small = "width=4,depth=1,hidden=8,bands=2,crops=1,epochs=1,rank=2"
    model = chiasm.fit(cohort, f"i-medsam:trunk={tmp_path / 'vit'},{small}", seed=0)
    state = model.predictor.state
    for name, own in weights.items():
        np.testing.assert_array_equal(state[f"trunk.transformer.{name}"], own)
    beside = [own for name, own in state.items() if ".beside." in name and ".tall." in name]
    assert len(beside) == 1 and (beside[0] != 0).any()
    assert model.predictor.trained_parameters < sum(own.size for own in state.values())
    model.save(tmp_path / "model")
    loaded = chiasm.load_model(tmp_path / "model")
    shutil.rmtree(tmp_path / "vit")
    few = cohort.subset(np.arange(len(cohort)) % 8 == 0)
    pd.testing.assert_frame_equal(loaded.predict(few), model.predict(few))
    with pytest.raises(Unsupported):
        IMedSAM(trunk=str(tmp_path / "vit")).supports(cohort)
    for name, wrong in (("conv", RasterConfig("conv", width=8)), ("colours", RasterConfig(channels=3))):
        own = untrained(wrong).state_dict()
        stored = StoredRaster(
            wrong, RasterReading("image", wrong.channels, 64), np.zeros(wrong.channels), np.ones(wrong.channels),
            {key: value.numpy() for key, value in own.items()},
        )  # fmt: skip
        artifact.save(tmp_path / name, stored)
        with pytest.raises(Unsupported, match=r"holds no vit|3 channels, and modality 'one' has 2 and 1"):
            IMedSAM(trunk=str(tmp_path / name)).supports(cohort)


@pytest.mark.nightly
def test_the_same_seed_gives_the_same_fields(tmp_path: Path) -> None:
    cohort = opened(tmp_path, 24, absent=0.2)
    one, other = (chiasm.fit(cohort, "i-medsam:width=4,depth=1,epochs=2", seed=0).predict(cohort) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)


@pytest.mark.nightly
def test_ellipses_learned_at_64_are_drawn_at_256_better_than_their_stretched_maps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    one = runpy.run_path(str(BENCHMARKS / "outlines_heads.py"))["one"]
    found = one("grid-0", tmp_path, tmp_path / "work")["arms"]
    assert found["field"]["asked"] > found["field"]["map"] + 0.004
    assert found["field"]["asked"] > found["unet"]["map"] + 0.004
