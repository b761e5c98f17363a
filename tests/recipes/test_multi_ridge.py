"""`multi-ridge`: penalties by modality, blocks without one, and what is refused before anything is computed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Outcome, Unsupported, synthetic_cohort
from chiasm.fitting.block_choice import BlockSearch, choose_blocks
from chiasm.recipes.registry import make_recipe
from small_recipes import at_night, mixed


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_noise_is_penalised_more_than_what_tells(kind: str) -> None:
    cohort = synthetic_cohort("noise-modality", 300, target=kind, seed=0)
    penalties = make_recipe("multi-ridge").fit(cohort, seed=0).predictor.penalties
    assert penalties["m2"] >= 10 * penalties["m1"]


def test_an_absent_modality_adds_nothing() -> None:
    cohort = mixed("regression", 56)
    model = make_recipe("multi-ridge").fit(cohort, seed=0)
    lacking = cohort.with_modalities(["m1"]).with_target(None, None)
    given = lacking.subset(lacking.rows_of("m1"))
    features, mean = model.predictor.features["m1"], model.predictor.means["m1"]
    own = features.features(given.raw("m1")) - mean
    raw = own @ model.predictor.linear.coef[: own.shape[1]] + model.predictor.linear.intercept
    expected = model.predictor.centre + model.predictor.slope * (raw - model.predictor.centre)
    assert next(iter(model.predictor.means)) == "m1"
    np.testing.assert_allclose(model.predictor.link(given), expected, rtol=1e-9, atol=1e-9)


def test_a_free_modality_is_all_but_free() -> None:
    """With one column that nearly is the outcome, its coefficient is that of least squares."""
    rng = np.random.default_rng(0)
    ids = [f"case-{k}" for k in range(120)]
    own, noise = rng.normal(size=(120, 1)), rng.normal(size=(120, 200))
    y = 3.0 * own[:, 0] + rng.normal(size=120)
    values = {"age": pd.DataFrame(own, ids, ["years"]), "rna": pd.DataFrame(noise, ids).rename(columns=str)}
    cohort = chiasm.cohort_from_frames(pd.DataFrame({"y": y}, ids), values, target=chiasm.Regression("y"))
    found = make_recipe("multi-ridge:free=age").fit(cohort, seed=0).predictor
    assert found.penalties["age"] == pytest.approx(1e-3) and found.penalties["rna"] > 1
    x = found.features["age"].features(cohort.raw("age"))[:, 0]
    assert next(iter(found.means)) == "age" and cohort.outcome is not None
    assert found.linear.coef[0, 0] == pytest.approx(np.polyfit(x, cohort.outcome.value, 1)[0], rel=0.05)


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_a_category_without_an_event_leaves_the_rest_as_it_was(kind: str) -> None:
    rng = np.random.default_rng(1)
    ids = [f"case-{k}" for k in range(200)]
    ward = rng.choice(list("abcd"), 200)
    rna = rng.normal(size=(200, 40))
    case = (rna[:, 0] + rng.normal(size=200) > 0.3) & (ward != "d")
    values = {"ward": pd.DataFrame({"ward": ward}, ids), "rna": pd.DataFrame(rna, ids).rename(columns=str)}
    if kind == "survival":
        patients = pd.DataFrame({"t": rng.exponential(np.exp(-rna[:, 0])), "e": case}, ids)
        target: chiasm.Target = chiasm.Survival("t", "e")
    else:
        patients, target = pd.DataFrame({"y": case.astype(int)}, ids), chiasm.Classification("y")
    cohort = chiasm.cohort_from_frames(patients, values, target=target)
    found = make_recipe("multi-ridge:free=ward").fit(cohort, seed=0).predictor
    assert np.abs(found.linear.coef).max() < 10 and found.slope > 0.5


def test_where_the_others_are_too_rare_the_free_one_is_penalised_too() -> None:
    rng = np.random.default_rng(0)
    ids = [f"case-{k}" for k in range(60)]
    values = {"a": pd.DataFrame(rng.normal(size=(60, 3)), ids), "b": pd.DataFrame(rng.normal(size=(8, 3)), ids[:8])}
    values = {name: frame.rename(columns=str) for name, frame in values.items()}
    patients = pd.DataFrame({"y": rng.normal(size=60)}, ids)
    cohort = chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))
    with pytest.warns(chiasm.FindingWarning, match="so that free=a is penalised too"):
        model = make_recipe("multi-ridge:free=a").fit(cohort, seed=0)
    assert model.predictor.penalties["a"] > 0.01 and set(model.predictor.penalties) == {"a"}


def wide() -> Cohort:
    rng = np.random.default_rng(0)
    ids = [f"case-{k}" for k in range(40)]
    values = {name: pd.DataFrame(rng.normal(size=(40, 30)), ids).rename(columns=str) for name in ("a", "b")}
    patients = pd.DataFrame({"y": rng.normal(size=40)}, ids)
    return chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("multi-ridge:free=c", "names 'c', and the cohort's modalities are a, b"),
        ("multi-ridge:free=a + b", "leaves no modality whose penalty could be selected"),
        ("multi-ridge:free=a", "'a' has 30 columns, and who has it allow 20"),
    ],
)
def test_what_cannot_be_fitted_is_refused(spec: str, said: str) -> None:
    with pytest.raises(Unsupported, match=said):
        recipe = make_recipe(spec)
        recipe.supports(wide())
        recipe.fit(wide(), seed=0)


def test_what_no_memory_holds_is_refused_before_it_is_spread_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chiasm.fitting.block_choice.MOST_SQUARE", 39)
    monkeypatch.setattr("chiasm.recipes.baselines.multi_ridge.columns", None)
    with pytest.raises(Unsupported, match="40 patients and 60 columns are too many"):
        make_recipe("multi-ridge").fit(wide(), seed=0)


def test_links_are_out_of_fold() -> None:
    """With noise alone, links of held-out rows go with the outcome by chance; fitted ones would go with it always."""
    rng = np.random.default_rng(3)
    values, folds = rng.normal(size=(120, 300)), np.arange(120) % 5
    outcome = Outcome(rng.normal(size=120), None, np.ones(120, bool))
    found = choose_blocks("regression", [values - values.mean(0)], outcome, folds, None)
    assert abs(np.corrcoef(found.links[:, 0], outcome.value)[0, 1]) < 0.25


def test_what_held_out_patients_cannot_tell_apart_is_averaged() -> None:
    """Shares are exp(-nll), one that is beyond a hundredth has none, and the model is that mean of the models."""
    rng = np.random.default_rng(4)
    values = [rng.normal(size=(60, 3)) + 0.0 for _ in range(2)]
    values = [own - own.mean(0) for own in values]
    outcome = Outcome(values[0][:, 0] + rng.normal(size=60), None, np.ones(60, bool))
    search = BlockSearch("regression", values, outcome, np.arange(60) % 5, None)
    alike, apart, far = (0.0, 0.0), (0.5, 0.5), (3.0, 3.0)
    losses = np.array([search.loss(powers) for powers in (alike, apart, far)])
    assert losses[2] - losses.min() > 5
    shares = search.shares()
    expected = np.exp(-losses[:2]) / np.exp(-losses[:2]).sum()
    assert [*shares] == [alike, apart] and [*shares.values()] == pytest.approx([*expected], rel=1e-9)
    blocks, intercept, links = search.averaged()
    for place in range(2):
        own = [search.fitted(powers)[0][place] for powers in (alike, apart)]
        np.testing.assert_allclose(blocks[place], expected[0] * own[0] + expected[1] * own[1], rtol=1e-9)
    levels = [search.fitted(powers)[1] for powers in (alike, apart)]
    np.testing.assert_allclose(intercept, expected[0] * levels[0] + expected[1] * levels[1], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(links, sum(w * search.links(p) for w, p in zip(expected, (alike, apart), strict=True)))
