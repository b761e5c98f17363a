"""The methods against peft's own arithmetic, mergekit's and the papers' formulas by hand, and known code traps."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from chiasm.merging import masks, merge_models
from chiasm.merging.masks import below_largest, count_of, kept, largest
from chiasm.merging.task_vectors import task_vector

merge_utils = pytest.importorskip("peft.utils.merge_utils")


def vectors(count: int, shape: tuple[int, ...] = (6, 5), seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=generator) for _ in range(count)]


def merged(deltas: list[Tensor], method: str, weights: list[float] | None = None, **options: Any) -> Tensor:
    """The merged task vector, on a base of some other numbers."""
    (base,) = vectors(1, tuple(deltas[0].shape), seed=99)
    states = [{"w": base + delta} for delta in deltas]
    return merge_models(states, weights, method, {"w": base}, **options)["w"] - base


@pytest.mark.parametrize("weights", [[1.0, 1.0, 1.0], [0.5, 2.0, 1.0]])
def test_task_arithmetic_is_pefts(weights: list[float]) -> None:
    deltas = vectors(3)
    expected = merge_utils.task_arithmetic(deltas, torch.tensor(weights, dtype=torch.float64))
    torch.testing.assert_close(merged(deltas, "task-arithmetic", weights, normalize=False), expected)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
def test_trimmed_task_arithmetic_is_pefts_magnitude_prune(density: float) -> None:
    deltas, weights = vectors(3), [0.5, 2.0, 1.0]
    expected = merge_utils.magnitude_prune(deltas, torch.tensor(weights, dtype=torch.float64), density)
    found = merged(deltas, "task-arithmetic", weights, normalize=False, density=density)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("density", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_ties_is_pefts(density: float, count: int) -> None:
    deltas = vectors(count)
    expected = merge_utils.ties(deltas, torch.ones(count, dtype=torch.float64), density)
    torch.testing.assert_close(merged(deltas, "ties", density=density), expected)


def test_dare_is_pefts_with_the_same_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    deltas, weights = vectors(3), [0.5, 2.0, 1.0]
    masked = [masks.random(task_vector({"w": d + 1}, {"w": torch.ones_like(d)}), 0.5, 0)["w"] for d in deltas]
    drawn = iter([(value != 0).double() for value in masked] * 2)
    monkeypatch.setattr(merge_utils.torch, "bernoulli", lambda tensor: next(drawn))
    ones = torch.ones_like(deltas[0])
    states = [{"w": ones + delta} for delta in deltas]
    share = torch.tensor(weights, dtype=torch.float64)
    found = merge_models(states, weights, "dare", {"w": ones}, density=0.5, normalize=False)["w"] - ones
    torch.testing.assert_close(found, merge_utils.dare_linear(deltas, share, 0.5))
    found = merge_models(states, None, "dare-ties", {"w": ones}, density=0.5)["w"] - ones
    torch.testing.assert_close(found, merge_utils.dare_ties(deltas, torch.ones(3, dtype=torch.float64), 0.5))


def test_mergekits_weighted_ties_by_hand() -> None:
    """Signs by weighted mass, then the weighted mean of those that agree."""
    rows = ([3.0, -1.0, 2.0, 0.1], [-1.0, -2.0, 4.0, 0.2], [-1.0, 3.0, 1.0, 0.3])
    deltas = [torch.tensor([row], dtype=torch.float64) for row in rows]
    found = merged(deltas, "ties", [1.0, 1.0, 2.0], density=0.75)
    # Three of four are kept. Mass: 3 - 1 - 2 = 0 elects nobody; -1 - 2 + 6 > 0; 2 + 4 + 2 > 0.
    torch.testing.assert_close(found, torch.tensor([[0.0, 3.0, (2.0 + 4.0 + 2 * 1.0) / 4, 0.0]], dtype=torch.float64))
    plain = merged(deltas, "ties", [1.0, 1.0, 2.0], density=0.75, normalize=False)
    torch.testing.assert_close(plain, torch.tensor([[0.0, 6.0, 8.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("size", [0.1, 0.3, 7.0])
def test_mass_that_cancels_elects_nobody_in_any_order(size: float) -> None:
    """0.1 + 0.2 - 0.3 is 5.6e-17, or 2.8e-17 from the other end: the rounding of a sum must not choose a sign."""
    base = torch.zeros(1, dtype=torch.float64)
    for order in itertools.permutations([0.1, 0.2, -0.3]):
        states = [{"w": torch.tensor([value * size], dtype=torch.float64)} for value in order]
        assert torch.equal(merge_models(states, None, "ties", {"w": base}, density=1.0)["w"], base)


def test_breadcrumbs_by_hand() -> None:
    delta = torch.tensor([[9.0, -8.0, 7.0, 6.0, -5.0], [4.0, 3.0, -2.0, 1.0, 0.5]], dtype=torch.float64)
    found = merged([delta], "breadcrumbs", density=0.4, outliers=0.2)
    torch.testing.assert_close(found, torch.tensor([[0, 0, 7.0, 6, -5], [4, 0, 0, 0, 0]], dtype=torch.float64))
    found = merged([delta], "breadcrumbs", density=0.4, outliers=0.2, granularity="row")
    torch.testing.assert_close(found, torch.tensor([[0, -8.0, 7, 0, 0], [0, 3, -2, 0, 0]], dtype=torch.float64))
    found = merged([delta, delta], "breadcrumbs", density=0.4, outliers=0.2, scale=0.4, normalize=False)
    torch.testing.assert_close(found, torch.tensor([[0, 0, 5.6, 4.8, -4.0], [3.2, 0, 0, 0, 0]], dtype=torch.float64))


@pytest.mark.parametrize("granularity", ["tensor", "row", "model"])
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 2), (2, 1, 3)])
def test_no_outliers_do_not_empty_the_mask(granularity: str, shape: tuple[int, ...]) -> None:
    """mergekit slices `indices[n_bot:-n_top]`: nothing is left where n_top is 0, by gamma = 0 or in a small tensor."""
    (delta,) = vectors(1, shape)
    for outliers in (0.0, 0.01):
        found = merged([delta], "breadcrumbs", density=0.99, outliers=outliers, granularity=granularity)
        rows = shape[-1] if granularity == "row" and shape else delta.numel()
        assert int((found.abs() > 1e-12).sum()) == delta.numel() // rows * count_of(0.99, rows)
    torch.testing.assert_close(
        merged([delta], "breadcrumbs", density=1.0, outliers=0.0, granularity=granularity), delta
    )


@pytest.mark.parametrize("density", [0.1, 0.29, 0.57, 0.7, 1.0])
@pytest.mark.parametrize("outliers", [0.0, 0.1, 0.29])
def test_kept_counts_are_exact_ties_and_rounding_included(density: float, outliers: float) -> None:
    if density + outliers > 1:
        density = 1 - outliers
    for sizes in (torch.ones(2, 100), torch.arange(200.0).reshape(2, 100)):
        assert below_largest(outliers, density)(sizes).sum(1).tolist() == [round(100 * density)] * 2


def test_a_share_of_the_model_counts_tensors_that_did_not_change() -> None:
    vector = {"a": torch.tensor([3.0, 1.0]), "b": torch.tensor([2.0, 4.0]), "still": torch.zeros(4)}
    found = kept(vector, largest(0.375), "model")  # three of eight
    assert [value.tolist() for value in found.values()] == [[3.0, 0.0], [2.0, 4.0], [0.0] * 4]
    base = {key: torch.zeros_like(value) for key, value in vector.items()}
    merged = merge_models([vector], None, "ties", base, density=0.375, granularity="model")
    assert [value.tolist() for value in merged.values()] == [[3.0, 0.0], [2.0, 4.0], [0.0] * 4]


def test_dare_keeps_the_task_vector_on_average() -> None:
    (delta,) = vectors(1, (4, 4))
    mean = torch.stack([merged([delta], "dare", density=0.3, seed=seed) for seed in range(600)]).mean(0)
    assert float((mean - delta).abs().max()) < 5 * float(delta.abs().max()) * (0.7 / 0.3 / 600) ** 0.5


def test_dare_draws_another_mask_for_each_model_tensor_and_seed() -> None:
    a, b = vectors(2, (40, 40))
    base = torch.zeros_like(a)
    state = merge_models([{"x": a, "y": a}], None, "dare", {"x": base, "y": base})
    other = merge_models([{"x": b, "y": a}], None, "dare", {"x": base, "y": base})
    again = merge_models([{"x": a, "y": a}], None, "dare", {"x": base, "y": base}, seed=1)
    drawn = [state["x"] != 0, state["y"] != 0, other["x"] != 0, again["x"] != 0]
    for k, first in enumerate(drawn):
        assert 0.4 < float(first.double().mean()) < 0.6
        assert all(0.4 < float((first == second).double().mean()) < 0.6 for second in drawn[k + 1 :])


def test_breadcrumbs_degrades_slower_than_task_arithmetic_as_tasks_grow() -> None:
    """The paper's claim where it can be known: sparse tasks, heavy-tailed noise on all entries, a fixed scale."""
    generator = torch.Generator().manual_seed(0)
    size, tasks = 4000, 30
    truth, found = [], []
    for _ in range(tasks):
        signal = torch.zeros(size, dtype=torch.float64)
        signal[torch.randperm(size, generator=generator)[:200]] = 1.0
        noise = 0.2 * torch.randn(size, dtype=torch.float64, generator=generator)
        noise[torch.randperm(size, generator=generator)[:40]] += 8.0  # outliers
        truth.append(signal)
        found.append(signal + noise)
    error = {}
    for count in (1, tasks):
        for method, options in (("task-arithmetic", {}), ("breadcrumbs", {"density": 0.1, "outliers": 0.01})):
            total = merged(found[:count], method, scale=0.4, normalize=False, **options)
            error[method, count] = float((total - 0.4 * torch.stack(truth[:count]).sum(0)).norm())
    growth = {method: error[method, tasks] - error[method, 1] for method, _ in error}
    assert growth["breadcrumbs"] < 0.5 * growth["task-arithmetic"]
