"""Kernel ridge on a product of kernels: the short way equals the formed kernel, and that equals scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.kernel_ridge import KernelRidge

from chiasm.cohort import Unsupported
from chiasm.linear import kernel_ridge
from chiasm.linear.kernel_ridge import Items, ProductKernel, kernel_blocks, median_distance, places, solve
from examples import examples


def pairs(seed: int, n: int = 60, drugs: int = 5, targets: int = 7) -> list[Items]:
    rng = np.random.default_rng(seed)
    return [
        Items(rng.normal(size=(drugs, 3)), rng.integers(-1, drugs, n)),  # -1: the patient lacks it
        Items(rng.normal(size=(targets, 4)), rng.integers(0, targets, n)),
    ]


def by_hand(items: list[Items], scales: list[float], offset: float) -> np.ndarray:
    n = len(items[0].index)
    out = np.ones((n, n))
    for own, scale in zip(items, scales, strict=True):
        for a in range(n):
            for b in range(n):
                if own.index[a] < 0 or own.index[b] < 0:
                    out[a, b] *= offset
                    continue
                gap = own.features[own.index[a]] - own.features[own.index[b]]
                out[a, b] *= offset + np.exp(-scale * gap @ gap)
    return out


def kernel_of(items: list[Items], rows: np.ndarray) -> ProductKernel:
    blocks = kernel_blocks(items, items, [0.4, 0.7], 0.3)
    return ProductKernel(blocks, places(items, rows), places(items, rows))


@given(st.integers(0, 10_000))
@settings(max_examples=examples(15), deadline=None)
def test_both_ways_multiply_as_the_kernel_written_out(seed: int) -> None:
    items, vectors = pairs(seed), np.random.default_rng(seed).normal(size=(60, 2))
    wanted = by_hand(items, [0.4, 0.7], 0.3) @ vectors
    kernel = kernel_of(items, np.arange(60))
    assert kernel.short
    np.testing.assert_allclose(kernel @ vectors, wanted, atol=1e-9)
    few = np.arange(8)  # so few that the kernel is formed
    formed = kernel_of(items, few)
    assert not formed.short
    np.testing.assert_allclose(formed @ vectors[:8], by_hand(items, [0.4, 0.7], 0.3)[:8, :8] @ vectors[:8], atol=1e-9)


@pytest.mark.parametrize("penalty", [0.03, 1.0])
def test_the_solution_equals_scikit_learns(penalty: float) -> None:
    items = pairs(3)
    target = np.random.default_rng(4).normal(size=(60, 2))
    matrix = by_hand(items, [0.4, 0.7], 0.3)
    wanted = KernelRidge(alpha=penalty, kernel="precomputed").fit(matrix, target).dual_coef_
    kernel = kernel_of(items, np.arange(60))
    np.testing.assert_allclose(kernel @ solve(kernel, target, [penalty])[0], matrix @ wanted, atol=2e-4)


def test_penalties_solved_together_are_those_solved_alone() -> None:
    items, target = pairs(5), np.random.default_rng(5).normal(size=(60, 2))
    kernel, penalties = kernel_of(items, np.arange(60)), (3.0, 0.3, 1.0)
    assert kernel.short
    for penalty, together in zip(penalties, solve(kernel, target, penalties), strict=True):
        alone = KernelRidge(alpha=penalty, kernel="precomputed").fit(by_hand(items, [0.4, 0.7], 0.3), target)
        np.testing.assert_allclose(together, alone.dual_coef_, atol=2e-4)


def test_distances_are_scaled_by_their_median_and_one_item_has_none() -> None:
    features = np.array([[0.0], [1.0], [3.0], [3.0]])  # 1, 9, 9, 4, 4, 0: the repeated item does not count
    assert median_distance(features) == 4.0
    assert median_distance(features[:1]) == 1.0


def test_too_many_patients_who_share_nothing_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_ridge, "MOST_DENSE", 50)
    rng = np.random.default_rng(0)
    items = [Items(rng.normal(size=(60, 2)), np.arange(60)) for _ in range(2)]
    with pytest.raises(Unsupported, match="60 patients of mostly different items"):
        kernel_of(items, np.arange(60))
