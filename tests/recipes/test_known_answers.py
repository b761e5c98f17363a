"""Cohorts whose answer is known: merging cannot see an interaction and fusing can; merging finds what is additive."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Classification, Cohort, cohort_from_frames, holdout, synthetic_cohort
from chiasm.metrics.scores import score
from chiasm.recipes.registry import make_recipe
from examples import examples

pytestmark = pytest.mark.slow
each_seed = pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])


def split(name: str, seed: int) -> tuple[Cohort, Cohort]:
    """1,500 patients to train on, by day 500, and 2,500 held out: an AUROC has a standard error of 0.012."""
    cohort = synthetic_cohort(name, 4000, seed=seed)
    held_out = holdout(cohort, 0.625, seed=seed)
    return cohort.subset(np.flatnonzero(~held_out)[: examples(1500)]), cohort.subset(held_out)


def auroc(high: np.ndarray, tested: Cohort) -> float:
    frame = pd.DataFrame({"p_0": 1 - high, "p_1": high})
    return float(score("classification", frame, tested.outcome, ("0", "1"), metrics=["auroc"])["auroc"][0])


def high_of(model, tested: Cohort) -> np.ndarray:
    """`p_1` of the tested patients, in their sorted order; the model sees no target."""
    return model.predict(tested.with_target(None, None))["p_1"].loc[list(tested.ids)].to_numpy()


@cache
def on_xor(recipe: str, seed: int) -> float:
    trained, tested = split("xor", seed)
    return auroc(high_of(make_recipe(recipe).fit(trained, seed=seed), tested), tested)


@each_seed
@pytest.mark.nightly  # by day `test_lego_fuse.py` sees that fine-tuning finds what the merge did not
@pytest.mark.parametrize("method", ["mean", pytest.param("harmonic", marks=pytest.mark.nightly)])
@pytest.mark.parametrize(
    "domain", ["signal", *(pytest.param(own, marks=pytest.mark.nightly) for own in ("rfft", "complex"))]
)
def test_xor_leaves_every_merge_at_chance(domain: str, method: str, seed: int) -> None:
    found = on_xor(f"lego-merge:domain={domain},method={method},epochs=8", seed)
    print(f"\nXOR lego-merge {domain} {method}, seed {seed}: AUROC {found:.3f}")
    assert abs(found - 0.5) <= 0.05


@pytest.mark.nightly  # by day `test_lego_fuse.py` sees that fine-tuning finds it
@pytest.mark.parametrize(
    "recipe",
    ["lego-fuse:epochs=5,fuse_epochs=10", "healnet:epochs=12", "lego-fuse:mode=weave,epochs=5,fuse_epochs=10"],
)
def test_xor_is_solved_by_every_fusion(recipe: str) -> None:
    found = on_xor(recipe, 0)
    print(f"\nXOR {recipe}: AUROC {found:.3f}")
    assert found >= 0.9


def disjoint(trained: Cohort, seed: int) -> Cohort:
    """The same patients, of whom half keep m1 only and the other half m2 only."""
    shuffled = np.random.default_rng(seed).permutation(trained.ids)
    half = len(shuffled) // 2
    kept = {"m1": shuffled[:half], "m2": shuffled[half:]}
    patients = pd.DataFrame({"label": trained.outcome.value.astype(int)}, index=trained.ids)
    return cohort_from_frames(
        patients, {name: trained.raw(name).loc[ids] for name, ids in kept.items()}, Classification("label")
    )


@cache
def on_complementary(recipe: str, seed: int) -> dict[str, float]:
    """AUROC of a merge trained on disjoint patients, of its blocks and of their mean logits."""
    trained, tested = split("complementary", seed)
    trained = disjoint(trained, seed)
    assert not trained.present.all(1).any() and tested.present.all()
    model = make_recipe(recipe).fit(trained, seed=seed)
    found = {"merged": auroc(high_of(model, tested), tested)}
    own = [tested.with_modalities([name]).with_target(None, None) for name in ("m1", "m2")]
    links = [model.predictor.link(cohort) for cohort in own]
    logits = [link[:, 1] - link[:, 0] for link in links]
    for name, logit in zip(("m1", "m2", "mean logits"), [*logits, np.mean(logits, 0)], strict=True):
        found[name] = auroc(1 / (1 + np.exp(-logit)), tested)
    return found


@each_seed
@pytest.mark.parametrize(
    "domain", ["signal", *(pytest.param(own, marks=pytest.mark.nightly) for own in ("rfft", "complex"))]
)
def test_blocks_of_disjoint_patients_merge_to_more_than_the_best_of_them(domain: str, seed: int) -> None:
    found = on_complementary(f"lego-merge:domain={domain},epochs=8", seed)
    print(f"\ncomplementary, disjoint, {domain}:", {key: round(value, 3) for key, value in found.items()})
    assert found["merged"] > max(found["m1"], found["m2"]) + 0.03
    assert found["merged"] > found["mean logits"] - 0.02


@pytest.mark.nightly
@each_seed
def test_the_domain_does_not_decide_what_a_mean_merge_finds(seed: int) -> None:
    found = {d: on_complementary(f"lego-merge:domain={d},epochs=8", seed)["merged"] for d in ("signal", "rfft")}
    assert abs(found["signal"] - found["rfft"]) < 0.02
