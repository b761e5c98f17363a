"""`agm`, `iemf` and `staged`: the laws of every recipe, the plain network at strength zero, and who gains by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

import chiasm
from chiasm.cohort import Cohort, Unsupported, synthetic_cohort
from chiasm.fusion.concatenated import Concatenated
from chiasm.recipes.balance.agm import AGMRecipe
from chiasm.recipes.balance.concatenated import ConcatenatedRecipe
from chiasm.recipes.balance.iemf import IEMFRecipe
from chiasm.recipes.balance.staged import StagedRecipe
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_fusion, check_recipe
from chiasm.training import Phase
from chiasm.training.alone import WithAlone
from small_recipes import at_night, small


class Plain(ConcatenatedRecipe):
    """The network of `agm` without modulation."""

    id, family, needs, paper = "plain", "balance", "two modalities or more", AGMRecipe.paper


class WithHeads(IEMFRecipe):
    """The network of `iemf` without its hook."""

    def phases(self, data: Any) -> tuple[Phase, ...]:
        return (Phase(self.training_options, WithAlone()),)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 60, target="survival", missing=0.3)


@pytest.mark.parametrize("name", ["staged", *at_night("agm", "iemf")])  # phases, and two hooks
def test_laws_hold(name: str) -> None:
    options = {"epochs": 6, "rebuild": 0.34, "unimodal": 0.34} if name == "staged" else {}
    check_recipe(small(name, **options), kinds=("survival",), n=56)


@pytest.mark.parametrize("options", [{}, {"outputs": 3, "rebuilds": True}], ids=str)
def test_the_concatenation_passes_the_public_check(options: dict[str, Any]) -> None:
    shapes = {"a": (4, 3), "b": (5, 0), "c": (2, 5)}
    check_fusion(lambda own: Concatenated(own, 8, **options), shapes)


@pytest.mark.parametrize(
    ("modulated", "plain"),
    [
        (small("agm", alpha=0.0), Plain(epochs=2, latent_width=8, batch=16)),
        (small("iemf", strength=0.0), WithHeads(epochs=2, latent_width=8, batch=16)),
    ],
    ids=["agm", "iemf"],
)
def test_at_strength_zero_the_model_is_the_plain_one_to_the_last_bit(
    modulated: Any, plain: Any, cohort: Cohort
) -> None:
    models = [recipe.fit(cohort, seed=0) for recipe in (modulated, plain)]
    states = [model.predictor.state for model in models]
    assert all(np.array_equal(states[0][key], states[1][key]) for key in states[1])
    strong = type(modulated)(epochs=2, latent_width=8, batch=16).fit(cohort, seed=0).predictor.state
    assert any(not np.array_equal(strong[key], states[1][key]) for key in states[1])


def one_dominates(n: int, seed: int) -> Cohort:
    """Eight columns each, in which the classes lie two deviations apart in `strong` and 0.7 in `weak`."""
    rng = np.random.default_rng(seed)
    ids = [f"p{k:04d}" for k in range(n)]
    y = rng.integers(0, 2, n)
    frames = {
        name: pd.DataFrame(gap * (2.0 * y - 1)[:, None] + rng.normal(size=(n, 8)), ids).add_prefix(name)
        for name, gap in (("strong", 1.0), ("weak", 0.35))
    }
    return chiasm.cohort_from_frames(pd.DataFrame({"y": y}, ids), frames, chiasm.Classification("y"))


@pytest.mark.nightly
def test_a_weak_modality_beside_a_dominant_one_learns_more_by_agm() -> None:
    gains = []
    for seed in range(16):
        train, test = one_dominates(300, seed), one_dominates(4000, 100 + seed).with_modalities(["weak"])
        found = []
        for alpha in (0.0, AGMRecipe.alpha):
            recipe = AGMRecipe(alpha=alpha, epochs=12, latent_width=16, dropout=0.0, modality_dropout=0.0)
            prediction = recipe.fit(train, seed=seed).predict(test)
            assert test.outcome is not None
            found.append(roc_auc_score(test.outcome.value, prediction["p_1"]))
        gains.append(found[1] - found[0])
    assert np.mean(gains) > 2 * np.std(gains, ddof=1) / np.sqrt(len(gains)) > 0


def test_the_stages_have_the_steps_of_one_training_and_say_so(cohort: Cohort) -> None:
    notes = {}
    for alone, rebuild in ((0.5, 0.25), (0.0, 0.0)):
        recipe = StagedRecipe(epochs=8, patience=8, latent_width=8, batch=16, unimodal=alone, rebuild=rebuild)
        notes[alone] = recipe.fit(cohort, seed=0).predictor.notes
    assert notes[0.5]["steps taken"] == notes[0.0]["steps taken"] == notes[0.5]["step budget"] == 8 * 3
    own = {key.removeprefix("steps of "): value for key, value in notes[0.5].items() if key.startswith("steps of ")}
    assert own == {"rebuild": 6.0, "alone": 12.0, "joint": 6.0}


def test_frozen_branches_stay_what_they_were_alone(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    phases = StagedRecipe.phases
    states = []
    for stop in (True, False):  # once without the last stage, from the same seeds
        monkeypatch.setattr(StagedRecipe, "phases", lambda own, data, stop=stop: phases(own, data)[: 1 if stop else 2])
        recipe = StagedRecipe(epochs=4, latent_width=8, batch=16, joint="fusion")
        states.append(recipe.fit(cohort, seed=0).predictor.state)
    alone, joined = states
    moved = {key.split(".")[1] for key in alone if not np.array_equal(alone[key], joined[key])}
    assert moved == {"fuse", "linear"} or moved == {"fuse", "linear", "norm"}, moved


def test_a_stage_that_has_nothing_to_do_is_left_out_and_what_is_untrained_is_not_counted() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k:02d}" for k in range(40)]
    frames = {name: pd.DataFrame(rng.normal(size=(40, 1)), ids, columns=[name]) for name in ("a", "b")}
    patients = pd.DataFrame({"y": rng.normal(size=40)}, ids)
    narrow = chiasm.cohort_from_frames(patients, frames, chiasm.Regression("y"))  # one token of each
    recipe = StagedRecipe(epochs=4, latent_width=8, batch=16, rebuild=0.5, unimodal=0.25)
    predictor = recipe.fit(narrow, seed=0).predictor
    assert set(predictor.notes) == {"steps of alone", "steps of joint", "steps taken", "step budget"}
    assert predictor.notes["steps taken"] == predictor.notes["step budget"]
    assert not any("rebuild" in key for key in predictor.state)
    plain = StagedRecipe(epochs=2, latent_width=8, batch=16, unimodal=0.0).fit(narrow, seed=0).predictor
    assert not any("fusion.alone" in key for key in plain.state)


def test_each_reads_one_modality_and_any_subset_and_starts_from_a_linear_model(cohort: Cohort) -> None:
    for name in ("agm", "iemf", "staged"):
        assert small(name).alone(cohort) == tuple(small(name, modality=own).name for own in ("m1", "m2"))
        assert small(name).reads_presence and not small(name, modality="m1").reads_presence
        model = small(name, modality="m2", upon="late").fit(cohort, seed=0)
        assert np.isfinite(model.predict(cohort)["risk"]).all()


def test_what_cannot_be_is_refused_before_anything_is_trained() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{k}" for k in range(20)]
    frames = {f"m{k}": pd.DataFrame(rng.normal(size=(20, 2)), ids).add_prefix(f"m{k}_") for k in range(7)}
    wide = chiasm.cohort_from_frames(pd.DataFrame({"y": np.arange(20) % 2}, ids), frames, chiasm.Classification("y"))
    with pytest.raises(Unsupported, match=r"2\^7 coalitions.*iemf or staged"):
        AGMRecipe().supports(wide)
    AGMRecipe(modality="m3").supports(wide)
    IEMFRecipe().supports(wide)
    parted = wide
    for k in range(7):
        parted = parted.without(f"m{k}", np.array([row for row in range(20) if row % 7 != k]))
    for recipe in (IEMFRecipe(), make_recipe("cmta"), make_recipe("ssma")):
        with pytest.raises(Unsupported, match="0 patients with a known outcome have two modalities"):
            recipe.supports(parted)
    make_recipe("cmta:modality=m3").supports(parted)
    for wrong, said in (
        ("agm:alpha=-1", "alpha is -1"), ("iemf:strength=1.5", "between 0 and 1"), ("staged:unimodal=1", "below 1"),
        ("staged:unimodal=0.6,rebuild=0.4", "leave none"), ("staged:joint=none", "choose one of all, fusion"),
        ("staged:unimodal=0,joint=fusion", "no stage has trained"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            make_recipe(wrong)
