"""Sparse convolutions: hidden values reach nothing, all active is the plain network, the mask stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.conv_net import ConvNet
from chiasm.encoders.raster.sparse import group_norm, sparse_convolutions

GENERATOR = torch.Generator().manual_seed(0)


def plain(axes: int, norm: str) -> nn.Sequential:
    """A plain network of every part that is masked: strided and dilated convolutions, pools, norms; 16 to 4 places."""
    conv: Any = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    pool: Any = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)[axes - 1]
    batch: Any = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[axes - 1]
    instance: Any = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)[axes - 1]
    made = {"batch": batch(4), "group": nn.GroupNorm(2, 4), "instance": instance(4, affine=True)}[norm]
    return nn.Sequential(
        conv(2, 4, 3, padding=2, dilation=2), made, nn.GELU(), pool(2), conv(4, 4, 3, stride=2, padding=1), nn.ReLU(),
        conv(4, 4, 5, padding=2, groups=2),
    )  # fmt: skip


def mask_of(axes: int, hidden: float = 0.6) -> Tensor:
    active = torch.rand(3, *[4] * axes, generator=GENERATOR) > hidden
    active.flatten(1)[:, 0] = True
    active.flatten(1)[:, 1] = False
    return active


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("norm", ["batch", "group", "instance"])
def test_hidden_values_reach_nothing_and_all_active_is_the_plain_network(axes: int, norm: str) -> None:
    x = torch.randn(3, 2, *[16] * axes, generator=GENERATOR)
    for training in (True, False):
        network, active = plain(axes, norm).train(training), mask_of(axes)
        hidden = ~active
        for axis in range(1, axes + 1):
            hidden = hidden.repeat_interleave(4, axis)
        other = torch.where(hidden[:, None], torch.full_like(x, float("nan")), x)
        found = []
        for given in (x, other):
            with sparse_convolutions(network, active) as masked:
                found.append(network(masked(given)))
        assert torch.equal(found[0], found[1])
        assert torch.equal((found[0] != 0).any(1), active)  # as deep as it is
        with sparse_convolutions(network, torch.ones_like(active)) as masked:
            whole = network(masked(x))
        assert torch.equal(whole, network(x))  # and nothing of the hooks is left


def test_norms_count_active_places_alone() -> None:
    x, active = torch.randn(2, 4, 4, 4, generator=GENERATOR) + 3, mask_of(2)[:2]
    batch = nn.BatchNorm2d(4)
    with sparse_convolutions(batch, active) as masked:
        found = batch(masked(x))
    rows = x.movedim(1, -1)[active]
    wanted = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + batch.eps).sqrt()
    torch.testing.assert_close(found.movedim(1, -1)[active], wanted)
    torch.testing.assert_close(batch.running_mean, 0.1 * rows.mean(0))
    some = group_norm(nn.GroupNorm(2, 4), x, active)
    for item, here, told in zip(x, active, some, strict=True):
        own = item[:2][:, here]  # of the first group
        torch.testing.assert_close(told[:2][:, here], (own - own.mean()) / (own.var(unbiased=False) + 1e-5).sqrt())
        assert not bool(told[:, ~here].any())
    every = torch.ones_like(active)
    group, instance = nn.GroupNorm(2, 4), nn.InstanceNorm2d(4)
    torch.testing.assert_close(group_norm(group, x, every), group(x))
    torch.testing.assert_close(group_norm(instance, x, every), instance(x))


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_share_of_active_places_is_that_of_the_mask_at_every_stage(norm: str) -> None:
    config = RasterConfig("conv", size=16, patch=4, width=8, depth=2, norm=norm)
    network, active = ConvNet(config), mask_of(2)
    with torch.no_grad():
        for module in network.modules():  # biases that would be seen where nothing is
            if getattr(module, "bias", None) is not None:
                module.bias.fill_(1.0)
    with sparse_convolutions(network, active) as masked:
        maps = network.stages(masked(torch.randn(3, 1, 16, 16, generator=GENERATOR)))
    assert [own.shape[2] for own in maps] == [8, 4]
    for own in maps:
        assert bool(((own != 0).any(1).flatten(1).float().mean(1) == active.flatten(1).float().mean(1)).all())


def test_what_has_no_mask_is_refused() -> None:
    network = nn.Conv2d(1, 1, 3)  # no padding: a map of 14 places from 16
    with pytest.raises(ValueError, match="sides are multiples"), sparse_convolutions(network, mask_of(2)):
        network(torch.zeros(3, 1, 16, 16))
    assert network(torch.zeros(3, 1, 16, 16)).shape[2] == 14  # and its hooks are gone
    with pytest.raises(ValueError, match="running statistics"):
        sparse_convolutions(nn.InstanceNorm2d(2, track_running_stats=True), mask_of(2)).__enter__()
