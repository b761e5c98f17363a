"""Every registered recipe passes the public check, and recipes that break a law do not."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from chiasm.fitting.model import FittedModel
from chiasm.linear import elastic_net
from chiasm.recipes.baselines.early import EarlyFusion
from chiasm.recipes.baselines.single import Single
from chiasm.recipes.catalogue import ROWS
from chiasm.recipes.registry import RECIPES, supported
from chiasm.recipes.tunings.tuned import TunedRecipe
from chiasm.testing import check_recipe
from chiasm.testing.recipe import KINDS
from examples import ALL
from small_recipes import ON_TOKENS, PATHS, every_variant, mixed, short_name


def one_kind(number: int, recipe: Any) -> str:
    """A kind of target for this variant, in turn, of those that it supports."""
    turned = KINDS[number % len(KINDS) :] + KINDS[: number % len(KINDS)]
    return next(kind for kind in turned if supported(recipe, cohort_of(kind)))


cohort_of = cache(mixed)


HELD_BY_THEIR_OWN = {"alignment", "balance", "missing", "vision language"}
"""Families of which each recipe's own test calls `check_recipe`, as do the fusions that came with them: by day one of
a family, for the others share its training and `check_fusion` holds their networks by day."""
SKELETONS = PATHS | {"boosted-trees", "block-forest-trees=20"}
"""One recipe of each skeleton: those that share it differ by what their own tests look at, and are checked at night."""


def held_here(recipe: Any) -> bool:
    """True if no other test of `make test` holds a recipe to the public check."""
    row = ROWS[recipe.id]
    return row.family not in HELD_BY_THEIR_OWN and not (row.family == "fusion" and row.since > "0.1.0")


def held_by_day(recipe: Any) -> bool:
    """True of one recipe of each skeleton."""
    return short_name(recipe) in SKELETONS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "recipe"),
    [
        pytest.param(number, recipe, marks=[] if held_by_day(recipe) else [pytest.mark.nightly])
        for number, recipe in enumerate(every_variant())
    ],
    ids=lambda one: str(one) if isinstance(one, int) else short_name(one),
)
def test_every_recipe_passes_with_one_kind_of_target(number: int, recipe: Any) -> None:
    check_recipe(recipe, kinds=(one_kind(number, recipe),), n=84 if os.environ.get(ALL) else 56)


def test_who_is_not_held_here_is_held_by_a_test_of_its_own() -> None:
    texts = [
        path.read_text(encoding="utf-8")
        for path in Path(__file__).parent.glob("test_*.py")
        if path != Path(__file__) and "check_recipe(" in path.read_text(encoding="utf-8")
    ]
    elsewhere = {recipe.id for recipe in every_variant() if not held_here(recipe)}
    assert elsewhere and all(any(f'"{name}"' in text for text in texts) for name in elsewhere)


def test_skeletons_are_recipes_of_every_folder_that_is_held_here() -> None:
    by_day = [recipe for recipe in every_variant() if held_by_day(recipe)]
    assert {short_name(recipe) for recipe in by_day} == SKELETONS
    assert {recipe.family for recipe in by_day} == {recipe.family for recipe in every_variant() if held_here(recipe)}


def test_the_kinds_of_target_are_shared_out_evenly() -> None:
    counts = Counter(one_kind(number, recipe) for number, recipe in enumerate(every_variant()))
    assert set(counts) == set(KINDS) and max(counts.values()) <= 2 * min(counts.values())


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("recipe", every_variant(), ids=short_name)
def test_every_recipe_passes(recipe: Any) -> None:
    # tunings share the network and the loop that healnet tries with each kind of target; one of them tries all again
    few = isinstance(recipe, TunedRecipe) and recipe.id != "breadcrumbs"
    check_recipe(recipe, kinds=("classification", "survival") if few else KINDS, n=84)


def test_a_quick_recipe_passes_with_several_labels() -> None:
    check_recipe(Single("m1", models="linear"), kinds=["multilabel"], n=56)


@dataclass(frozen=True)
class Broken:
    """Early fusion with one law broken; `how` says which."""

    how: str = ""

    name: ClassVar[str] = "broken"
    family: ClassVar[str] = "baseline"
    paper: ClassVar[Any] = EarlyFusion.paper

    def supports(self, cohort: Any) -> None:
        if self.how != "no target":
            EarlyFusion().supports(cohort)

    def fit(self, cohort: Any, *, seed: int, checkpoint: Any = None, device: str = "cpu") -> Any:
        if self.how == "global random state":
            torch.manual_seed(seed)
        if self.how == "threads":
            torch.set_num_threads(1 + torch.get_num_threads() % 2)
        if self.how == "gradient mode":
            torch.set_grad_enabled(False)
        if self.how == "writes into the cohort":
            cohort.raw("m2").to_numpy()  # a copy: harmless
            cohort.outcome.value[0] = cohort.outcome.value[0] + 1 if cohort.target.kind == "regression" else 1e-3
        model = EarlyFusion().fit(cohort, seed=seed)
        if self.how == "row order":
            model = replace(model, response=replace(model.response, centre=float(cohort.file_rows[0]), slope=0.5))
        if self.how == "unseeded":
            model = replace(model, response=replace(model.response, slope=np.random.default_rng().uniform(0.5, 1)))
        return Told(model, self.how)


@dataclass(frozen=True)
class Told:
    """A fitted model whose predictions break a law."""

    model: FittedModel
    how: str

    @property
    def trained_parameters(self) -> Any:
        return 1.5 if self.how == "parameter count" else self.model.trained_parameters

    def predict(self, cohort: Any) -> Any:
        if self.how == "target" and cohort.target is None:
            raise KeyError("target")
        if self.how == "complete patients only" and not cohort.present.all(1).any():
            raise RuntimeError("nobody is complete")
        if self.how == "predicts nothing":
            return replace(self.model, has_prior=True).predict(cohort)
        frame = self.model.predict(cohort)
        if self.how == "batch" and len(frame) > 1:
            frame["prediction"] = frame["prediction"] - frame["prediction"].mean()
        if self.how == "sorted rows":
            frame = frame.sort_index()
        if self.how == "no pattern":
            frame = frame.drop(columns="pattern")
        if self.how == "not a number":
            frame.iloc[0, 1] = np.nan
        return frame

    def save(self, path: Any) -> None:
        self.model.save(path)


@pytest.fixture
def few_penalties() -> Iterator[None]:
    """Of the sparse model two penalties are tried, for what is looked at is what the check says of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(elastic_net, "STEPS", 2)
        yield


