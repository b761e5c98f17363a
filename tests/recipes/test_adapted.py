"""Recipes that change a frozen encoder a little: the laws that hold for all of them, and what each refuses."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
import chiasm.recipes.registry as registry
import chiasm.training.checkpoint as checkpoint
from adapted_cohorts import notes
from chiasm.artifact import save_checkpoint
from chiasm.fitting.sides import sides_of
from chiasm.recipes.registry import make_recipe
from chiasm.testing.adaptation import check_adaptation
from small_recipes import at_night
from tiny_models import tiny_models

QUICK = "epochs=2,latent_width=4"
RECIPES = [
    "lora:rank=2",
    "lora:rank=1,where=all",
    "probe",
    "full-tuning",
    "full-tuning:layer_decay=0.5,balanced=true",
    "ssf",
    "pego:rank=2",
    "petl-ast:reduction=4",
    "petl-ast:position=houlsby,layout=sequential",
    "unipt:narrow=4",
    "ia3",
    "norm-tuning",
    "prefix:tokens=3",
    "dvpt:attend=false",
    "lt-sft:share=0.1,rounds=2,l1=0.1",
    "sara:share=0.2,nuclear=0.01",
    "memcontrol:trials=3,trial_epochs=1,rank=2",
    "more:rank=2",
]

# Those that need several labels, sites, a column, images or a language model, in files of their own.
ELSEWHERE = {"got-d", "mftcoder", "noise-mask", "prompt-learning", "staged-transfer", "distilled"}


@pytest.fixture(scope="module")
def cohorts(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """From a target to a cohort of notes and a table, encoded by a tiny network."""
    models, store = tiny_models(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("store")
    return lambda target=None: notes(models, store, target=target)


# One of each way through the code; the others differ by their adapter, whose laws P20 holds, or train in several stages
# what these leave (`test_adapted_stages.py`).
BY_DAY = {"lora", "probe", "petl-ast", "unipt", "prefix"}
FIRST = {name.partition(":")[0]: name for name in reversed(RECIPES)}


@pytest.mark.parametrize(
    "name",
    [
        name if name in {FIRST[own] for own in BY_DAY} else pytest.param(name, marks=pytest.mark.nightly)
        for name in RECIPES
    ],
)
def test_the_laws_of_adapted_recipes(cohorts: Any, name: str) -> None:
    check_adaptation(make_recipe(f"{name}{',' if ':' in name else ':'}{QUICK}"), cohorts())


def test_every_adapted_recipe_is_tried() -> None:
    assert {name.partition(":")[0] for name in RECIPES} | ELSEWHERE == {
        name for name, cls in registry.RECIPES.items() if cls.family == "adaptation"
    }


@pytest.mark.parametrize("target", [chiasm.Regression("x"), chiasm.Survival("days", "died")])
def test_other_targets(cohorts: Any, target: Any) -> None:
    model = make_recipe(f"lora:rank=2,{QUICK}").fit(cohorts(target), seed=0)
    assert np.isfinite(model.predict(cohorts(target)).select_dtypes("number").to_numpy()).all()


@pytest.mark.parametrize("spec", ["probe", *at_night("lora:rank=2", "unipt:narrow=4")])
def test_patients_of_whom_a_table_alone_is_known_are_told_apart(cohorts: Any, spec: str) -> None:
    """A number is lost in the norm of a token of one, and columns in their mean."""
    cohort = cohorts()
    model = make_recipe(f"{spec}{',' if ':' in spec else ':'}{QUICK}").fit(cohort, seed=0)
    alone = model.predict(cohort.with_modalities(["clinical"]).subset(cohort.rows_of("clinical")))
    assert alone["p_yes"].nunique() > len(alone) / 2


def test_only_what_was_trained_is_in_the_model_folder(cohorts: Any, tmp_path: Path) -> None:
    cohort = cohorts()
    model = make_recipe(f"lora:rank=2,{QUICK}").fit(cohort, seed=0)
    predictor = model.predictor.predictor
    state = predictor.state
    assert sum(array.size for array in state.values()) == model.trained_parameters
    base = sum(p.numel() for p in predictor.design.trunks["note"].trunk().parameters())
    # queries, keys and values of two layers, 16 wide: rank x (in + out)
    adapter = sum(array.size for key, array in state.items() if key.startswith("fusion.trained"))
    assert adapter == 2 * 3 * 2 * (16 + 16) < base


def test_training_stopped_and_gone_on_with_is_training_left_alone(cohorts: Any, tmp_path: Path) -> None:
    cohort, recipe = cohorts(), make_recipe("lora:rank=2,epochs=3,latent_width=4")
    whole = recipe.fit(cohort, seed=0)

    class Stopped(Exception): ...

    written: list[Path] = []

    def stop_after_two(path: Path, state: Any) -> None:
        save_checkpoint(path, state)
        written.append(path)
        if len(written) == 2:
            raise Stopped

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "save_checkpoint", stop_after_two)
        with pytest.raises(Stopped):
            recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    again = recipe.fit(cohort, seed=0, checkpoint=tmp_path)
    state, other = whole.predictor.predictor.state, again.predictor.predictor.state
    assert all(np.array_equal(own, other[key]) for key, own in state.items())


def test_one_modality_alone_answers_everybody_and_is_a_single_recipe(cohorts: Any) -> None:
    cohort = cohorts()
    recipe = make_recipe(f"lora:modality=note,rank=2,{QUICK}")
    model = check_adaptation(recipe, cohort)
    lacking = cohort.subset(~cohort.present[:, cohort.modalities.index("note")])
    answers = model.predict(lacking).select_dtypes("number").drop_duplicates()
    assert len(lacking) > 1 and len(answers) == 1, "the prior, the same for all"
    both = make_recipe(f"lora:rank=2,{QUICK}")
    table = make_recipe("single:clinical")
    assert sides_of([table, both], cohort) == {table.name: "single", both.name: "aside"}
    assert sides_of([recipe, both], cohort) == {recipe.name: "single", both.name: "combined"}
    assert both.alone(cohort) == (recipe.name,)
    assert sides_of([both], cohort.with_modalities(["note"])) == {both.name: "single"}


def test_a_cohort_without_a_network_or_without_inputs_is_refused(cohorts: Any) -> None:
    table = chiasm.synthetic_cohort("redundant", n=60)
    with pytest.raises(chiasm.Unsupported, match="no modality has an encoder with a network"):
        make_recipe("lora").supports(table)
    with pytest.raises(chiasm.Unsupported, match="no modality has an encoder with a network"):
        chiasm.fit(table, "lora")


@pytest.mark.parametrize(
    ("options", "words"),
    [("batch=0", "batch is 0"), ("dropout=1", "dropout is 1.0"), ("latent_width=0", "latent_width lies between")],
)
@pytest.mark.parametrize("name", ["lora", "probe", "unipt", "memcontrol"])
def test_an_option_that_cannot_be_is_refused_before_any_fit(name: str, options: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_recipe(f"{name}:{options}")


def test_a_rank_that_fits_nowhere_is_refused_before_any_fit(cohorts: Any) -> None:
    with pytest.raises(chiasm.Unsupported, match="'note' cannot be adapted so: it has no place for this adapter"):
        make_recipe("lora:rank=16").supports(cohorts())


def test_a_scarce_modality_alone_is_what_is_known_of_anybody(cohorts: Any) -> None:
    cohort = cohorts()
    few = cohort.without("note", cohort.rows_of("note")[5:])
    model = make_recipe(f"lora:modality=note,rank=2,{QUICK}").fit(few, seed=0)
    assert len(model.predict(few).select_dtypes("number").drop_duplicates()) == 1
    assert model.recipe.startswith("lora:modality=note")


def test_places_that_no_token_depends_on_are_no_places(cohorts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = make_recipe("lora:rank=2")
    found = type(recipe).adaptation
    asked = []

    def pooler_alone(self: Any, trunk: Any) -> Any:
        asked.append(trunk.unread)
        return replace(found(self, trunk), sites=("pooler.dense",))

    monkeypatch.setattr(type(recipe), "adaptation", pooler_alone)
    with pytest.raises(chiasm.Unsupported, match="'note' cannot be adapted so: it has no place for this adapter"):
        recipe.supports(cohorts())
    assert asked and all("pooler.dense" in unread for unread in asked)


@pytest.mark.parametrize("option", ["alpha=nan", "learning_rate=inf", "dropout=nan"])
def test_no_option_is_without_a_number(option: str) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        make_recipe(f"lora:{option}")


def test_a_search_without_a_place_trains_what_there_is(cohorts: Any) -> None:
    cohort = cohorts()
    few = cohort.without("note", cohort.rows_of("note")[8:])
    model = make_recipe(f"memcontrol:rank=2,trials=2,trial_epochs=1,{QUICK}").fit(few, seed=0)
    assert np.isfinite(model.predict(few).select_dtypes("number")).all(axis=None)


def test_the_smallest_weights_may_all_be_biases(cohorts: Any) -> None:
    model = make_recipe(f"sara:share=0.005,nuclear=0.01,{QUICK}").fit(cohorts(), seed=0)
    assert model.trained_parameters > 0


def test_optuna_is_asked_for_before_any_fit(cohorts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(chiasm.Unsupported, match="optuna"):
        make_recipe("memcontrol:rank=2").supports(cohorts())
