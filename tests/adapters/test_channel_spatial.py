"""SAM-Med2D's adapter: the formula by hand, odd sizes, and what the released code got wrong."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from chiasm.adapters import ChannelSpatial, attach
from chiasm.encoders.weights import seeded


def made(layout: str, sides: tuple[int, int] = (6, 5), stir: bool = True) -> tuple[nn.Module, Any, Tensor]:
    """A convolution, the part at it, and an image in the layout that the convolution takes or gives."""
    with seeded(0):  # of other weights a unit may answer zero to both images, and learn nothing from them
        model = nn.Sequential(nn.Conv2d(3, 8, 1)) if layout == "first" else nn.Sequential(nn.Linear(3, 8))
    attached = attach(model, ChannelSpatial(layout=layout), lambda name, module: name == "0")
    part = attached.parts["0"]
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in part.parameters() if stir else ():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    x = torch.randn((2, 3, *sides), generator=generator)
    return model, part, x if layout == "first" else x.movedim(1, -1)


@pytest.mark.parametrize("layout", ["first", "last"])
def test_the_output_is_the_formula(layout: str) -> None:
    model, part, x = made(layout)
    with torch.no_grad():
        given = x.movedim(1, -1) if layout == "first" else x
        plain = F.linear(given, model[0].weight.flatten(1), model[0].bias).movedim(-1, 1)
        hidden = F.layer_norm(plain.movedim(1, -1), (8,), part.norm.weight, part.norm.bias)
        scale = torch.sigmoid(F.relu(hidden.mean((1, 2)) @ part.squeeze.weight.T) @ part.excite.weight.T)
        weighed = (hidden * scale[:, None, None]).movedim(-1, 1)
        small = F.relu(F.conv2d(weighed, part.down.weight, stride=2, padding=1))
        wide = F.conv_transpose2d(small, part.up.weight, stride=2, padding=1)
        expected = plain + wide[..., :6, :5]
        found = model(x) if layout == "first" else model(x).movedim(-1, 1)
    assert part.squeeze.weight.shape == (2, 8)  # a quarter of the channels
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("sides", [(1, 1), (4, 7), (8, 8)])
def test_every_size_comes_back(sides: tuple[int, int]) -> None:
    model, _, x = made("last", sides)
    assert model(x).shape == (2, *sides, 8)


def test_the_path_may_take_away_as_well_as_add() -> None:
    model, _, x = made("last")
    change = (model(x) - F.linear(x, model[0].weight, model[0].bias)).detach()
    assert (change < 0).any() and (change > 0).any()


def test_all_of_it_learns_from_the_second_step_on() -> None:
    model, part, x = made("first", stir=False)
    torch.testing.assert_close(model(x), F.conv2d(x, model[0].weight, model[0].bias))
    optimiser = torch.optim.SGD(part.parameters(), lr=0.01)
    for _ in range(2):
        optimiser.zero_grad()
        (model(x) - 1).square().sum().backward()
        optimiser.step()
    assert all(float(parameter.grad.abs().sum()) > 0 for parameter in part.parameters())


def test_what_cannot_be_is_named() -> None:
    with pytest.raises(ValueError, match="ratio 0 must lie above 0"):
        ChannelSpatial(ratio=0)
    model = nn.Sequential(nn.Linear(3, 8))
    attach(model, ChannelSpatial(), lambda name, module: name == "0")
    with pytest.raises(ValueError, match="met a tensor of 3 axes"):
        model(torch.ones(2, 3, 3))
