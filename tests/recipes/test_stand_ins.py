"""`ptunifier`, `dispro` and `gtp4o`: the laws of every recipe, any stand-in in any of them, complete data untouched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch import Tensor

import chiasm
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.fitting.base import trainable
from chiasm.fitting.neural import prepare
from chiasm.fusion.completed import Completed
from chiasm.fusion.missing_tokens import MISSING
from chiasm.protocols import Fused
from chiasm.recipes.missing import stand_ins
from chiasm.recipes.missing.dispro import DisProRecipe
from chiasm.recipes.missing.ptunifier import PTUnifierRecipe
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe
from chiasm.tokens import Tokens
from chiasm.training import Phase
from small_recipes import small

NAMES = ["ptunifier", "dispro", "gtp4o"]


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 60, target="survival", missing=0.3)


@pytest.mark.parametrize("name", NAMES)
def test_laws_hold(name: str) -> None:
    check_recipe(small(name, **({"epochs": 4} if name == "dispro" else {"pool": 8})), kinds=("survival",), n=84)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        pytest.param(name, missing, marks=[] if name == "ptunifier" else [pytest.mark.nightly])
        for name in NAMES for missing in MISSING
    ],
)  # fmt: skip
def test_any_stand_in_serves_in_any_of_them(name: str, missing: str, cohort: Cohort) -> None:
    recipe = small(name, missing=missing, epochs=4, pool=8)
    assert make_recipe(recipe.name) == recipe and recipe.reads_presence
    model = recipe.fit(cohort, seed=0)
    assert model.predictor.design.missing == missing and model.predictor.design.typed == (name == "gtp4o")
    assert np.isfinite(model.predict(cohort)["risk"]).all()


def test_what_stands_in_changes_nothing_where_nothing_is_missing() -> None:
    whole = synthetic_cohort("complementary", 60)
    states = {}
    for missing in MISSING:
        if missing != "distilled":  # whose first stage is another training
            recipe = small("gtp4o", missing=missing, completion=0.0, modality_dropout=0.0, pool=8)
            states[missing] = recipe.fit(whole, seed=0).predictor.state
    for state in states.values():
        assert all(np.array_equal(state[key], value) for key, value in states["nothing"].items())


def test_of_one_modality_nothing_is_missing(cohort: Cohort) -> None:
    for name in NAMES:
        model = small(name, modality="m2", pool=8).fit(cohort, seed=0)
        own = model.predictor.predictor
        assert own.design.missing == "nothing" and not any(key.startswith("fusion.missing") for key in own.state)
        assert not small(name, modality="m2").reads_presence
        assert small(name).alone(cohort) == tuple(small(name, modality=own).name for own in ("m1", "m2"))
    assert np.isfinite(small("dispro", upon="late").fit(cohort, seed=0).predict(cohort)["risk"]).all()


class FirstStage(DisProRecipe):
    """The stage in which prompts are taught, alone."""

    def phases(self, data: Any) -> tuple[Phase, ...]:
        return super().phases(data)[:1]


def test_prompts_are_taught_first_and_frozen_then(cohort: Cohort) -> None:
    options: dict[str, Any] = {"epochs": 4, "prompts": 0.5, "latents": 4, "latent_width": 8, "heads": 2, "batch": 16}
    both, first = (cls(**options).fit(cohort, seed=0).predictor.state for cls in (DisProRecipe, FirstStage))
    moved = {key for key in both if not np.array_equal(both[key], first[key])}
    bank = {key for key in both if key.startswith("fusion.bank.")}
    assert bank and not bank & moved and any(key.startswith("fusion.missing.") for key in moved)
    fresh = stand_ins.StandInDesign(4, 8, 2, 2, "distilled", 64, 0.1, False, 1)
    data = prepare(trainable(cohort, 0, None, "cpu"))
    assert fresh.fusion(data.shapes).bank is not None
    phases = DisProRecipe(**options).phases(data)
    assert [phase.options.epochs for phase in phases] == [2, 2]
    assert DisProRecipe(**{**options, "prompts": 0.0}).phases(data)[0].name == "train"


def test_what_cannot_be_is_refused() -> None:
    for wrong, said in (
        ("ptunifier:missing=zeros", "choose one of nothing"), ("ptunifier:pool=2", "too few"),
        ("dispro:prompts=1", "below 1"), ("gtp4o:completion=-1", "completion is -1"),
        ("gtp4o:latents=0", "latents lies"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            make_recipe(wrong)
    apart = synthetic_cohort("complementary", 60, missing=0.5)
    with pytest.raises(Unsupported, match="late-fusion and lego-merge"):
        small("gtp4o").supports(apart)
    assert np.isfinite(small("dispro", epochs=4).fit(apart, seed=0).predict(apart)["p_1"]).all()


class ZeroFilled(Completed):
    """Zeros are read as the tokens of an absent modality."""

    def forward(self, tokens: dict[str, Tokens], present: Tensor) -> Fused:
        filled = {}
        for m, name in enumerate(self.names):
            own = tokens[name].where_present(present[:, m])
            filled[name] = Tokens(own.values, own.mask | ~present[:, [m]])
        return super().forward(filled, torch.ones_like(present))


def zero_is_a_value(n: int, seed: int) -> Cohort:
    """Who is ill has large numbers of either sign, so that zeros say "healthy"; 60 % lack one of two modalities."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    y = (rng.random(n) < 1 / (1 + np.exp(-6 * (np.abs(x).sum(1) - 1.5)))).astype(int)
    ids, u = np.array([f"p{k:04d}" for k in range(n)]), rng.random(n)
    frames = {}
    for m, has in enumerate((u >= 0.3, (u < 0.3) | (u >= 0.6))):
        values = x[:, [m]] + 0.1 * rng.normal(size=(n, 4))
        frames[f"m{m}"] = pd.DataFrame(values[has], ids[has]).add_prefix(f"m{m}_")
    return chiasm.cohort_from_frames(pd.DataFrame({"y": y}, ids), frames, chiasm.Classification("y"))


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(3))
def test_a_placeholder_beats_zeros_that_mean_something(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = zero_is_a_value(400, seed), zero_is_a_value(1500, 100 + seed)
    options: dict[str, Any] = {"epochs": 30, "latent_width": 16, "latents": 2, "heads": 2, "batch": 32}
    assert test.outcome is not None
    found = {}
    for missing in ("placeholder", "zeros"):
        with monkeypatch.context() as patch:
            if missing == "zeros":
                patch.setattr(stand_ins, "Completed", ZeroFilled)
            model = PTUnifierRecipe(missing="placeholder", **options).fit(train, seed=seed)
            found[missing] = roc_auc_score(test.outcome.value, model.predict(test)["p_1"])
    assert found["placeholder"] > found["zeros"] + 0.01
