"""UniPT: no gradient enters the base, stored tokens train as live ones do, padding does not count."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bases import BASES
from chiasm.adapters import SideNetwork, UniPT, attach, hidden_states

BASE = BASES["TransformerEncoderLayer"]


def network(layers: int = 3, seed: int = 0) -> SideNetwork:
    torch.manual_seed(seed)
    return SideNetwork([8] * layers, 6, 5)


def states(layers: int = 3, tokens: int = 4, seed: int = 1) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, tokens, 8, generator=generator) for _ in range(layers)]


def test_the_output_is_the_formula() -> None:
    side, hidden = network(), states()
    narrow = [F.layer_norm(h @ d[0].weight.T + d[0].bias, (6,)) for d, h in zip(side.down, hidden, strict=True)]
    expected = torch.zeros(3, 4, 5)
    for b in range(3):
        anchor, scores, merged = narrow[-1][b], [], []
        for state in narrow[:-1]:
            weight = F.normalize(torch.relu(anchor @ state[b].T), p=1, dim=1) + torch.eye(4)
            merged.append(weight @ state[b])
            scores.append(side.confidence(anchor.mean(0) * state[b].mean(0)))
        share = torch.softmax(torch.cat(scores), 0)
        expected[b] = side.up(anchor + side.project(sum(c * m for c, m in zip(share, merged, strict=True))))
    torch.testing.assert_close(side(hidden), expected)
    torch.testing.assert_close(side.shares(hidden).sum(1), torch.ones(3))


@pytest.mark.parametrize("behind", [0.0, 1e9, float("nan")])
def test_padding_changes_nothing_whatever_stands_there(behind: float) -> None:
    side, hidden = network(), states()
    padded = [torch.cat([state, torch.full((3, 2, 8), behind)], 1) for state in hidden]
    mask = torch.arange(6).expand(3, 6) < 4
    output = side(padded, mask)
    torch.testing.assert_close(output[:, :4], side(hidden))
    assert (output[:, 4:] == 0).all()
    empty = side(padded, torch.zeros_like(mask))
    assert torch.isfinite(empty).all()
    empty.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in side.parameters() if p.grad is not None)


def test_no_gradient_enters_the_hidden_states() -> None:
    hidden = [state.requires_grad_() for state in states()]
    network()(hidden).sum().backward()
    assert all(state.grad is None for state in hidden)


def fit(side: SideNetwork, take: object) -> list[Tensor]:
    optimiser = torch.optim.Adam(side.parameters(), lr=0.01)
    for _ in range(3):
        optimiser.zero_grad()
        side(take()).square().mean().backward()  # type: ignore[operator]
        optimiser.step()
    return [parameter.detach() for parameter in side.parameters()]


def test_training_on_stored_tokens_is_training_on_live_ones_to_the_bit() -> None:
    model, x = BASE.model().train(), BASE.input()
    stored = hidden_states(model, BASE.where, x)
    live = fit(network(2), lambda: hidden_states(model, BASE.where, x))
    assert all(torch.equal(a, b) for a, b in zip(live, fit(network(2), lambda: stored), strict=True))
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="no submodule"):
        hidden_states(model, lambda name, module: False, x)


def test_attached_gives_what_the_side_network_gives_on_the_hidden_states() -> None:
    model, x = BASE.model(), BASE.input()
    hidden = hidden_states(model, BASE.where, x)
    attached = attach(model, UniPT(4), BASE.where)
    side = attached.parts["layers.1"].network
    torch.testing.assert_close(model(x), side(hidden), rtol=1e-4, atol=1e-5)
    model(x).sum().backward()
    assert all(p.grad is None for p in model.parameters()) and all(p.grad is not None for p in side.parameters())
    with pytest.raises(ValueError, match="two layers or more"):
        attach(BASE.model(), UniPT(4), lambda name, module: name == "layers.0")
    with pytest.raises(ValueError, match="2 layers at first and 3"):
        side(states(3))


@pytest.mark.parametrize("layer", [0, 1])
def test_the_layer_that_holds_the_answer_gains_all_weight(layer: int) -> None:
    """What is to be said is what the network says of one layer alone, so the only answer is that layer's share of 1."""
    generator = torch.Generator().manual_seed(3)
    side = network()
    hidden = [torch.randn(64, 4, 8, generator=generator) + torch.randn(8, generator=generator) for _ in range(3)]
    narrowed, merged, before = side._aggregate(hidden, None)
    alone = side.up(narrowed[-1] + side.project(merged[:, layer])).detach()
    optimiser = torch.optim.Adam(side.confidence.parameters(), lr=0.1)
    for _ in range(60):
        optimiser.zero_grad()
        (side(hidden) - alone).square().mean().backward()
        optimiser.step()
    assert before.mean(0)[layer].item() < 0.7 < 0.9 < side.shares(hidden).mean(0)[layer].item()
