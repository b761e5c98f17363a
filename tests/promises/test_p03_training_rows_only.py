"""P3: every fitted transform sees training rows only: with 1e9 in all test rows the fitted state is byte-identical."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort, Survival
from chiasm.compute.memo import forget
from chiasm.fitting.sides import reads_of
from chiasm.recipes.registry import supported
from chiasm.testing.cohorts import Parts
from chiasm.testing.laws import folder_bytes
from small_recipes import (
    PATHS,
    TWO,
    at_night,
    elsewhere,
    every_recipe,
    every_variant,
    on_paths,
    parts,
    parts_for,
    short_name,
    small,
)

# The other paths are fitted in the whole trial below, which compares the same bytes of the outer and of inner folds.
BY_ITSELF = TWO | {name for name in PATHS if name.startswith("flora")}
HUGE = 1e9
UNSEEN = {"smiles": "FC(F)(F)c1ccncc1", "note": "small small small one"}  # what is read has to be a molecule, or words
pytestmark = pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")


def prescribed(kind: str, made: Parts | None = None) -> tuple[Parts, str]:
    """Parts of a cohort that prescribes two folds, horizons fixed; the name of the column with the folds."""
    made = parts(kind) if made is None else made
    order = np.argsort(made.patients.index)
    fold = np.empty(len(made.patients), object)
    labels = made.patients["label" if kind == "classification" else "died"].to_numpy()[order]
    for label in set(labels.tolist()):
        rows = order[labels == label]
        fold[rows] = [f"fold{k % 2}" for k in range(len(rows))]
    target = made.target if kind == "classification" else Survival("months", "died", times=(5.0, 20.0))
    return replace(made, patients=made.patients.assign(fold=fold), target=target), "fold"


def spoiled(made: Parts, tested: set[str]) -> Parts:
    """Every value of the tested patients 1e9, categories unseen, classes and events turned around."""
    patients, values = made.patients.copy(), dict(made.values)
    rows = patients.index.isin(tested)
    if "label" in patients:
        patients.loc[rows, "label"] = patients.loc[rows, "label"].map({"no": "yes", "yes": "no"})
    else:
        patients.loc[rows, "months"] = HUGE
        patients.loc[rows, "died"] = 1 - patients.loc[rows, "died"]
    if made.knowledge is not None:
        patients.loc[rows, made.knowledge[1]] = "property"
    for name, own in values.items():
        if isinstance(own, pd.DataFrame):
            own = own.copy()
            for column in own.columns:
                huge = HUGE if pd.api.types.is_numeric_dtype(own[column]) else UNSEEN.get(column, "never seen")
                own.loc[own.index.isin(tested), column] = huge
            values[name] = own
        else:
            values[name] = {key: np.full_like(bag, HUGE) if key in tested else bag for key, bag in own.items()}
    return replace(made, patients=patients, values=values)


def opened(made: Parts, column: str) -> Cohort:
    """The cohort of these parts, in the folds of the column."""
    cohort = made.cohort()
    return replace(cohort, fold=made.patients[column].reindex(cohort.ids).to_numpy(str))


@pytest.mark.parametrize("kind", ["classification", *at_night("survival")])
@pytest.mark.parametrize("recipe", on_paths([*every_variant(), *elsewhere()], BY_ITSELF), ids=short_name)
def test_the_fitted_state_is_byte_identical(recipe: Any, kind: str) -> None:
    made, column = prescribed(kind, parts_for(recipe, kind))
    cohort = opened(made, column)
    tested = cohort.fold == "fold1"
    other = opened(spoiled(made, set(cohort.ids[tested].tolist())), column)
    states = []
    for one in (cohort, other):
        forget()
        states.append(folder_bytes(recipe.fit(one.subset(~tested), seed=3).save))
    assert states[0] == states[1]


@dataclass(frozen=True)
class Spy:
    """A recipe that notes whom it was fitted on and what came out, and whom it was asked about."""

    recipe: Any
    fitted: list[tuple[frozenset[str], dict[str, bytes]]] = field(default_factory=list)
    asked: list[tuple[frozenset[str], frozenset[str], bool]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return f"spy on {self.recipe.name}"

    @property
    def family(self) -> str:
        return str(self.recipe.family)

    @property
    def paper(self) -> Any:
        return self.recipe.paper

    def modalities(self, cohort: Cohort) -> tuple[str, ...]:
        return reads_of(self.recipe, cohort)

    def alone(self, cohort: Cohort) -> tuple[str, ...]:
        return ()

    def supports(self, cohort: Cohort) -> None:
        self.recipe.supports(cohort)

    def fit(self, cohort: Cohort, **options: Any) -> Any:
        model = self.recipe.fit(cohort, **options)
        ids = frozenset(cohort.ids.tolist())
        self.fitted.append((ids, folder_bytes(model.save)))
        return SpyModel(self, ids, model)


@dataclass(frozen=True)
class SpyModel:
    spy: Spy
    ids: frozenset[str]
    model: Any

    @property
    def trained_parameters(self) -> int:
        return int(self.model.trained_parameters)

    def predict(self, cohort: Cohort) -> pd.DataFrame:
        self.spy.asked.append((self.ids, frozenset(cohort.ids.tolist()), cohort.outcome is None))
        return self.model.predict(cohort)


def trial_of(cohort: Cohort, recipes: list[Any], out: Path | None = None) -> list[Spy]:
    forget()
    spies = [Spy(recipe) for recipe in recipes]
    chiasm.evaluate(cohort, spies, chiasm.Protocol(inner_folds=2, repeats=1, draws=100), seed=0, jobs=1, out=out)
    return spies


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("every", [False, True], ids=["paths", "all"])
@pytest.mark.parametrize("kind", ["survival", "classification"])
def test_in_a_whole_trial_every_state_is_byte_identical(kind: str, every: bool) -> None:
    in_a_whole_trial(kind, None, lambda cohort: recipes_of(cohort, every))


@pytest.mark.slow
@pytest.mark.nightly
@pytest.mark.parametrize("kind", ["survival", "classification"])
@pytest.mark.parametrize("recipe", elsewhere(), ids=short_name)
def test_so_is_that_of_a_recipe_that_needs_molecules_or_a_source(recipe: Any, kind: str) -> None:
    beside = [small("single", modality="m1"), small("late-fusion")]  # or nothing is picked, and no inner fold is needed
    in_a_whole_trial(kind, parts_for(recipe, kind), lambda cohort: [*beside, recipe])


def recipes_of(cohort: Cohort, every: bool) -> list[Any]:
    """One of each recipe that supports a cohort, or of each way through the code."""
    # one hospital alone is left in some inner training set of so few: flora is tried by itself, above
    recipes = [own for own in every_variant() if supported(own, cohort) and own.family != "federated"]
    return [own for own in recipes if (own in every_recipe() if every else short_name(own) in PATHS)]


def in_a_whole_trial(kind: str, parts: Parts | None, chosen: Callable[[Cohort], list[Any]]) -> None:
    """Every state of a trial is that of the same trial whose test rows are spoiled."""
    made, column = prescribed(kind, parts)
    never = made.patients[column].where(made.patients[column] == "fold1", "train")  # the one fold with spoiled rows
    made = replace(made, patients=made.patients.assign(**{column: never}))
    cohort = opened(made, column)
    tested = frozenset(cohort.ids[cohort.fold == "fold1"].tolist())
    other = opened(spoiled(made, set(tested)), column)
    recipes = chosen(cohort)
    clean, dirty = trial_of(cohort, recipes), trial_of(other, recipes)
    for one, two in zip(clean, dirty, strict=True):
        assert len(one.fitted) >= 1 + 2 * (one.family != "single"), (
            "the outer fold, and the inner ones of what is picked"
        )
        states = dict(two.fitted)
        for ids, state in one.fitted:
            assert not ids & tested
            assert state == states[ids], f"{one.name}: {len(ids)} training patients"


@pytest.mark.usefixtures("ridges")
def test_a_trial_gives_a_recipe_no_test_patient_and_no_outcome_to_predict() -> None:
    made, column = prescribed("survival")
    cohort = opened(made, column)
    fused = [small("late-fusion"), small("stacked-fusion"), small("early-fusion")]
    spies = trial_of(cohort, [small("single", modality="m1"), *fused])[1:]  # inner folds are for a verdict
    outer = {frozenset(cohort.ids[cohort.fold == name].tolist()) for name in ("fold0", "fold1")}
    everyone = frozenset(cohort.ids.tolist())
    for spy in spies:
        assert {everyone - test for test in outer} <= {ids for ids, _ in spy.fitted}
        assert len(spy.asked) == 2 + 2 * 2  # outer folds, and two inner ones in each
        for ids, asked, without_outcome in spy.asked:
            assert not ids & asked
            assert without_outcome
            (test,) = [test for test in outer if not ids & test]
            assert asked == test or not asked & test, "an inner fold never meets the outer test patients"


def test_a_recipe_that_looks_beyond_its_rows_would_be_seen() -> None:
    made, column = prescribed("classification")
    cohort = opened(made, column)
    other = opened(spoiled(made, set(cohort.ids[cohort.fold == "fold1"].tolist())), column)
    states = [folder_bytes(small("late-fusion").fit(one, seed=3).save) for one in (cohort, other)]
    assert states[0] != states[1]
