"""P7: all 2^M - 1 subsets of the modalities train and predict; none at all raises unless a prior is declared."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.testing.cohorts import restricted
from small_recipes import (
    FEW,
    NEEDS,
    TWO,
    at_night,
    cohort_for,
    elsewhere,
    every_recipe,
    every_variant,
    fitted,
    gap,
    on_paths,
    parts,
    short_name,
    small,
)


def subsets_of(cohort: chiasm.Cohort) -> list[tuple[str, ...]]:
    """Every subset of the three modalities but none at all."""
    return [pattern for size in (1, 2, 3) for pattern in combinations(cohort.modalities, size)]


def numbers(frame: Any) -> np.ndarray:
    return frame.drop(columns="pattern").to_numpy(float)


# With the other kinds of target `check_recipe` holds it, one kind for each variant, by day on every path.
@pytest.mark.parametrize("kind", ["classification", *at_night("survival", "regression")])
@pytest.mark.parametrize("recipe", on_paths([*every_variant(), *elsewhere()], FEW), ids=short_name)
def test_trained_on_every_pattern_it_predicts_every_pattern(recipe: Any, kind: str) -> None:
    cohort = cohort_for(recipe, kind)
    assert set(cohort.pattern()) == {"+".join(subset) for subset in subsets_of(cohort)}
    model = fitted(recipe, kind)
    for subset in subsets_of(cohort):
        own = restricted(cohort, subset)
        frame = model.predict(own)
        assert len(frame) == len(own) and np.isfinite(numbers(frame)).all(), subset
        used = "+".join(name for name in subset if name in model.modalities)
        assert set(frame["pattern"]) == {used}
        unknown = model.predict(own.with_modalities(subset))
        assert gap(frame, unknown) <= 1e-6, "an absent modality and an unknown one are the same"


@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], FEW), ids=short_name)
def test_every_subset_trains(recipe: Any) -> None:
    cohort = cohort_for(recipe, "classification")
    for subset in subsets_of(cohort):
        own = cohort.with_modalities(subset)
        try:
            recipe.supports(own)
        except chiasm.Unsupported:
            assert len(subset) == 1 or not NEEDS.get(recipe.id, {"m1"}) <= set(subset), subset
            continue
        columns = [cohort.modalities.index(name) for name in subset]
        frame = recipe.fit(own, seed=0).predict(cohort.subset(cohort.present[:, columns].any(1)))
        assert np.isfinite(numbers(frame)).all()


@pytest.mark.filterwarnings("ignore::chiasm.errors.FindingWarning")
@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], FEW), ids=short_name)
def test_patients_of_whom_none_has_two_modalities_train(recipe: Any) -> None:
    cohort = cohort_for(recipe, "survival", 126)
    one_each = cohort.present & (np.arange(len(cohort))[:, None] % 3 == np.arange(3))
    rows = {name: np.where(one_each[:, m], cohort.source_rows[name], -1) for m, name in enumerate(cohort.modalities)}
    alone = replace(cohort, source_rows=rows)
    assert alone.present.sum(1).max() == 1
    frame = recipe.fit(alone, seed=0).predict(cohort)
    assert np.isfinite(numbers(frame)).all()


@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], FEW), ids=short_name)
def test_nothing_at_all_raises_unless_a_prior_is_declared(recipe: Any) -> None:
    cohort = cohort_for(recipe, "classification")
    model = fitted(recipe, "classification")
    nobody = restricted(cohort, ())
    if model.has_prior:
        values = numbers(model.predict(nobody))
        assert np.isfinite(values).all() and (values == values[0]).all(), "the same for anybody"
        return
    with pytest.raises(chiasm.Unsupported, match=f"{len(nobody)} of {len(nobody)} patients have none of"):
        model.predict(nobody)
    some = cohort.present.copy()
    some[3] = False
    rows = {name: np.where(some[:, m], cohort.source_rows[name], -1) for m, name in enumerate(cohort.modalities)}
    with pytest.raises(chiasm.Unsupported, match=f"1 of {len(cohort)} patients"):
        model.predict(replace(cohort, source_rows=rows))


def with_few(recipe: Any, kind: str, few: int) -> None:
    """A model is fitted where few have `m1`, or any of those that the recipe needs."""
    cohort = cohort_for(recipe, kind)
    for name in sorted(NEEDS.get(recipe.id, set()) | {"m1"}):
        keep = cohort.rows_of(name)[:few]
        rows = np.full(len(cohort), -1)
        rows[keep] = cohort.source_rows[name][keep]
        rare = replace(cohort, source_rows={**cohort.source_rows, name: rows})
        model = recipe.fit(rare, seed=0)
        assert model.scarce == (name,)
        assert np.isfinite(numbers(model.predict(rare.subset(rare.present.any(1))))).all()


@pytest.mark.parametrize("kind", ["classification", *at_night("survival")])
@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], FEW), ids=short_name)
def test_a_modality_that_one_in_training_has_stops_nothing(recipe: Any, kind: str) -> None:
    with_few(recipe, kind, 1)


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
@pytest.mark.parametrize("recipe", on_paths([*every_recipe(), *elsewhere()], TWO), ids=short_name)
def test_a_modality_that_few_in_training_have_stops_nothing(recipe: Any, kind: str) -> None:
    for few in (0, 2, 5):
        with_few(recipe, kind, few)


def test_a_patient_with_nothing_is_left_out_of_training() -> None:
    made, recipe = parts("classification"), small("late-fusion")
    extra = made.patients.iloc[:2].set_axis(["z1", "z2"], axis=0)
    with_nothing = replace(made, patients=pd.concat([made.patients, extra])).cohort()
    assert (with_nothing.pattern() == "").sum() == 2
    frames = [recipe.fit(cohort, seed=0).predict(made.cohort()) for cohort in (with_nothing, made.cohort())]
    assert gap(*frames) <= 1e-6
