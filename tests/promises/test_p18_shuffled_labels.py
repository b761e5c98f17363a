"""P18: with shuffled labels every default recipe is at chance, and a copy of the label among the columns is found."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from chiasm.cohort import Cohort, Outcome, check_cohort, class_names, holdout, stratify, synthetic_cohort
from chiasm.evaluation.metrics import PRIMARY, score
from chiasm.recipes.registry import default_recipes

SEEDS = range(4)
N = 480
SMALL = {"epochs": 6, "fuse_epochs": 3, "latents": 4, "latent_width": 8, "heads": 2}
RECIPES = {recipe.name: recipe for recipe in default_recipes(synthetic_cohort("complementary", 40))}


def small(recipe: Any) -> Any:
    """The recipe with few and short epochs, where it has any."""
    known = {field.name for field in fields(recipe)}
    return replace(recipe, **{key: value for key, value in SMALL.items() if key in known})


def shuffled(cohort: Cohort, seed: int) -> Cohort:
    """The same patients with each other's outcomes, time and event together."""
    order = np.random.default_rng(seed).permutation(len(cohort))
    own = cohort.outcome
    event = None if own.event is None else own.event[order]
    return cohort.with_target(cohort.target, Outcome(own.value[order], event, own.known[order]))


def held_out_score(recipe: Any, cohort: Cohort, seed: int) -> tuple[float, int]:
    """The primary metric on a held-out half of a cohort, and the size of the smaller group that it compares."""
    held_out = holdout(cohort, 0.5, seed=seed)
    model = recipe.fit(cohort.subset(~held_out), seed=seed)
    test = cohort.subset(held_out)
    frame = model.predict(test.with_target(None, None)).loc[list(test.ids)]
    kind = cohort.target.kind
    value = score(kind, frame, test.outcome, class_names(cohort.target), metrics=[PRIMARY[kind]])[PRIMARY[kind]][0]
    if kind == "multilabel":
        return float(value), int(stratify.fewest(test.outcome.value).min())
    fewest = np.bincount(test.outcome.value.astype(int)).min() if kind == "classification" else test.outcome.event.sum()
    return float(value), int(fewest)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["classification", "survival"])
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_shuffled_labels_score_chance(name: str, target: str) -> None:
    recipe, scores, variances = small(RECIPES[name]), [], []
    for seed in SEEDS:
        cohort = synthetic_cohort("complementary", N, target=target, seed=seed, missing=0.1)
        found, fewest = held_out_score(recipe, shuffled(cohort, seed), seed)
        scores.append(found)
        variances.append(1 / (6 * fewest))  # of an AUROC at chance, (m + n + 1) / 12 m n, at most this; near it for C
    error = float(np.sqrt(np.sum(variances))) / len(scores)
    assert abs(np.mean(scores) - 0.5) < 3 * error, (scores, error)


def test_shuffled_labels_of_several_score_chance() -> None:
    """Each label's AUROC has the variance of one; of their mean it is at most that."""
    scores, variances = [], []
    for seed in SEEDS:
        cohort = synthetic_cohort("complementary", N // 2, target="multilabel", seed=seed, missing=0.1)
        found, fewest = held_out_score(RECIPES["late-fusion"], shuffled(cohort, seed), seed)
        scores.append(found)
        variances.append(1 / (6 * fewest))
    assert abs(np.mean(scores) - 0.5) < 3 * float(np.sqrt(np.sum(variances))) / len(scores), scores


@pytest.mark.parametrize("target", ["classification", "survival", "multilabel"])
@pytest.mark.parametrize("name", ["single:m1", "late-fusion"])
def test_the_same_recipes_score_above_chance_with_the_labels_in_place(name: str, target: str) -> None:
    """Otherwise a recipe that predicts nothing would pass the test above."""
    cohort = synthetic_cohort("complementary", N, target=target, missing=0.1)
    assert held_out_score(small(RECIPES[name]), cohort, 0)[0] > 0.6


@pytest.mark.parametrize("target", ["classification", "survival", "regression", "multilabel"])
@pytest.mark.parametrize("seed", range(2))
def test_a_planted_copy_of_the_label_is_found(target: str, seed: int) -> None:
    found = [p for p in check_cohort(synthetic_cohort("planted-leak", 300, target=target, seed=seed)) if p.modality]
    assert {problem.modality for problem in found} == {"m2"} and len(found) == 1
    for name in ("unique", "complementary"):
        assert check_cohort(synthetic_cohort(name, 300, target=target, seed=seed)) == []


@pytest.mark.parametrize("target", ["classification", "survival"])
def test_a_copy_of_shuffled_labels_is_found_too(target: str) -> None:
    """What is found is the copy, not a modality that predicts well."""
    cohort = synthetic_cohort("planted-leak", 300, target=target)
    assert [p for p in check_cohort(shuffled(cohort, 0)) if p.modality] == []  # the column now copies somebody else
