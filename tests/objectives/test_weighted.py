"""Class weights: scikit-learn's "balanced" solution, batches of one patient, and labels that are missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor
from torch.nn import functional

from chiasm.objectives.weighted import (
    balanced_label_weights,
    balanced_weights,
    weighted_cross_entropy,
    weighted_label_entropy,
)
from examples import examples


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(0, 5))
@settings(max_examples=examples(40), deadline=None)
def test_weights_are_those_of_scikit_learn(codes: list[int], missing: int) -> None:
    found = np.unique(codes)
    weights = balanced_weights(torch.tensor([*map(float, codes), *missing * [torch.nan]]), 5).numpy()
    np.testing.assert_allclose(weights[found], compute_class_weight("balanced", classes=found, y=np.array(codes)))
    assert not np.delete(weights, found).any()
    assert weights[codes].sum() == pytest.approx(len(codes))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_minimum_is_that_of_balanced_logistic_regression(classes: int) -> None:
    rng = np.random.default_rng(classes)
    codes = np.repeat(np.arange(classes), [40, 8, 25][:classes])
    x = rng.normal(size=(len(codes), 3)) + 0.7 * codes[:, None] * np.array([1.0, -0.5, 0.0])
    model = LogisticRegression(C=1.0, class_weight="balanced", tol=1e-10, max_iter=10_000).fit(x, codes)
    slope, shift = (torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in ((classes, 3), (classes,)))
    values, labels = torch.from_numpy(x), torch.from_numpy(codes)
    weights = balanced_weights(labels, classes)
    optimiser = torch.optim.LBFGS([slope, shift], max_iter=2000, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        penalty = (slope if classes > 2 else slope[1] - slope[0]).square().sum()
        loss = weighted_cross_entropy(values @ slope.T + shift, labels, weights) * len(x) + 0.5 * penalty
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        probability = torch.softmax(values @ slope.T + shift, 1).numpy()
    np.testing.assert_allclose(probability, model.predict_proba(x), atol=1e-5)
    plain = LogisticRegression(C=1.0, tol=1e-10, max_iter=10_000).fit(x, codes)
    assert np.abs(plain.predict_proba(x) - probability).max() > 0.1


@given(st.integers(0, 10_000))
@settings(max_examples=examples(25), deadline=None)
def test_batches_add_up_and_order_and_names_do_not_count(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(12, 3, generator=generator, dtype=torch.float64)
    codes = torch.randint(0, 3, (12,), generator=generator)
    weights = balanced_weights(codes, 3)
    whole = weighted_cross_entropy(logits, codes, weights)
    singles = [weighted_cross_entropy(logits[i : i + 1], codes[i : i + 1], weights) for i in range(12)]
    torch.testing.assert_close(torch.stack(singles).mean(), whole)
    rows, names = torch.randperm(12, generator=generator), torch.randperm(3, generator=generator)
    torch.testing.assert_close(weighted_cross_entropy(logits[rows], codes[rows], weights), whole)
    places = torch.argsort(names)
    torch.testing.assert_close(weighted_cross_entropy(logits[:, places], names[codes], weights[places]), whole)
    torch.testing.assert_close(weighted_cross_entropy(logits, codes, 4 * weights), 4 * whole)


def test_one_patient_keeps_the_weight_of_its_class() -> None:
    """In `cross_entropy(weight=)` it cancels."""
    logits, weights = torch.zeros(1, 2), torch.tensor([0.5, 4.0])
    losses = [weighted_cross_entropy(logits, torch.tensor([code]), weights).item() for code in (0, 1)]
    assert losses[1] / losses[0] == pytest.approx(8.0)
    cancelled = [functional.cross_entropy(logits, torch.tensor([code]), weights).item() for code in (0, 1)]
    assert cancelled[0] == pytest.approx(cancelled[1])


def test_patients_without_a_label_count_for_nothing() -> None:
    logits = torch.tensor([[1.0, 0.0], [torch.nan, torch.inf], [0.0, 2.0]], requires_grad=True)
    weights = torch.tensor([1.0, 2.0])
    for codes in (torch.tensor([0.0, torch.nan, 1.0]), torch.tensor([0, -1, 1])):
        loss = weighted_cross_entropy(logits, codes, weights)
        torch.testing.assert_close(loss, weighted_cross_entropy(logits[[0, 2]], codes[[0, 2]], weights))
        (gradient,) = torch.autograd.grad(loss, logits)
        assert torch.isfinite(gradient).all() and not gradient[1].any() and gradient[[0, 2]].all()


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_nothing_to_learn_from_is_zero_with_zero_gradient(rows: int) -> None:
    logits = torch.full((rows, 2), torch.nan, requires_grad=True)
    nothing = torch.full((rows,), torch.nan)
    for loss in (
        weighted_cross_entropy(logits, nothing, balanced_weights(nothing, 2)),
        weighted_label_entropy(logits, nothing[:, None].expand(rows, 2), torch.ones(2, 2)),
    ):
        (gradient,) = torch.autograd.grad(loss, logits)
        assert loss.item() == 0.0 and not gradient.any()
    assert not balanced_weights(nothing, 2).any()


@given(st.integers(0, 10_000))
@settings(max_examples=examples(25), deadline=None)
def test_labels_are_classes_of_their_own(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = torch.from_numpy(np.where(rng.random((20, 3)) < 0.3, np.nan, rng.integers(0, 2, (20, 3))))
    logits = torch.from_numpy(rng.normal(size=(20, 3))).requires_grad_()
    weights = balanced_label_weights(values)
    assert weights.shape == (2, 3)
    loss, total = weighted_label_entropy(logits, values, weights), 0.0
    for k in range(3):
        two = torch.stack([torch.zeros(20), logits[:, k]], 1)
        total = total + weighted_cross_entropy(two, values[:, k], weights[:, k]) * (~values[:, k].isnan()).sum()
    torch.testing.assert_close(loss, total / (~values.isnan()).sum(), check_dtype=False, rtol=1e-6, atol=1e-6)
    (gradient,) = torch.autograd.grad(loss, logits)
    assert torch.isfinite(gradient).all() and not gradient[values.isnan()].any()
    assert balanced_label_weights(torch.zeros(3, 0)).shape == (2, 0)


def test_a_code_outside_the_classes_is_refused() -> None:
    with pytest.raises(ValueError, match="outside the 2 classes"):
        balanced_weights(torch.tensor([0, 2]), 2)
