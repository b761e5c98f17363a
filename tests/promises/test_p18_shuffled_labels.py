"""P18: with shuffled labels every default recipe is at chance, and a copy of the label among the columns is found."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Cohort, Outcome, check_values, class_names, holdout, synthetic_cohort
from chiasm.linear.linear import fit_ridge
from chiasm.metrics.scores import PRIMARY, score
from chiasm.recipes.registry import companions, default_recipes
from chiasm.targets.stratify import fewest
from small_recipes import at_night

SEEDS = range(4)
N = 480
SMALL = {"epochs": 6, "fuse_epochs": 3, "latents": 4, "latent_width": 8, "heads": 2}
SMALLEST = synthetic_cohort("complementary", 40)
RECIPES = {recipe.name: recipe for recipe in [*companions(SMALLEST), *default_recipes(SMALLEST)]}


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
        return float(value), int(fewest(test.outcome.value).min())
    rarest = np.bincount(test.outcome.value.astype(int)).min() if kind == "classification" else test.outcome.event.sum()
    return float(value), int(rarest)


def variance_at_chance(fewest: int) -> float:
    """Of an AUROC, `(m + n + 1) / 12 m n`, at most; near it for Harrell's C."""
    return 1 / (6 * fewest)


def at_chance(scores: list[float], variances: list[float]) -> bool:
    """Whether the mean of independent scores lies within three standard errors of a half."""
    return bool(abs(np.mean(scores) - 0.5) < 3 * np.sqrt(np.sum(variances)) / len(scores))


# A linear model, and networks that are trained and merged; survival meets the same splits and scalers.
DAILY = {("late-fusion", "classification"), ("lego-fuse", "classification")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param(name, target, marks=[] if (name, target) in DAILY else [pytest.mark.nightly])
        for name in sorted(RECIPES)
        for target in ("classification", "survival")
    ],
)
def test_shuffled_labels_score_chance(name: str, target: str) -> None:
    recipe, scores, variances = small(RECIPES[name]), [], []
    for seed in SEEDS:
        cohort = synthetic_cohort("complementary", N, target=target, seed=seed, missing=0.1)
        found, fewest = held_out_score(recipe, shuffled(cohort, seed), seed)
        scores.append(found)
        variances.append(variance_at_chance(fewest))
    assert at_chance(scores, variances), (scores, variances)


def noise(seed: int, columns: int, times: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """160 people in random order, each `times` times: columns that tell nothing, a label, and who it is."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(np.repeat(np.arange(160), times))
    return rng.normal(size=(160, columns))[who], rng.permutation(np.arange(160) % 2)[who], who


def split(who: np.ndarray, together: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rows to train on and to test, one person's rows on one side where they are kept `together`."""
    first = who % 2 == 0 if together else np.arange(len(who)) % 2 == 0
    return np.flatnonzero(first), np.flatnonzero(~first)


def selected_columns(seed: int, honest: bool) -> tuple[np.ndarray, np.ndarray]:
    """A ridge on the 20 of 2,000 columns that go most with the label: among training rows, or, a leak, among all."""
    x, y, who = noise(seed, 2000)
    train, test = split(who, together=True)
    seen = train if honest else np.arange(len(y))
    association = np.abs((x[seen] - x[seen].mean(0)).T @ (y[seen] - y[seen].mean()))
    best = np.argsort(association)[-20:]
    coef, intercept = fit_ridge(x[train][:, best], y[train], [10.0])[0]
    return y[test], (x[test][:, best] @ coef + intercept)[:, 0]


def nearest_neighbour(seed: int, honest: bool) -> tuple[np.ndarray, np.ndarray]:
    """The label of the nearest training row; all are there twice, a little apart: together, or, a leak, anywhere."""
    x, y, who = noise(seed, 10, times=2)
    x = x + 0.01 * np.random.default_rng(seed).normal(size=x.shape)
    train, test = split(who, together=honest)
    nearest = ((x[test][:, None] - x[train]) ** 2).sum(2).argmin(1)
    return y[test], y[train][nearest].astype(float)


def looked_up(seed: int, honest: bool) -> tuple[np.ndarray, np.ndarray]:
    """The label of an identical training row, a half where there is none; everybody is there twice, as above."""
    x, y, who = noise(seed, 10, times=2)
    train, test = split(who, together=honest)
    known = {row.tobytes(): float(label) for row, label in zip(x[train], y[train], strict=True)}
    return y[test], np.array([known.get(row.tobytes(), 0.5) for row in x[test]])


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "leaks"])
@pytest.mark.parametrize("way", [selected_columns, nearest_neighbour, looked_up])
def test_the_check_finds_what_leaks_and_passes_what_does_not(way: Any, honest: bool) -> None:
    """The power of the test above: the ways in which studies leak, and each of them done right."""
    scores, variances = [], []
    for seed in SEEDS:
        y, high = way(seed, honest)
        frame = pd.DataFrame({"p_0": 1 - high, "p_1": high})
        outcome = Outcome(y.astype(float), None, np.ones(len(y), bool))
        scores.append(score("classification", frame, outcome, ("0", "1"), metrics=["auroc"])["auroc"][0])
        people = len(y) if way is selected_columns else len(y) / 2  # whoever is there twice is one person
        variances.append(variance_at_chance(int(people / len(y) * np.bincount(y).min())))
    assert at_chance(scores, variances) == honest, (scores, variances)


def test_shuffled_labels_of_several_score_chance() -> None:
    """Each label's AUROC has the variance of one; of their mean it is at most that."""
    scores, variances = [], []
    for seed in SEEDS:
        cohort = synthetic_cohort("complementary", N // 2, target="multilabel", seed=seed, missing=0.1)
        found, fewest = held_out_score(RECIPES["late-fusion"], shuffled(cohort, seed), seed)
        scores.append(found)
        variances.append(1 / (6 * fewest))
    assert abs(np.mean(scores) - 0.5) < 3 * float(np.sqrt(np.sum(variances))) / len(scores), scores


@pytest.mark.parametrize("target", ["survival", *at_night("classification", "multilabel")])
@pytest.mark.parametrize("name", ["single:m1", "late-fusion"])
def test_the_same_recipes_score_above_chance_with_the_labels_in_place(name: str, target: str) -> None:
    """Otherwise a recipe that predicts nothing would pass the test above."""
    cohort = synthetic_cohort("complementary", N, target=target, missing=0.1)
    assert held_out_score(small(RECIPES[name]), cohort, 0)[0] > 0.6


@pytest.mark.parametrize("target", ["classification", "survival", "regression", "multilabel"])
@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.nightly)])
def test_a_planted_copy_of_the_label_is_found(target: str, seed: int) -> None:
    found = [p for p in check_values(synthetic_cohort("planted-leak", 300, target=target, seed=seed)) if p.modality]
    assert {problem.modality for problem in found} == {"m2"} and len(found) == 1
    for name in ("unique", "complementary"):
        assert check_values(synthetic_cohort(name, 300, target=target, seed=seed)) == []


@pytest.mark.parametrize("target", ["survival", *at_night("classification")])
def test_a_copy_of_shuffled_labels_is_found_too(target: str) -> None:
    """What is found is the copy, not a modality that predicts well."""
    cohort = synthetic_cohort("planted-leak", 300, target=target)
    assert [p for p in check_values(shuffled(cohort, 0)) if p.modality] == []  # the column now copies somebody else
