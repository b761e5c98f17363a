"""Elastic nets of any loss with an offset: the conditions of optimality, and the solver of two losses beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from chiasm.fitting.block_choice import descended
from chiasm.fitting.sparse_choice import _Search, choose_sparse_blocks
from chiasm.linear.elastic_net import fit_elastic_net, penalty_grid
from chiasm.linear.linear import information
from chiasm.linear.loss import Local
from chiasm.linear.losses import LOSSES
from chiasm.linear.sparse_path import SparsePath
from chiasm.targets import Outcome

KINDS = ["regression", "two classes", "three classes", "multilabel", "survival"]


def made(kind: str, n: int = 90, f: int = 140, seed: int = 0) -> tuple[str, np.ndarray, Outcome]:
    """Kind of target, columns of which four tell, and outcomes: times with ties, labels of which some are unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, f))
    link = x[:, :4].sum(1)
    event = None
    if kind == "regression":
        value = link + rng.normal(size=n)
    elif kind == "multilabel":
        value = (np.stack([link, -x[:, 3]], 1) + rng.logistic(size=(n, 2)) > 0).astype(float)
        value[rng.random((n, 2)) < 0.2] = np.nan
    elif kind == "survival":
        time, censored = rng.exponential(np.exp(-link)), rng.exponential(2.0, n)
        value, event = np.round(np.minimum(time, censored), 1), time < censored
    else:
        cuts = [0.0] if kind == "two classes" else [-1.0, 1.0]
        value, kind = np.digitize(link + rng.normal(size=n), cuts).astype(float), "classification"
    return kind, x, Outcome(value, event, np.ones(n, bool))


def missed(local: Local, x: np.ndarray, path: SparsePath, penalty: float, offset: np.ndarray | float = 0.0) -> float:
    """By how much, relative to the L1 threshold, a condition of optimality is missed."""
    coef, threshold = path.coef, penalty * path.l1_ratio
    gradient = local.at(offset + x @ coef + path.intercept).gradient
    slope = -(x.T @ gradient) - penalty * (1 - path.l1_ratio) * coef
    off = np.where(coef != 0, np.abs(slope - threshold * np.sign(coef)), np.abs(slope) - threshold)
    return float(max(off.max(), np.abs(gradient.sum(0)).max()) / threshold)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_each_fit_along_a_path_meets_the_conditions_of_optimality(kind: str, l1_ratio: float) -> None:
    kind, x, outcome = made(kind)
    local = LOSSES[kind].local(outcome, None)
    offset = 0.5 * np.random.default_rng(1).normal(size=(len(x), len(local.start)))
    for given in (None, offset):
        path = SparsePath(x, local, l1_ratio, given)
        for penalty in np.geomspace(path.largest_penalty * 0.9, path.largest_penalty / 50, 6):
            path.at(penalty)
            assert missed(local, x, path, penalty, 0.0 if given is None else given) < 1e-4
        assert 10 < np.count_nonzero(path.coef.any(1)) < x.shape[1]


@pytest.mark.parametrize("kind", ["regression", "two classes", "three classes"])
def test_it_equals_the_solver_of_classes_and_numbers(kind: str) -> None:
    kind, x, outcome = made(kind)
    local = LOSSES[kind].local(outcome, None)
    grid, path = penalty_grid(kind, x, outcome)[::-1][:8], SparsePath(x, local, 0.5)
    for penalty, expected in zip(grid, fit_elastic_net(kind, x, outcome, grid), strict=True):
        link, known = np.add(*local.expand(*(x @ path.at(penalty)[0], path.intercept))), expected.linear_predictor(x)
        shift = (known - link).mean(1, keepdims=True) if local.shifts else 0.0
        np.testing.assert_allclose(link + shift, known, atol=5e-4)


def test_above_the_largest_penalty_nothing_is_left_and_below_it_something() -> None:
    kind, x, outcome = made("survival")
    path = SparsePath(x, LOSSES[kind].local(outcome, None), 1.0)
    top = path.largest_penalty
    assert not path.at(top * 1.0001)[0].any() and path.at(top * 0.99)[0].any()


