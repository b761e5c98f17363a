"""`boosted-trees`: products within a modality, absent modalities as missing values, what trees read of wide ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Unsupported, synthetic_cohort
from chiasm.fitting.inner_choice import DEPTHS, MANY, ROUNDS, WIDE, choose_depth, choose_trees, growth_of
from chiasm.recipes.registry import make_recipe
from chiasm.targets import Outcome
from small_recipes import at_night, mixed
from two_classes import area, framed


def with_product(n: int = 400, seed: int = 0) -> chiasm.Cohort:
    """Two columns of `a` whose product is the outcome, four of noise in `b`, which a third of the patients lack."""
    rng = np.random.default_rng(seed)
    values = {name: rng.normal(size=(n, 4)) for name in "ab"}
    return framed(values, values["a"][:, 0] * values["a"][:, 1] > 0, lacking={"b": rng.random(n) >= 0.67})


def test_a_product_within_a_modality_is_found_that_no_ridge_finds() -> None:
    cohort = with_product(600)
    assert area("boosted-trees", cohort) > 0.85
    assert area("multi-ridge", cohort) < 0.65


def test_the_depth_is_that_of_the_smaller_loss() -> None:
    rng = np.random.default_rng(0)
    x, folds = rng.normal(size=(300, 2)), np.arange(300) % 5
    for said, deeper in ((x[:, 0] * x[:, 1], True), (x[:, 0] + x[:, 1], False)):
        outcome = Outcome(said + 0.5 * rng.normal(size=300), None, np.ones(300, bool))
        tried = [choose_trees("regression", x, outcome, folds, None, None, 0, depth) for depth in DEPTHS]
        losses = [own.loss for own in tried if own is not None]
        found = choose_depth("regression", x, outcome, folds, None, 0)
        assert found.loss == min(losses) and (losses[1] < losses[0]) == deeper
        nodes = np.diff(np.append(found.model.start, len(found.model.feature)))
        assert (nodes.max() > 3) == deeper  # a tree of one split has three nodes


def test_of_many_patients_trees_take_smaller_steps_and_draw_columns() -> None:
    """As many trees are compared; a node that may read any column finds the one that says most, another may not."""
    few, many = growth_of(MANY - 1, WIDE, 3, 0), growth_of(MANY, WIDE, 3, 0)
    assert few[1] == ROUNDS and len(many[1]) == len(ROUNDS) and many[0].rate < few[0].rate
    assert many[0].rate * many[1][-1] == few[0].rate * few[1][-1]  # no less is learned at the end
    rng = np.random.default_rng(0)
    x, folds = rng.normal(size=(MANY, WIDE)), np.arange(MANY) % 2
    outcome = Outcome(x[:, 0] + 0.3 * rng.normal(size=MANY), None, np.ones(MANY, bool))
    first = {}
    for columns in (WIDE, WIDE - 1):
        chosen = choose_trees("regression", x[:, :columns], outcome, folds, None, None, 0, 1)
        assert chosen is not None
        first[columns] = (chosen.model.feature[chosen.model.start] == 0)[:8]  # of stumps, the root is all
        assert np.corrcoef(chosen.links[:, 0], np.asarray(outcome.value))[0, 1] > 0.9
    assert first[WIDE - 1].all() and not first[WIDE].all()


def test_an_absent_modality_is_a_missing_value_and_its_absence_is_read() -> None:
    """Noise that the cases have more often: who knows who has it, knows something."""
    rng = np.random.default_rng(0)
    ids = [f"case-{k:03d}" for k in range(400)]
    case = rng.random(400) < 0.5
    values = {name: pd.DataFrame(rng.normal(size=(400, 3)), ids, list("klm")) for name in ("m1", "m2")}
    values["m2"] = values["m2"][rng.random(400) < np.where(case, 0.9, 0.4)]
    patients = pd.DataFrame({"y": case.astype(int)}, ids)
    cohort = chiasm.cohort_from_frames(patients, values, target=chiasm.Classification("y"))
    recipe = make_recipe("boosted-trees")
    assert recipe.reads_presence and not make_recipe("boosted-trees:modality=m2").reads_presence
    assert area("boosted-trees", cohort) > 0.65
    model = recipe.fit(cohort, seed=0)
    lacking = cohort.with_modalities(["m1"])
    raw = lacking.raw("m1").to_numpy(float)
    by_hand = model.predictor.trees.linear_predictor(np.concatenate([raw, np.full((400, 3), np.nan)], axis=1))
    expected = model.predictor.centre + model.predictor.slope * (by_hand - model.predictor.centre)
    np.testing.assert_array_equal(model.predictor.link(lacking), expected)


@pytest.mark.parametrize("kind", ["survival", *at_night("classification")])
def test_of_few_columns_trees_read_the_cells_and_of_bags_components(kind: str) -> None:
    predictor: Any = make_recipe("boosted-trees").fit(mixed(kind), seed=0).predictor
    assert predictor.inputs["m1"].projection is None and predictor.inputs["m3"].projection is not None
    raw = mixed(kind).raw("m1")
    read = predictor.inputs["m1"](raw)
    assert read.shape[1] == predictor.inputs["m1"].width == 6 + raw["grade"].nunique()
    assert np.isnan(read[raw["a1"].isna().to_numpy()]).any(axis=1).all()  # a missing cell is not imputed


def test_of_a_wide_block_components_are_read() -> None:
    rng = np.random.default_rng(0)
    ids = [f"case-{k:03d}" for k in range(100)]
    values = {"a": pd.DataFrame(rng.normal(size=(100, 2)), ids), "b": pd.DataFrame(rng.normal(size=(100, 200)), ids)}
    values = {name: frame.rename(columns=str) for name, frame in values.items()}
    patients = pd.DataFrame({"y": rng.normal(size=100)}, ids)
    cohort = chiasm.cohort_from_frames(patients, values, target=chiasm.Regression("y"))
    predictor = make_recipe("boosted-trees").fit(cohort, seed=0).predictor
    assert (predictor.inputs["a"].width, predictor.inputs["b"].width, predictor.trees.columns) == (2, 64, 66)


@pytest.mark.parametrize("kind", ["choice", "response"])
@pytest.mark.parametrize("name", ["boosted-trees", "block-forest"])
def test_what_no_tree_is_grown_on_is_said(name: str, kind: str) -> None:
    with pytest.raises(Unsupported, match="channels of a response nor on options"):
        make_recipe(name).supports(synthetic_cohort("unique", 40, target=kind, seed=0))