@pytest.mark.usefixtures("few_penalties")
@pytest.mark.parametrize(
    ("how", "law"),
    [
        ("no target", "without a target"),
        ("global random state", "torch's random state"),
        ("threads", "thread count"),
        ("gradient mode", "gradient mode"),
        ("writes into the cohort", "leaves its cohort"),
        ("row order", "order of rows"),
        ("unseeded", "same seed"),
        ("parameter count", "trained_parameters"),
        ("complete patients only", "every subset of the modalities predicts"),
        ("predicts nothing", "has_prior"),
        ("batch", "who else is in the batch"),
        ("sorted rows", "row order"),
        ("no pattern", "pattern"),
        ("not a number", "finite number"),
    ],
)
def test_a_broken_law_is_named(how: str, law: str) -> None:
    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    try:
        with pytest.raises(AssertionError, match=law):
            check_recipe(Broken(how), kinds=("regression",), n=56)
    finally:
        torch.set_num_threads(threads)
        torch.set_grad_enabled(grad)


@pytest.mark.usefixtures("few_penalties")
def test_probabilities_and_survival_are_checked() -> None:
    class Doubled(Broken):
        def fit(self, cohort: Any, **rest: Any) -> Any:
            told = super().fit(cohort, **rest)

            class Model(Told):
                def predict(self, cohort: Any) -> Any:
                    frame = super().predict(cohort)
                    frame.iloc[:, -1] *= 2
                    return frame

            return Model(told.model, "")

    with pytest.raises(AssertionError, match="sum to one"):
        check_recipe(Doubled(), kinds=("classification",), n=56)
    with pytest.raises(AssertionError, match="survival"):
        check_recipe(Doubled(), kinds=("survival",), n=56)


def test_the_check_leaves_the_generators_as_they_were() -> None:
    before = torch.get_rng_state()
    check_recipe(Single("m1", models="linear"), kinds=("regression",), n=56)
    assert torch.equal(before, torch.get_rng_state())


def test_every_registered_recipe_is_tried() -> None:
    assert {short_name(recipe).split("-m")[0].split(":")[0] for recipe in every_variant()} >= {"single", "late-fusion"}
    assert {type(recipe) for recipe in every_variant()} == {RECIPES[name] for name in ON_TOKENS}
