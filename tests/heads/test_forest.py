"""Trees of a forest: hand-computed relative risks, votes as scikit-learn's, and what a tree without a split says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from chiasm.linear.forest import Forest
from chiasm.linear.grove import Grove, forest_of
from chiasm.linear.losses import LOSSES
from chiasm.linear.relative_risk import nelson_aalen
from chiasm.targets import Outcome


def outcome_of(kind: str, n: int, seed: int = 0) -> tuple[Outcome, int | None]:
    rng, everybody = np.random.default_rng(seed), np.ones(n, bool)
    if kind == "survival":
        return Outcome(np.round(rng.exponential(20, n)), rng.random(n) < 0.5, everybody), None
    if kind == "multilabel":
        value = (rng.random((n, 3)) < [0.2, 0.5, 0.7]).astype(float)
        value[rng.random(value.shape) < 0.2] = np.nan
        return Outcome(value, None, everybody), 3
    if kind == "regression":
        return Outcome(rng.normal(5.0, 3.0, n), None, everybody), None
    classes = 2 if kind == "two" else 4
    share = np.arange(1, classes + 1) / np.arange(1, classes + 1).sum()
    return Outcome(rng.choice(classes, n, p=share).astype(float), None, everybody), classes


def grove_of(kind: str, x: np.ndarray, outcome: Outcome, classes: int | None = None, **changed: Any) -> Grove:
    growing = LOSSES[kind].growing(outcome, outcome, classes)
    given = {"blocks": [(0, x.shape[1])], "units": np.arange(len(x)), "seed": [0], **changed}
    return Grove(x.astype(np.float32), np.arange(len(x)), given["blocks"], growing, given["units"], given["seed"])


def test_the_cumulative_hazard_is_that_of_a_small_table_by_hand() -> None:
    """Events at 1, at 3 (two of the three left), censored at 2 and 5: hazards 1/5, 1/5, 1/5 + 2/3 ..."""
    found = nelson_aalen(np.array([3.0, 1.0, 2.0, 5.0, 3.0]), np.array([1, 1, 0, 0, 1], bool))
    np.testing.assert_allclose(found, [0.2 + 2 / 3, 0.2, 0.2, 0.2 + 2 / 3, 0.2 + 2 / 3])


def test_a_tree_of_one_split_votes_with_events_over_summed_hazards() -> None:
    rng = np.random.default_rng(0)
    group = (np.arange(120) % 3 == 0).astype(float)  # one binary column: one split, two leaves
    outcome = Outcome(rng.exponential(np.where(group > 0, 1.0, 6.0)), rng.random(120) < 0.8, np.ones(120, bool))
    grove = grove_of("survival", group[:, None], outcome)
    grove.grow(1)
    tree = grove.trees[0][0]
    drawn, learned = np.zeros(120), grove.growing[0].weight > 0
    drawn[learned] = np.random.default_rng([0, 0, 0]).random(learned.sum()) < 0.632
    assert np.array_equal(tree.aside, drawn == 0)
    hazard, event = nelson_aalen(outcome.value, outcome.event), np.asarray(outcome.event)
    forest = forest_of(1, 1, grove.nodes(1))
    assert len(forest.feature) == 3 and forest.value[0, 0] == 0
    said, numbers = forest.polled(group[:, None].astype(np.float32), np.ones((120, 1), bool))
    for value in (0.0, 1.0):
        own = group == value
        by_hand = (drawn[own] * event[own]).sum() / (drawn[own] * hazard[own]).sum()
        np.testing.assert_allclose(said[own, 0], by_hand, rtol=1e-12)
    assert said[group == 1].mean() > 2 * said[group == 0].mean() and (numbers == 1).all()


@pytest.mark.parametrize("kind", ["two", "four", "multilabel", "regression", "survival"])
def test_the_arrays_vote_as_scikit_learn_does(kind: str) -> None:
    rng = np.random.default_rng(1)
    x = np.round(rng.normal(size=(150, 6)), 1)  # many ties, and values that are thresholds
    outcome, classes = outcome_of(kind, 150)
    grove = grove_of({"two": "classification", "four": "classification"}.get(kind, kind), x, outcome, classes)
    grove.grow(7)
    votes = grove.first[-1]
    forest = forest_of(6, votes, grove.nodes(7))
    edges = np.unique(forest.threshold[forest.feature >= 0])
    new = np.concatenate(
        [x, np.tile(edges[:60, None], 6), np.nextafter(edges[:60, None], np.float32(-9)) + np.zeros(6)]
    )
    new = new.astype(np.float32)
    expected, numbers = np.zeros((len(new), votes)), np.zeros(votes)
    for tree in (tree for trees in grove.trees for tree in trees):
        said = tree.grown.predict(new[:, grove.columns]).reshape(len(new), -1)
        expected[:, tree.vote : tree.vote + said.shape[1]] += said
        numbers[tree.vote : tree.vote + said.shape[1]] += 1
    found = forest.polled(new, np.ones((len(new), len(forest.start)), bool))
    np.testing.assert_allclose(found[0], expected, rtol=1e-12)
    assert (found[1] == numbers).all() and (numbers == 7).all() and np.ptp(expected, axis=0).min() > 0


@pytest.mark.parametrize("kind", ["two", "four", "multilabel", "regression", "survival"])
def test_a_tree_without_a_split_votes_as_the_prior_of_all_whoever_it_is_grown_on(kind: str) -> None:
    outcome, classes = outcome_of(kind, 90)
    loss = LOSSES[{"two": "classification", "four": "classification"}.get(kind, kind)]
    prior = loss.prior_votes(outcome, classes)
    some = [np.arange(90), np.arange(20, 50)]
    if kind in ("two", "four"):  # whoever has a modality may be of one class, or of all but one
        some += [np.flatnonzero(outcome.value == 1), np.flatnonzero(outcome.value != 0)]
    if kind == "survival":
        some.append(np.flatnonzero(outcome.event | (outcome.value > 10)))
    for rows in some:
        voted = [
            (own.target * (own.weight * own.chance)[:, None]).sum(0) / (own.weight * own.chance).sum()
            for own in loss.growing(outcome.take(rows), outcome, classes)
        ]
        np.testing.assert_allclose(np.concatenate(voted), prior, rtol=1e-6)


def test_a_tree_that_does_not_serve_a_patient_leaves_no_trace() -> None:
    x, (outcome, _) = np.random.default_rng(2).normal(size=(60, 3)), outcome_of("regression", 60)
    grove = grove_of("regression", x, outcome)
    grove.grow(300)  # more than are walked side by side
    serving = np.random.default_rng(3).random(300) < 0.4
    nodes = grove.nodes(300)
    whole, part = (
        forest_of(3, 1, own) for own in (nodes, [own for own, kept in zip(nodes, serving, strict=True) if kept])
    )
    seen = x.astype(np.float32)
    found = whole.polled(seen, np.tile(serving, (60, 1)))
    expected = part.polled(seen, np.ones((60, serving.sum()), bool))
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    one_by_one = [whole.polled(seen[[row]], serving[None])[0][0] for row in range(60)]
    np.testing.assert_array_equal(found[0], one_by_one)


def test_a_tree_is_the_same_however_many_are_grown_and_units_are_drawn_whole() -> None:
    x, (outcome, _) = np.random.default_rng(2).normal(size=(60, 3)), outcome_of("regression", 60)
    units = np.arange(60) // 3
    grown = [grove_of("regression", x, outcome, units=units) for _ in range(2)]
    grown[0].grow(4)
    grown[1].grow(2)
    grown[1].grow(4)
    for one, other in zip(*(own.nodes(4) for own in grown), strict=True):
        assert all(np.array_equal(one[1][name], other[1][name]) for name in one[1])
    for trees in grown[0].trees:
        aside = trees[0].aside.reshape(20, 3)
        assert (aside == aside[:, :1]).all() and 0 < aside[:, 0].sum() < 20


def test_a_tree_of_many_patients_has_few_leaves() -> None:
    x, (outcome, _) = np.random.default_rng(0).normal(size=(20_000, 1)), outcome_of("regression", 20_000)
    grove = grove_of("regression", x, outcome)
    grove.grow(1)
    assert 200 < int((grove.nodes(1)[0][1]["feature"] < 0).sum()) <= 500


def test_a_narrow_block_is_asked_as_often_as_its_root() -> None:
    """Of 3 and of 300 columns 2 and 17 are tried at a split, whatever the number of columns drawn from."""
    grove = grove_of("regression", np.zeros((10, 303)), outcome_of("regression", 10)[0], blocks=[(0, 3), (3, 303)])
    assert grove.tried == 19
    assert (grove.columns < 3).mean() == pytest.approx(np.sqrt(3) / (np.sqrt(3) + np.sqrt(300)), rel=0.01)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": np.zeros((2, 1))}, "differ in length"),
        ({"value": np.full((3, 1), np.nan)}, "not finite"),
        ({"output": np.array([1])}, "casts a vote that there is not"),
        ({"feature": np.array([9, -1, -1])}, "asks for a column that there is not"),
        ({"left": np.array([0, -1, -1])}, "leads out of its tree or back"),
    ],
)
def test_arrays_that_are_no_forest_are_refused(change: dict[str, np.ndarray], words: str) -> None:
    own = np.array([0]), np.array([0]), np.array([0, -1, -1]), np.zeros(3, np.float32), np.array([1, -1, -1])
    forest = Forest(1, 1, *own, np.array([2, -1, -1]), np.array([[0.0], [1.0], [2.0]]))
    assert forest.trained_parameters == 3
    with pytest.raises(ValueError, match=words):
        replace(forest, **change)
