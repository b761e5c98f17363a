"""Boxes go into maps of centres and come back, and a perfect map has no loss of sizes and offsets."""

from __future__ import annotations

import pytest
import torch

from chiasm.detection.centre_maps import CentreMaps, centre_losses, drawn_maps, found_boxes
from chiasm.detection.centre_network import CentreNetwork
from chiasm.detection.drawing import turned_over

NAN = float("nan")
BOXES = torch.tensor([
    [[0, 0.1, 0.1, 0.4, 0.3], [1, 0.5, 0.5, 0.9, 0.95], [NAN] * 5],
    [[1, 0.0, 0.6, 0.2, 1.0], [NAN] * 5, [NAN] * 5],
])  # fmt: skip


def as_said(drawn: CentreMaps) -> CentreMaps:
    return CentreMaps(torch.logit(drawn.heat, 1e-6), drawn.size, drawn.offset)


def test_boxes_come_back() -> None:
    found = found_boxes(as_said(drawn_maps(BOXES, 2, (8, 10))), 2)
    for image, own in enumerate(BOXES):
        kept = own[~own.isnan().any(1)]
        here = found[image][found[image, :, 1] > 0.99]
        here = here[here[:, 0].argsort()]
        torch.testing.assert_close(here[:, [0, 2, 3, 4, 5]], kept[kept[:, 0].argsort()], atol=1e-5, rtol=0)


def test_a_perfect_map_has_no_loss_and_a_moved_one_has() -> None:
    drawn = drawn_maps(BOXES, 2, (8, 10))
    assert drawn.centre is not None and drawn.centre.sum() == 3 and (drawn.heat == 1).sum() == 3
    perfect = centre_losses(as_said(drawn), drawn)
    assert perfect["size"] == 0 == perfect["offset"]
    moved = centre_losses(as_said(drawn_maps(turned_over(BOXES, 0), 2, (8, 10))), drawn)
    assert moved["heat"] > 5 * perfect["heat"]


def test_losses_are_by_hand() -> None:
    drawn = drawn_maps(torch.tensor([[[0, 0.25, 0.25, 0.75, 0.75]]]), 1, (1, 1))  # one cell, its centre in the middle
    said = CentreMaps(torch.zeros(1, 1, 1, 1), torch.full((1, 2, 1, 1), 1.0), torch.full((1, 2, 1, 1), 0.2))
    losses = centre_losses(said, drawn)
    assert float(losses["heat"]) == pytest.approx(-(0.5**2) * torch.log(torch.tensor(0.5)).item())
    assert float(losses["size"]) == pytest.approx(2 * torch.log(torch.tensor(2.0)).item())
    assert float(losses["offset"]) == pytest.approx(0.6)


def test_of_two_centres_in_one_cell_the_larger_is_drawn() -> None:
    boxes = torch.tensor([[[0, 0.3, 0.3, 0.7, 0.7], [0, 0.4, 0.4, 0.6, 0.6]]])
    for own in (boxes, boxes.flip(1)):
        drawn = drawn_maps(own, 1, (3, 3))
        assert drawn.centre is not None and drawn.centre.sum() == 1
        torch.testing.assert_close(drawn.size[0, :, 1, 1], torch.tensor([1.2, 1.2]))


def test_images_without_boxes_and_odd_sizes_have_finite_losses() -> None:
    nothing = torch.full((2, 1, 5), NAN)
    network = CentreNetwork(1, 2, 8, 1)
    for side in (8, 24):
        said = network(torch.randn(2, 1, side, side))
        losses = sum(centre_losses(said, drawn_maps(nothing, 2, (side // 4, side // 4))).values())
        assert torch.isfinite(losses)  # type: ignore[arg-type]
        found = found_boxes(said, 100)
        assert found.shape[1] <= 100 and bool((found[~found.isnan().any(2)][:, 1] > 0).all())


def test_turning_over_twice_is_nothing_and_boxes_stay_ordered() -> None:
    for axis in (0, 1):
        once = turned_over(BOXES, axis)
        assert bool((once[..., 3:] >= once[..., 1:3])[~once.isnan().any(2)].all())
        torch.testing.assert_close(turned_over(once, axis), BOXES, equal_nan=True)
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    assert image.flip(3)[0, 0, 0, 0] == 3  # across is the last axis, as `turned_over(..., 0)` turns left and right
