"""Convolutions written for each label: 153 numbers, grouped equals looped, and no image reads another."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from chiasm.heads.dynamic_convolutions import PARAMETERS, WIDTH, DynamicHead, dynamic_convolutions


def looped(features: Tensor, parameters: Tensor) -> Tensor:
    """One image and one label after another."""
    found = torch.empty(*parameters.shape[:2], features.shape[2])
    for image, x in enumerate(features):
        for label, own in enumerate(parameters[image]):
            one, two, last = own[:64].view(8, 8), own[64:128].view(8, 8), own[128:136]
            hidden = functional.relu(one @ x + own[136:144, None])
            hidden = functional.relu(two @ hidden + own[144:152, None])
            found[image, label] = last @ hidden + own[152]
    return found


def test_a_label_has_153_parameters_and_grouped_equals_looped() -> None:
    layers = torch.nn.Sequential(*(torch.nn.Conv2d(WIDTH, out, 1) for out in (8, 8, 1)))
    assert sum(own.numel() for own in layers.parameters()) == PARAMETERS == 153
    torch.manual_seed(0)
    features, parameters = torch.randn(3, 8, 35), torch.randn(3, 4, PARAMETERS)
    torch.testing.assert_close(dynamic_convolutions(features, parameters), looped(features, parameters))


@pytest.mark.parametrize("shape", [(6, 5), (2, 6, 5)])
def test_each_image_and_label_has_its_own_convolutions(shape: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    head = DynamicHead(8, 16, 12)
    features, lowest, words = torch.randn(2, 8, *shape), torch.randn(2, 16, *shape), torch.randn(2, 3, 12)
    said = head(features, lowest, words)
    assert said.shape == (2, 3, *shape)
    other = head(features, lowest, torch.cat([words[:, :2], words[:, 2:] + 1], 1))
    torch.testing.assert_close(other[:, :2], said[:, :2])
    assert not torch.allclose(other[:, 2], said[:, 2])
    torch.testing.assert_close(head(features[:1], lowest[:1], words[:1]), said[:1])
