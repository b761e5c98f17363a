"""Names of modalities that a module could not have, and sizes that nobody should ask for."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.recipes.fusion.healnet import HealNetDesign
from chiasm.recipes.fusion.lego_blocks import LegoSizes
from chiasm.recipes.registry import make_recipe

SMALL = "latents=4,latent_width=8,epochs=1"


@pytest.mark.parametrize("spec", [f"healnet:{SMALL}", f"lego-merge:{SMALL}", f"lego-fuse:{SMALL},fuse_epochs=1"])
def test_a_modality_may_be_called_like_a_method_or_hold_a_dot(spec: str, tmp_path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"case-{k}" for k in range(60)]
    patients = pd.DataFrame({"y": rng.integers(0, 2, 60)}, index=ids)
    frames = {name: pd.DataFrame(rng.normal(size=(60, 3)), ids, list("abc")) for name in ("train", "rna.seq", "a b")}
    cohort = chiasm.cohort_from_frames(patients, frames, target=chiasm.Classification("y"))
    model = make_recipe(spec).fit(cohort, seed=0)
    model.save(tmp_path / "model")
    pd.testing.assert_frame_equal(chiasm.load_model(tmp_path / "model").predict(cohort), model.predict(cohort))


@pytest.mark.parametrize("size", [{"latents": 10**9}, {"latent_width": 0}, {"depth": 10**9}, {"heads": -1}])
def test_sizes_are_bounded_before_anything_is_made(size: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="lies between 1 and"):
        LegoSizes(**size)
    with pytest.raises(ValueError, match="lies between 1 and"):
        HealNetDesign(**{"latents": 4, "latent_width": 8, "depth": 2, "heads": 4, "tied": False, **size})


def test_a_cohort_of_no_modality_is_supported_by_nothing() -> None:
    patients = pd.DataFrame({"y": np.arange(30) % 2}, index=[f"{row:02d}" for row in range(30)])
    cohort = chiasm.cohort_from_frames(patients, {}, chiasm.Classification("y"))
    with pytest.raises(chiasm.Unsupported, match="no recipe supports this cohort"):
        chiasm.evaluate(cohort, jobs=1)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("batch=0", "batch is 0, and must be 1 or more"),
        ("epochs=-1", "epochs is -1, and must be 0 or more"),
        ("patience=-1", "patience is -1"),
        ("learning_rate=-1", "learning_rate is -1.0, and must be 0 or more"),
        ("weight_decay=inf", "weight_decay.* must be finite"),
        ("modality_dropout=1", "modality_dropout is 1.0, and must lie between 0 and 1"),
        ("dropout=nan", "dropout.* must be finite"),
        ("heads=0", "heads lies between 1 and 64"),
    ],
)
def test_an_option_out_of_range_is_refused_before_any_fit(option: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_recipe(f"healnet:{option}")


def test_a_negative_seed_is_refused_before_any_fit() -> None:
    cohort = chiasm.synthetic_cohort("redundant", 40)
    with pytest.raises(ValueError, match="the seed is -3, and must be 0 or more"):
        chiasm.evaluate(cohort, ["single:m1"], seed=-3, jobs=1)
