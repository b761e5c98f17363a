"""Gates at every scale: an absent contrast is not read, one alone is its own network, equal gates are one map."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from chiasm.segmentation.dense_ssma import DenseGate, SsmaUNet
from chiasm.segmentation.phantoms import CONTRASTS, phantom

SIZES = {"width": 4, "depth": 2, "eta": 2}


@pytest.mark.parametrize("shape", [(9, 12), (1, 6, 7)])
def test_one_contrast_alone_is_its_own_network_to_the_last_bit(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    both = SsmaUNet({"a": 1, "b": 2}, len(shape), 3, **SIZES)
    alone = SsmaUNet({"b": 2}, len(shape), 3, **SIZES)
    whole = both.state_dict()
    for name in alone.state_dict():
        if not name.startswith("gates.") or ".map." in name:  # one contrast alone has no gate
            own = name.replace("streams.0.", "streams.1.").replace(".map.0.", ".map.1.")
            alone.state_dict()[name].copy_(whole[own])
    b, nothing = torch.randn(2, 2, *shape), torch.full((2, 1, *shape), float("nan"), requires_grad=True)
    said = both({"a": nothing, "b": b}, torch.tensor([[False, True]] * 2))
    assert said.shape == (2, 4, *shape)
    torch.testing.assert_close(said, alone({"b": b}, torch.ones(2, 1, dtype=torch.bool)), rtol=0, atol=0)
    torch.testing.assert_close(said, both({"b": b}, torch.tensor([[False, True]] * 2)), rtol=0, atol=0)
    mixed = both({"a": torch.randn(2, 1, *shape), "b": b}, torch.tensor([[False, True], [True, True]]))
    torch.testing.assert_close(mixed[0], said[0])
    assert not torch.allclose(mixed[1], said[1])
    said.sum().backward()
    assert nothing.grad is None or not nothing.grad.nan_to_num(1.0).any()
    assert all(own.grad is None or not own.grad.any() for own in both.streams[0].parameters())
    both.zero_grad()
    both({"b": b}, torch.tensor([[False, True], [False, False]])).sum().backward()
    assert all(own.grad is None or own.grad.isfinite().all() for own in both.parameters())
    with pytest.raises(ValueError, match="no contrast is present"):
        both({"b": b}, torch.zeros(2, 2, dtype=torch.bool))


def test_gates_that_are_equal_map_the_concatenation() -> None:
    torch.manual_seed(0)
    gate = DenseGate(2, 3, 4, 2)
    for own in gate.open:
        torch.nn.init.zeros_(own.weight)
    features, here = torch.randn(3, 2, 4, 5, 5), torch.ones(2, 1, 1, 1, dtype=torch.bool)
    said, shares = gate([(m, here, features[m]) for m in range(3)])
    gates = [own.bias.sigmoid() for own in gate.open]
    wide = [gates[m] / sum(gates) for m in range(3)]
    joint = torch.cat([wide[m][:, None, None, None] * gate.map[m].weight for m in range(3)], 1)
    bias = sum(wide[m] * gate.map[m].bias for m in range(3))
    torch.testing.assert_close(said, functional.conv2d(torch.cat(list(features), 1), joint, bias))
    torch.testing.assert_close(sum(shares.values()), torch.ones(2, 4, 5, 5))


def test_shares_are_of_those_present_and_one_alone_has_all() -> None:
    torch.manual_seed(0)
    network = SsmaUNet(dict.fromkeys(CONTRASTS, 1), 2, 3, **SIZES)
    made = [phantom(k, (16, 16))[0] for k in range(3)]
    images = {name: torch.from_numpy(np.stack([own[name] for own in made]))[:, None] for name in CONTRASTS}
    shares = network.shares(images, torch.tensor([[True, True], [True, False], [False, True]]))
    both = torch.stack([shares[name] for name in CONTRASTS])
    torch.testing.assert_close(both[:, 0].sum(0), torch.ones(3))
    assert torch.equal(both[0, 1], torch.ones(3)) and torch.equal(both[1, 2], torch.ones(3))
    assert both[1, 1].isnan().all() and both[0, 2].isnan().all()
