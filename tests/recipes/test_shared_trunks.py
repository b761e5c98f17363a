"""`uni-perceiver`, `bm-mae` and `mammal`: the laws of a recipe, their options, and imputation that beats the mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import chiasm
from chiasm.encoders import pack
from chiasm.recipes.fusion.bm_mae import BmMaeRecipe
from chiasm.recipes.fusion.uni_perceiver import UniPerceiverRecipe
from chiasm.testing import check_recipe
from small_recipes import gap, mixed, small


@pytest.mark.nightly
def test_uni_perceiver_passes_the_public_check() -> None:
    check_recipe(small("uni-perceiver"), kinds=("classification",), n=56)


@pytest.mark.nightly
def test_bm_mae_passes_the_public_check() -> None:
    check_recipe(small("bm-mae"), kinds=("regression",), n=56)


def test_classes_and_the_first_phase_change_the_model() -> None:
    whole = mixed("classification")
    one, other = (small("uni-perceiver", classes=own).fit(whole, seed=0).predict(whole) for own in ("trunk", "free"))
    assert gap(one, other) > 1e-6
    one, other = (small("bm-mae", base_epochs=own).fit(whole, seed=0).predict(whole) for own in (0, 2))
    assert gap(one, other) > 1e-6


@pytest.mark.nightly
def test_a_missing_modality_is_imputed_better_than_by_its_mean() -> None:
    rng = np.random.default_rng(0)
    n = 240
    factor = rng.normal(size=(n, 2))
    ids = [f"p{k:03d}" for k in range(n)]
    frames = {
        name: pd.DataFrame(
            factor @ rng.normal(size=(2, 6)) + 0.3 * rng.normal(size=(n, 6)), ids, columns=list("abcdef")
        )
        for name in ("one", "two")
    }
    patients = pd.DataFrame({"value": rng.normal(size=n)}, ids)  # nothing of the modalities is in the target
    cohort = chiasm.cohort_from_frames(patients, frames, target=chiasm.Regression("value"))
    train, new = cohort.subset(np.arange(n) < 200), cohort.subset(np.arange(n) >= 200)
    recipe = BmMaeRecipe(base_epochs=60, epochs=0, latent_width=16, batch=32, dropout=0.0)
    predictor = recipe.fit(train, seed=0).predictor
    tokens = {name: packed.take(np.arange(40)) for name, packed in pack(new, predictor.encoders).items()}
    shown = {"one": tokens["one"].mask, "two": torch.zeros_like(tokens["two"].mask)}
    with torch.no_grad():
        found, _ = predictor.network().fusion.reconstruct(tokens, shown, {name: ~own for name, own in shown.items()})
    truth = tokens["two"].values
    centre = pack(train, predictor.encoders)["two"].take(np.arange(200)).values.mean(0)
    error, of_mean = (found["two"] - truth).square().mean(), (centre - truth).square().mean()
    assert error < 0.7 * of_mean


def test_what_cannot_be_reconstructed_has_no_decoder_and_no_first_phase() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k:03d}" for k in range(40)]
    frames = {"one": pd.DataFrame(rng.normal(size=(40, 1)), ids, columns=["a"])}
    frames |= {"two": pd.DataFrame(rng.normal(size=(40, 4)), ids, columns=list("bcde"))}
    patients = pd.DataFrame({"value": rng.normal(size=40)}, ids)
    cohort = chiasm.cohort_from_frames(patients, frames, target=chiasm.Regression("value"))
    quick = {"latent_width": 8, "heads": 2, "epochs": 1}
    models = {
        name: BmMaeRecipe(**quick, **own).fit(cohort, seed=0).predictor  # type: ignore[arg-type]
        for name, own in (
            ("both", {"base_epochs": 1}),
            ("none", {"base_epochs": 0}),
            ("one", {"base_epochs": 1, "modality": "one"}),
        )
    }
    networks = {"both": models["both"], "none": models["none"], "one": models["one"].predictor}
    has = {name: any("decoder" in key for key in own.state) for name, own in networks.items()}
    assert has == {"both": True, "none": False, "one": False}
    assert networks["one"].trained_parameters == sum(own.size for own in networks["one"].state.values())


def test_invalid_options_are_refused() -> None:
    for options in ({"seen": 0.0}, {"seen": 1.0}, {"base_epochs": -1}, {"heads": 3}, {"decoder_depth": 0}):
        with pytest.raises(ValueError, match=r"seen=|epochs is|no multiple|lies between"):
            BmMaeRecipe(**options)  # type: ignore[arg-type]
    for wrong in ({"classes": "none"}, {"heads": 5}):
        with pytest.raises(ValueError, match=r"is not known|no multiple"):
            UniPerceiverRecipe(**wrong)  # type: ignore[arg-type]


@pytest.mark.nightly
def test_mammal_passes_the_public_check() -> None:
    check_recipe(small("mammal", depth=1), kinds=("classification",), n=56)
