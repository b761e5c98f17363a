"""`filled` sees patients with what they lack filled in, by a generator of its training patients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.cohort.synthetic import synthetic_cohort
from chiasm.generation.filling import filled_in
from chiasm.generation.mixed_diffusion import FittedMixedDiffusion
from chiasm.generation.rows import inputs_of
from chiasm.protocols import borrows
from chiasm.recipes.missing.filled import Filled, FilledIn
from chiasm.recipes.registry import make_recipe
from chiasm.testing import check_recipe


def linked(n: int = 160, seed: int = 0) -> chiasm.Cohort:
    """Two tables upon one latent; the class is drawn from `b`, which half the patients lack."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    ids = [f"p{k:03d}" for k in range(n)]
    first = pd.DataFrame(x[:, None] + 0.4 * rng.normal(size=(n, 3)), index=ids, columns=list("rst"))
    words = np.where(x + 0.5 * rng.normal(size=n) > 0, "high", "low")
    second = pd.DataFrame(
        {"u": x + 0.3 * rng.normal(size=n), "v": pd.Series(words, index=ids, dtype=object)}, index=ids
    )
    patients = pd.DataFrame({"y": np.where(2 * x + rng.logistic(size=n) > 0, "sick", "well")}, index=ids)
    modalities = {"a": first, "b": second[(np.arange(n) % 2 == 1)]}
    return chiasm.cohort_from_frames(patients, modalities, chiasm.Classification("y"))


@pytest.fixture(scope="module")
def model() -> chiasm.FittedModel:
    return make_recipe("filled").fit(linked(), seed=0)


def test_it_is_the_recipe_on_filled_patients(model: chiasm.FittedModel) -> None:
    cohort, own = linked(), model.predictor
    assert isinstance(own, FilledIn) and own.generator is not None
    filled = filled_in(cohort, own.generator, own.kinds, own.columns, own.fills)
    assert filled.present.all()
    here = cohort.rows_of("b")
    pd.testing.assert_frame_equal(filled.raw("b", here), cohort.raw("b"))
    assert set(filled.raw("b")["v"]) == {"high", "low"}
    made = filled.raw("b").loc[cohort.ids[::2], "u"]
    assert np.corrcoef(made, cohort.raw("a").loc[cohort.ids[::2]].mean(axis=1))[0, 1] > 0.9
    nothing = filled_in(cohort.without("a", np.array([0])), own.generator, own.kinds, own.columns, own.fills)
    assert not nothing.present[0].any() and nothing.present[1:].all()
    inner = make_recipe("late-fusion").fit(filled, seed=0).predict(filled)
    found = model.predict(cohort)
    np.testing.assert_allclose(found["p_sick"], inner["p_sick"], atol=1e-9)
    assert list(found["pattern"].iloc[:3]) == ["a", "a+b", "a"]  # what patients have, and not what was filled in


def test_no_outcome_and_no_other_patient_reaches_what_is_filled_in(model: chiasm.FittedModel) -> None:
    cohort = linked()
    assert cohort.target is not None and cohort.outcome is not None
    turned = cohort.with_target(cohort.target, cohort.outcome.take(np.arange(len(cohort))[::-1]))
    other = make_recipe("filled").fit(turned, seed=0).predictor
    own = model.predictor
    assert isinstance(own, FilledIn) and isinstance(other, FilledIn) and own.generator and other.generator
    np.testing.assert_array_equal(own.generator.gaussian.correlation, other.generator.gaussian.correlation)
    alone = cohort.subset([2])
    assert model.predict(alone)["p_sick"].iloc[0] == pytest.approx(model.predict(cohort)["p_sick"].iloc[2], abs=1e-9)


def test_a_model_is_stored_and_opened_again(model: chiasm.FittedModel, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    again = chiasm.load_model(tmp_path / "model")
    new = linked(40, seed=1).with_modalities(["a"])
    pd.testing.assert_frame_equal(again.predict(new), model.predict(new))


def test_its_contrast_is_the_same_recipe_for_which_absent_is_absent() -> None:
    assert Filled().against == "late-fusion"
    made = make_recipe("filled:recipe=healnet;depth=3,modality=b")
    assert made.against == "healnet:depth=3" and made.name == "filled:recipe=healnet;depth=3,modality=b"


def test_another_generator_fills_in_alike_for_each_patient_and_opens_again(tmp_path: Path) -> None:
    cohort = linked()
    recipe = make_recipe("filled:generator=mixed-diffusion;steps=8;width=24;updates=80")
    assert isinstance(recipe, Filled)
    assert recipe.name == "filled:generator=mixed-diffusion;steps=8;width=24;updates=80"
    known = {"a": "table", "b": "table"}, {"a": ("r", "s", "t"), "b": ("u", "v")}, ("a", "b")
    generator = recipe.fills.fit(inputs_of(cohort, ["a", "b"]))
    assert isinstance(generator, FittedMixedDiffusion)
    whole = filled_in(cohort, generator, *known)
    alone, row = filled_in(cohort.subset([4]), generator, *known), cohort.ids[4]
    assert alone.raw("b").loc[row, "u"] == pytest.approx(whole.raw("b").loc[row, "u"], abs=1e-4)
    assert alone.raw("b").loc[row, "v"] == whole.raw("b").loc[row, "v"]
    made = whole.raw("b").loc[cohort.ids[::2], "u"]
    assert np.corrcoef(made, cohort.raw("a").loc[cohort.ids[::2]].mean(axis=1))[0, 1] > 0.6
    artifact.save(tmp_path / "generator", generator)
    again: Any = artifact.load(tmp_path / "generator")
    pd.testing.assert_frame_equal(filled_in(cohort, again, *known).raw("b"), whole.raw("b"))


@pytest.mark.parametrize(
    ("modalities", "options", "what"),
    [
        (["a"], {}, "one table or omics block is filled in from another, and the cohort has 1"),
        (["a", "b"], {"modality": "c"}, "'c' is none of them: there are a, b"),
    ],
)
def test_what_cannot_be_filled_in_is_refused(modalities: list[str], options: dict[str, str], what: str) -> None:
    with pytest.raises(Unsupported, match=what):
        Filled(recipe="early-fusion", **options).supports(linked().with_modalities(modalities))


def test_nobody_lacks_anything() -> None:
    with pytest.raises(Unsupported, match="nobody lacks a modality"):
        Filled(recipe="early-fusion").supports(synthetic_cohort("unique", 60))
    with pytest.raises(ValueError, match="filled fits another recipe of chiasm"):
        Filled(recipe="filled")
    with pytest.raises(ValueError, match="did you mean 'mixed-diffusion'"):
        Filled(generator="mixed-difusion")
    with pytest.raises(ValueError, match="which no epsilon hides"):
        Filled(generator="mixed-diffusion;epsilon=3")


@pytest.mark.parametrize(("recipe", "reads"), [("late-fusion", False), ("transfer", True), ("healnet", False)])
def test_sources_are_read_where_the_recipe_reads_them(recipe: str, reads: bool) -> None:
    assert borrows(make_recipe(f"filled:recipe={recipe}")) == borrows(make_recipe(recipe)) == reads


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("kind", "more"),
    [(kind, "") for kind in ("classification", "survival", "regression", "multilabel")]
    + [("regression", ",generator=mixed-diffusion;steps=8;width=16;updates=100")],
)
def test_it_keeps_the_laws_of_a_recipe(kind: str, more: str) -> None:
    recipe = make_recipe(f"filled:recipe=late-fusion{more}")
    assert recipe.id == "filled"
    check_recipe(recipe, kinds=(kind,), n=84)
