"""Queries without a label: the Hungarian method equals brute force, and a window's loss is that of the best match."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch

from chiasm.segmentation.drawing import NOT_THERE
from chiasm.segmentation.matched import Matched, MatchedMaps, matching, matching_costs


def brute_force(costs: torch.Tensor) -> float:
    """The least sum over all ways to give each thing a query of its own."""
    queries, things = costs.shape
    return min(sum(float(costs[q, k]) for k, q in enumerate(way)) for way in permutations(range(queries), things))


def test_the_match_is_the_cheapest_of_all_that_there_are() -> None:
    torch.manual_seed(0)
    for queries, things in ((1, 1), (4, 2), (5, 5), (6, 3)):
        for _ in range(5):
            costs = torch.randn(queries, things)
            chosen, own = matching(costs)
            assert len(set(chosen.tolist())) == things == len(set(own.tolist()))
            assert float(costs[chosen, own].sum()) == pytest.approx(brute_force(costs), abs=1e-5)


def test_costs_are_by_hand() -> None:
    classes, masks = torch.tensor([[0.0, 2.0, -1.0], [1.0, 0.0, 0.0]]), torch.tensor([[3.0, -2.0], [0.0, 1.0]])
    truths = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    costs = matching_costs(classes, masks, torch.tensor([1, 0]), truths)
    p = masks.sigmoid()
    for q in range(2):
        for k, code in enumerate((1, 0)):
            entropy = torch.nn.functional.binary_cross_entropy(p[q], truths[k])
            dice = (2 * (p[q] * truths[k]).sum() + 1) / (p[q].sum() + truths[k].sum() + 1)
            said = float(classes[q].softmax(0)[code])
            assert float(costs[q, k]) == pytest.approx(-said + 2.5 * float(entropy + 1 - dice), rel=1e-5)


def test_order_of_the_queries_decides_nothing_and_beyond_the_image_nothing_counts() -> None:
    torch.manual_seed(0)
    network = Matched({"a": 1}, 2, 2, 5, width=4, depth=1, latent=8, heads=2)
    images, present = {"a": torch.randn(2, 1, 8, 8)}, torch.ones(2, 1, dtype=torch.bool)
    codes = torch.randint(0, 3, (2, 8, 8))
    codes[:, 6:] = NOT_THERE
    codes[1] = 0
    objective = MatchedMaps("none", 1)
    losses = objective.drawn_losses(network, images, present, codes)
    said = network(images, present)
    assert said.shape == (2, 3, 8, 8)
    with torch.no_grad():
        network.queries.queries.copy_(network.queries.queries.flip(0))
    again = objective.drawn_losses(network, images, present, codes)
    for name, own in losses.items():
        torch.testing.assert_close(again[name], own)
    torch.testing.assert_close(network(images, present), said)
    sum(losses.values()).backward()  # type: ignore[union-attr]
    assert all(own.grad is not None and torch.isfinite(own.grad).all() for own in network.parameters())
    with pytest.raises(ValueError, match="more than the labels"):
        Matched({"a": 1}, 2, 2, 2, width=4, depth=1, latent=8, heads=2)
