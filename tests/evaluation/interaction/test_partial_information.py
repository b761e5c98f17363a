"""Redundant, unique and synergistic information: exact anchors, bounds of synergy, and the traps in released code."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from chiasm.errors import Unsupported
from chiasm.evaluation.interaction.estimated import PARTS, parts_of
from chiasm.evaluation.interaction.synergy_bounds import many_synergy_bounds, synergy_bounds
from chiasm.evaluation.interaction.unique_information import entropy, mutual_information, unique_information


def decomposed(joint: np.ndarray) -> tuple[float, float, float, float]:
    """Redundancy, both unique parts and synergy of p(x1, x2, y)."""
    known = unique_information(joint.sum(axis=1), joint.sum(axis=0))
    told = known.redundancy + sum(known.unique)
    return known.redundancy, *known.unique, mutual_information(joint.reshape(-1, joint.shape[2])) - told


def of_bits(rule: object) -> np.ndarray:
    """p(x1, x2, y) of two fair bits and y = rule(x1, x2)."""
    joint = np.zeros((2, 2, 4))
    for one, two in itertools.product(range(2), repeat=2):
        joint[one, two, rule(one, two)] = 0.25  # type: ignore[operator]
    return joint[:, :, joint.sum(axis=(0, 1)) > 0]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (lambda one, two: one ^ two, (0, 0, 0, 1)),
        (lambda one, two: one & two, (0.311278124459, 0, 0, 0.5)),
        (lambda one, two: one, (0, 1, 0, 0)),
        (lambda one, two: two, (0, 0, 1, 0)),
        (lambda one, two: 2 * one + two, (0, 1, 1, 0)),
    ],
    ids=["exclusive or", "and", "the first", "the second", "both as they are"],
)
def test_functions_of_two_bits(rule: object, expected: tuple[float, ...]) -> None:
    assert decomposed(of_bits(rule)) == pytest.approx(expected, abs=1e-9)


def test_a_copy_is_redundant() -> None:
    joint = np.zeros((2, 2, 2))
    joint[0, 0, 0] = joint[1, 1, 1] = 0.5
    assert decomposed(joint) == pytest.approx((1, 0, 0, 0), abs=1e-9)


@pytest.mark.parametrize("shape", [(2, 2, 2), (3, 4, 2), (4, 2, 3)])
def test_all_parts_are_there_and_the_sources_may_be_named_in_either_order(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    for sparse in (0.1, 1.0, 10.0):
        joint = rng.dirichlet(np.full(np.prod(shape), sparse)).reshape(shape)
        parts, turned = decomposed(joint), decomposed(joint.transpose(1, 0, 2))
        assert min(parts) > -1e-9
        assert turned == pytest.approx((parts[0], parts[2], parts[1], parts[3]), abs=1e-8)


def test_the_least_information_is_least() -> None:
    """No distribution with the same pairs, of thousands along the one free direction of a pair of rows, tells less."""
    joint = np.random.default_rng(3).dirichlet(np.ones(8)).reshape(2, 2, 2)
    found = mutual_information(joint.reshape(-1, 2)) - decomposed(joint)[3]
    move = np.array([[1.0, -1.0], [-1.0, 1.0]])
    low, high = [
        [max((-joint[..., y] / move)[move > 0]) for y in range(2)],
        [min((-joint[..., y] / move)[move < 0]) for y in range(2)],
    ]
    grid = [np.linspace(low[y], high[y], 101) for y in range(2)]
    least = min(
        mutual_information(np.maximum(joint + np.stack([a * move, b * move], axis=2), 0).reshape(-1, 2))
        for a in grid[0]
        for b in grid[1]
    )
    assert found <= least + 1e-9 and found == pytest.approx(least, abs=1e-3)


@pytest.mark.parametrize("number", [20, pytest.param(3000, marks=pytest.mark.nightly)])
def test_bounds_hold_the_synergy_between_them(number: int) -> None:
    rng = np.random.default_rng(0)
    joints: list[list[np.ndarray]] = [[], []]
    for k in range(number):
        shape = (2, 2, 2) if k % 2 else (3, 3, 2)
        joints[k % 2].append(rng.dirichlet(np.full(np.prod(shape), (0.1, 0.5, 1.0)[k % 3])).reshape(shape))
    above = 0
    for own in map(np.stack, joints):
        found = many_synergy_bounds(own.sum(axis=2), own.sum(axis=1), own.sum(axis=3))
        synergies = parts_of(own)[:, PARTS.index("synergy")]
        ends = np.array([(bounds.lower, bounds.upper) for bounds in found if bounds is not None])
        assert len(ends) == len(own)
        assert (ends[:, 0] <= synergies + 1e-8).all() and (synergies <= ends[:, 1] + 1e-8).all()
        above += int((ends[:, 0] > 1e-6).sum())
    assert above > number // 2  # the lower bound says something


@pytest.mark.parametrize("number", [4, pytest.param(100, marks=pytest.mark.nightly)])
def test_problems_that_are_solved_side_by_side_are_solved_as_one_by_one(number: int) -> None:
    """Whoever is in the batch, also one that has no joint distribution."""
    joints = np.random.default_rng(5).dirichlet(np.full(18, 0.3), number).reshape(-1, 3, 3, 2)
    tables = joints.sum(axis=2), joints.sum(axis=1), joints.sum(axis=3)
    same, other = np.array([[0.5, 0], [0, 0.5], [0, 0]]), np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]])
    few = [np.append(own, [one], axis=0) for own, one in zip(tables, (same, same, other), strict=True)]
    *found, none = many_synergy_bounds(*few)
    assert none is None
    for k, bounds in enumerate(found):
        alone = synergy_bounds(*(own[k] for own in tables))
        assert bounds is not None
        assert [bounds.lower, bounds.upper] == pytest.approx([alone.lower, alone.upper], abs=1e-12)
        assert bounds.by_redundancy == pytest.approx(fitted_alone(*(own[k] for own in tables)), abs=1e-5)


def fitted_alone(first: np.ndarray, second: np.ndarray, pairs: np.ndarray) -> float:
    """The lower bound by redundancy, from one joint distribution, scaled until it has all three pairs of sources."""
    joint = np.ones((*pairs.shape, first.shape[1]))
    for _ in range(2000):
        for table, gone in ((pairs, 2), (first, 1), (second, 0)):
            joint = joint * np.expand_dims(table / joint.sum(axis=gone), gone)
    told = unique_information(first, second).redundancy - mutual_information(pairs)
    return told + entropy(first) + entropy(second) - entropy(first.sum(axis=0)) - entropy(joint)


def test_cells_of_very_unlike_probability_are_solved_too() -> None:
    """The sparsest of many: where small directions were cut off, the sources told more alone than there is."""
    rng = np.random.default_rng(0)
    for k in range(2521):
        shape = (2, 2, 2) if k % 2 else (3, 3, 2)
        joint = rng.dirichlet(np.full(np.prod(shape), (0.1, 0.5, 1.0)[k % 3])).reshape(shape)
    assert min(decomposed(joint)) > -1e-9
    bounds = synergy_bounds(joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2))
    assert bounds.known.excess < 1e-9 and bounds.lower - 1e-8 <= decomposed(joint)[3] <= bounds.upper + 1e-8


def test_the_disagreement_of_sources_is_no_bound_without_its_constant() -> None:
    joint = np.random.default_rng(11).dirichlet(np.ones(8)).reshape(2, 2, 2)
    one, two, pairs = joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2)
    first, second = (table / table.sum(axis=1, keepdims=True) for table in (one, two))
    square = float((pairs * ((first[:, None] - second[None]) ** 2).sum(axis=2)).sum())
    bounds, synergy = synergy_bounds(one, two, pairs), decomposed(joint)[3]
    assert square - max(bounds.known.unique) > synergy + 1e-3  # as released
    assert square / 4 - max(bounds.known.unique) <= bounds.by_disagreement <= synergy


def test_bounds_of_what_only_both_tell() -> None:
    joint = of_bits(lambda one, two: one ^ two)
    bounds = synergy_bounds(joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2))
    assert (bounds.lower, bounds.upper) == pytest.approx((0, 1), abs=1e-9)  # independence has the same three pairs
    joint = of_bits(lambda one, two: 2 * one + two)
    bounds = synergy_bounds(joint.sum(axis=1), joint.sum(axis=0), joint.sum(axis=2))
    assert (bounds.lower, bounds.upper) == pytest.approx((0, 0), abs=1e-6)  # each is known by its own label


@pytest.mark.parametrize(("first", "second", "pairs"), [(0.9, 0.9, 0.5), (0.78, 0.9, 0.55), (0.0, 0.0, 0.0)])
def test_tables_that_no_joint_distribution_has_are_refused(first: float, second: float, pairs: float) -> None:
    """Two that agree with a third in most cases agree with each other; of three bits two are equal."""

    def agreeing(share: float) -> np.ndarray:
        return np.array([[share, 1 - share], [1 - share, share]]) / 2

    with pytest.raises(Unsupported, match="no joint distribution has all three tables"):
        synergy_bounds(agreeing(first), agreeing(second), agreeing(pairs))
    possible = synergy_bounds(agreeing(0.9), agreeing(0.9), agreeing(0.85))
    assert 0 <= possible.lower <= possible.upper < 1


@pytest.mark.parametrize(
    ("first", "second", "pairs", "words"),
    [
        ([[0.5, 0.4]], [[0.5, 0.5]], [[1.0]], "no distribution"),
        ([[0.5, np.nan]], [[0.5, 0.5]], [[1.0]], "no distribution"),
        ([[0.5, 0.5]], [[0.4, 0.6]], [[1.0]], "unlike targets"),
        ([[0.25, 0.25], [0.25, 0.25]], [[0.5, 0.5]], [[0.4], [0.6]], "the same in the pairs"),
    ],
)
def test_what_is_no_distribution_is_refused(first: object, second: object, pairs: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        synergy_bounds(*(np.asarray(table) for table in (first, second, pairs)))


def test_too_many_states_are_refused_before_any_is_solved() -> None:
    even = np.full((50, 2), 0.01)
    with pytest.raises(Unsupported, match="fewer states"):
        unique_information(even, even)


def test_entropy_is_in_bits() -> None:
    assert entropy(np.full(8, 1 / 8)) == pytest.approx(3) and entropy(np.array([1.0, 0.0])) == 0