@pytest.mark.parametrize("kind", KINDS)
def test_an_offset_that_is_a_fit_leaves_nothing_to_add(kind: str) -> None:
    """What a ridge of almost no penalty has said cannot be improved by columns that it read."""
    kind, x, outcome = made(kind, f=4)
    local = LOSSES[kind].local(outcome, None)
    path = SparsePath(x, local, 1.0)
    coef, intercept = path.at(1e-3)
    again = SparsePath(x, local, 1.0, x @ coef + intercept)
    assert not again.at(1.0)[0].any()
    assert np.abs(again.intercept).max() < 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_equal_factors_are_the_elastic_net_and_a_factor_is_a_dearer_block(kind: str) -> None:
    kind, x, outcome = made(kind, n=60, f=40)
    folds, values = np.arange(60) % 3, [x[:, :10], x[:, 10:]]
    search = _Search(kind, values, outcome, folds, None, 0.5, None)
    local, unit = LOSSES[kind].local(outcome, None), float(information(kind, outcome))
    equal, dear = search.chosen((0, 0)), search.chosen((0, 3))
    for found, factor in ((equal, 1.0), (dear, 8.0)):
        path = SparsePath(np.concatenate([x[:, :10], x[:, 10:] / factor], axis=1), local, 0.5)
        penalty = found.penalty * unit
        path.at(penalty)
        expected = path.coef / np.repeat([1.0, factor], [10, 30])[:, None]
        coef = local.expand(expected, path.intercept)[0]
        np.testing.assert_allclose(np.concatenate(found.blocks), coef, atol=2e-4)
    assert dear.factors == (1.0, 8.0)


def test_a_block_of_noise_is_made_dearer() -> None:
    rng = np.random.default_rng(3)
    own, noise = rng.normal(size=(120, 5)), rng.normal(size=(120, 400))
    outcome = Outcome(own.sum(1) + rng.normal(size=120), None, np.ones(120, bool))
    found = choose_sparse_blocks("regression", [noise, own], outcome, np.arange(120) % 5, None, l1_ratio=1.0)
    assert found.factors[0] > found.factors[1]
    assert np.count_nonzero(found.blocks[0]) < 40 and np.all(found.blocks[1])


def test_times_of_many_patients_have_no_intercept() -> None:
    """Which Cox's likelihood does not depend on: what rounding leaves of its curvature is no curvature."""
    kind, x, outcome = made("survival", n=3000, f=5)
    path = SparsePath(x, LOSSES[kind].local(outcome, None), 1.0)
    path.at(path.largest_penalty / 50)
    assert path.intercept == 0.0 and np.count_nonzero(path.coef) >= 4
    found = choose_sparse_blocks(kind, [x], outcome, np.arange(3000) % 5, None, l1_ratio=1.0)
    assert abs(found.links.mean()) < 0.01


def test_no_two_factors_are_further_apart_than_the_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    kind, x, outcome = made("regression", n=30, f=6)
    search = _Search(kind, [x[:, :3], x[:, 3:]], outcome, np.arange(30) % 3, None, 1.0, None)
    always = search.at((0, 0))
    monkeypatch.setattr(search, "at", lambda powers: replace(always, loss=float(powers[1] - powers[0])))
    found = descended((0, 0), (0, 1), (2, 1), lambda powers: search.at(powers).loss, search.may_try)
    assert max(found) - min(found) == 5


def test_a_class_that_a_fold_has_not_seen_is_as_rare_as_the_offset_says() -> None:
    rng = np.random.default_rng(0)
    codes = np.append(rng.integers(0, 3, 99), 3).astype(float)  # the fourth class has one patient
    prior = np.log(np.bincount(codes.astype(int)) / 100)
    outcome, x = Outcome(codes, None, np.ones(100, bool)), 1e-3 * rng.normal(size=(100, 3))
    found = choose_sparse_blocks(
        "classification", [x], outcome, np.arange(100) % 5, 4, l1_ratio=1.0, offset=np.tile(prior, (100, 1))
    )
    chance = np.exp(found.links) / np.exp(found.links).sum(1, keepdims=True)
    np.testing.assert_allclose(chance[np.arange(100) % 5 == 4, 3], 0.01, atol=0.002)  # with the patient in fold 4
