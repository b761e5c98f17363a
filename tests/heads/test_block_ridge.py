"""Ridge with a penalty for each block equals the ridges it generalises, whatever the shape and the kind of target."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter

from chiasm.linear.block_ridge import Blocks, Fitted, Weighted, fit_blocks
from chiasm.linear.losses import LOSSES
from chiasm.targets import Outcome

KINDS = {"two classes": 2, "three classes": 3, "multilabel": None, "regression": None, "survival": None}
SHAPES = {"more columns": (60, (4, 90)), "more patients": (90, (4, 12))}
each_kind = pytest.mark.parametrize("kind", KINDS)
each_shape = pytest.mark.parametrize("shape", SHAPES)


def drawn(kind: str, shape: str, seed: int = 0) -> tuple[list[np.ndarray], Outcome, Any, int | None]:
    """Two centred blocks of which both tell, their outcome, its loss and the number of classes."""
    n, widths = SHAPES[shape]
    rng = np.random.default_rng(seed)
    values = [rng.normal(size=(n, width)) for width in widths]
    values = [block - block.mean(0) for block in values]
    signal, known = values[0][:, 0] + values[1][:, 0], np.ones(n, bool)
    event = None
    if kind == "regression":
        value = signal + rng.normal(size=n)
    elif kind == "multilabel":
        value = (np.c_[signal, -signal, signal] + rng.normal(size=(n, 3)) > 0).astype(float)
        value[rng.random((n, 3)) < 0.2] = np.nan
    elif kind == "survival":  # with ties
        value, event = np.round(rng.exponential(np.exp(-signal)) * 10) + 1, rng.random(n) < 0.7
    else:
        value = np.digitize(signal + rng.normal(size=n), [0.0] if kind == "two classes" else [-1.0, 1.0]).astype(float)
    loss = LOSSES["classification" if kind.endswith("classes") else kind]
    return values, Outcome(value, event, known), loss, KINDS[kind]


def fitted(values: list[np.ndarray], penalties: list[float], outcome: Outcome, loss: Any, classes: int | None) -> Any:
    """Coefficients `(F, K)` and intercept of columns in their own unit."""
    blocks = Blocks(values)
    own = [penalty / unit**2 for penalty, unit in zip(penalties, blocks.units, strict=True)]
    local = loss.local(outcome, classes)
    fit = fit_blocks(blocks.at(own), np.ones((blocks.patients, 1)), local)
    return local.expand(np.concatenate(blocks.coefficients(fit.alpha, own)), fit.gamma[0])


@each_kind
@each_shape
@pytest.mark.parametrize("penalties", [(3.0, 3.0), (0.5, 40.0)], ids=["equal", "apart"])
def test_it_equals_a_ridge_on_columns_divided_by_the_root_of_their_penalty(
    kind: str, shape: str, penalties: tuple[float, float]
) -> None:
    values, outcome, loss, classes = drawn(kind, shape)
    coef, intercept = fitted(values, list(penalties), outcome, loss, classes)
    roots = np.concatenate([np.full(v.shape[1], np.sqrt(p)) for v, p in zip(values, penalties, strict=True)])
    ((expected, level),) = loss.path(np.concatenate(values, axis=1) / roots, outcome, [1.0], classes)
    np.testing.assert_allclose(coef, expected / roots[:, None], atol=2e-5)
    if not loss.compares:  # a log hazard has no level
        np.testing.assert_allclose(intercept - intercept.mean(), level - level.mean(), atol=2e-5)


@each_kind
def test_the_dual_equals_the_primal(kind: str) -> None:
    values, outcome, loss, classes = drawn(kind, "more patients")
    side = np.concatenate([values[0] / 0.3, values[1] / 2.0], axis=1)
    free = np.column_stack([np.ones(len(side)), np.random.default_rng(1).normal(size=len(side))])
    ways = [Weighted(side @ side.T, None), Weighted(None, side)]
    local = loss.local(outcome, classes)
    fits = [fit_blocks(way, free, local) for way in ways]
    raw = [free @ fit.gamma + way @ fit.alpha for fit, way in zip(fits, ways, strict=True)]
    links = [sum(local.expand(own, 0 * local.start)) for own in raw]
    np.testing.assert_allclose(links[0] - links[0].mean(0), links[1] - links[1].mean(0), atol=1e-6)


def test_a_free_block_equals_the_partial_penalty_of_lifelines() -> None:
    values, outcome, loss, _ = drawn("survival", "more patients")
    values = [block / block.std(0, ddof=1) for block in values]  # lifelines penalises standardised coefficients
    penalty = 6.0
    local, blocks = loss.local(outcome, None), Blocks(values[1:])
    own = [penalty / blocks.units[0] ** 2]
    free = np.column_stack([np.ones(len(values[0])), values[0]])
    fit = fit_blocks(blocks.at(own), free, local)
    found = np.concatenate([fit.gamma[1:, 0], blocks.coefficients(fit.alpha, own)[0][:, 0]])
    table = pd.DataFrame(np.concatenate(values, axis=1)).assign(time=outcome.value, event=outcome.event)
    each = np.r_[np.zeros(values[0].shape[1]), np.full(values[1].shape[1], penalty / len(table))]
    reference = CoxPHFitter(penalizer=each).fit(table, "time", "event", fit_options={"precision": 1e-10})
    np.testing.assert_allclose(found, reference.params_.to_numpy(), atol=1e-5)


@each_kind
def test_the_hessian_is_the_slope_of_the_gradient_and_the_curvature_bounds_it(kind: str) -> None:
    _, outcome, loss, classes = drawn(kind, "more columns")
    local, rng = loss.local(outcome, classes), np.random.default_rng(2)
    at = rng.normal(size=(len(outcome.value), len(local.start)))
    near, step = local.at(at), 1e-5
    for _ in range(3):
        way = rng.normal(size=at.shape)
        ahead, behind = (local.at(at + sign * step * way) for sign in (1, -1))
        slope = (ahead.value - behind.value) / (2 * step)
        np.testing.assert_allclose(slope, np.sum(near.gradient * way), rtol=1e-6)
        np.testing.assert_allclose(near.times(way), (ahead.gradient - behind.gradient) / (2 * step), atol=1e-7)
    size = at.size
    hessian = np.stack([near.times(one.reshape(at.shape)).ravel() for one in np.eye(size)])
    assert np.linalg.eigvalsh(np.diag(near.curvature.ravel()) - hessian).min() > -1e-9


@each_kind
@pytest.mark.parametrize("penalties", [(20.0, 2.0), (0.03, 0.03)], ids=["near", "far"])
def test_where_it_starts_does_not_matter(kind: str, penalties: tuple[float, float]) -> None:
    """A start at much stronger penalties lies where the loss is flat: it must not pass for an end."""
    values, outcome, loss, classes = drawn(kind, "more columns")
    blocks, local, free = Blocks(values), loss.local(outcome, classes), np.ones((60, 1))
    far, here = fit_blocks(blocks.at([100.0, 500.0]), free, local), blocks.at(list(penalties))
    one, two = (fit_blocks(here, free, local, start=start) for start in (None, far))
    links = [here @ fit.alpha for fit in (one, two)]
    np.testing.assert_allclose(links[0], links[1], atol=1e-3 * np.abs(links[0]).max())


@each_shape
def test_a_label_of_one_value_stays_at_half_a_patient_of_the_other(shape: str) -> None:
    """Without a penalty its intercept has no end; the other labels are fitted as if it were not there."""
    values, outcome, loss, _ = drawn("multilabel", shape)
    value = np.column_stack([outcome.value, np.zeros(len(outcome.value)), np.ones(len(outcome.value))])
    value[:5, 3] = np.nan
    coef, intercept = fitted(values, [2.0, 2.0], Outcome(value, None, outcome.known), loss, None)
    alone = fitted(values, [2.0, 2.0], outcome, loss, None)
    assert not coef[:, 3:].any()
    np.testing.assert_allclose(intercept[3:], [-np.log(2 * (len(value) - 5)), np.log(2 * len(value))])
    np.testing.assert_allclose(coef[:, :3], alone[0], atol=1e-9)
    ((_, expected),) = loss.path(np.concatenate(values, axis=1), Outcome(value, None, outcome.known), [2.0], None)
    np.testing.assert_allclose(intercept, expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["three classes", "multilabel"])
def test_many_outputs_share_a_preconditioner_and_have_the_same_fit(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    values, outcome, loss, classes = drawn(kind, "more columns")
    one = fitted(values, [2.0, 9.0], outcome, loss, classes)
    monkeypatch.setattr("chiasm.linear.block_ridge.MOST_FACTORS", 1)
    two = fitted(values, [2.0, 9.0], outcome, loss, classes)
    np.testing.assert_allclose(one[0], two[0], atol=1e-5)


def test_what_rounding_leaves_of_a_constant_block_is_no_presence() -> None:
    values, outcome, loss, _ = drawn("regression", "more patients")
    constant = np.zeros((len(outcome.value), 1))
    constant[:60] = 1e-17  # of those who have it
    assert Blocks([values[1], constant]).units[1] == 1.0
    assert np.abs(fitted([values[1], constant], [1.0, 1.0], outcome, loss, None)[0][-1]) < 1e-12


@pytest.mark.parametrize(("kind", "shape"), list(product(("two classes", "survival"), SHAPES)))
def test_a_block_of_nothing_adds_nothing(kind: str, shape: str) -> None:
    values, outcome, loss, classes = drawn(kind, shape)
    nothing = np.zeros_like(values[0])
    found = fitted([values[1], nothing], [2.0, 2.0], outcome, loss, classes)
    alone = fitted([values[1]], [2.0], outcome, loss, classes)
    np.testing.assert_allclose(found[0][: values[1].shape[1]], alone[0], atol=1e-6)
    assert not found[0][values[1].shape[1] :].any()


def test_one_class_alone_and_nobody_with_an_event_are_fitted_as_nothing() -> None:
    values, outcome, loss, _ = drawn("two classes", "more patients")
    same = Outcome(np.zeros_like(outcome.value), None, outcome.known)
    assert not fitted(values, [1.0, 1.0], same, loss, 2)[0].any()
    values, outcome, loss, _ = drawn("survival", "more patients")
    none = Outcome(outcome.value, np.zeros_like(outcome.event), outcome.known)
    assert not fitted(values, [1.0, 1.0], none, loss, None)[0].any()


def test_a_fit_is_two_arrays() -> None:
    values, outcome, loss, classes = drawn("three classes", "more columns")
    fit = fit_blocks(Blocks(values).at([1.0, 1.0]), np.ones((60, 1)), loss.local(outcome, classes))
    assert isinstance(fit, Fitted) and fit.alpha.shape == (60, 3) and fit.gamma.shape == (1, 3)
    np.testing.assert_allclose(fit.alpha.sum(0), 0, atol=1e-8)  # the intercept is free


def test_a_balanced_column_and_one_of_zeros_beside_many_have_their_units() -> None:
    """Whatever the sum of a centred block's rows: the search for its largest component does not start at zero."""
    two = np.tile([[1.0], [-1.0]], (50, 1))
    wide = np.random.default_rng(0).normal(size=(100, 300))
    balanced = np.concatenate([np.tile(row, (50, 1)) for row in (wide[:1], -wide[:1])])
    units = Blocks([two, np.zeros((100, 1)), np.zeros((100, 200)), balanced]).units
    np.testing.assert_allclose(units, [1.0, 1.0, 1.0, np.linalg.norm(wide[0])])
