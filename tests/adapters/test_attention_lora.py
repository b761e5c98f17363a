"""LoRA on torch's attention: the formula by hand, peft's on a map that is called, and the penalty of PEGO."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bases import BASES
from chiasm.adapters import AttentionLoRA, LoRA, attach, low_rank, orthogonality
from chiasm.adapters.sites import linear_maps, projections


def stirred(kind: str, adapter: AttentionLoRA | LoRA, seed: int = 0) -> tuple[nn.Module, object]:
    model = BASES[kind].model()
    attached = attach(model, adapter, BASES[kind].where)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in attached.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return model, attached


@pytest.mark.parametrize("groups", [1, 3])
def test_the_joint_projection_is_the_formula(groups: int) -> None:
    base, x = BASES["MultiheadAttention"], BASES["MultiheadAttention"].input()
    model, attached = stirred("MultiheadAttention", AttentionLoRA(rank=2, alpha=3, groups=groups))
    assert attached.count() == groups * 2 * (8 + 24)
    plain, state = base.model(), attached.state()
    with torch.no_grad():
        for number in range(groups):
            change = state[f"attention/tall.{number}"] @ state[f"attention/thin.{number}"]
            plain.attention.in_proj_weight.add_(change, alpha=3 / 2)
    torch.testing.assert_close(model(x), plain(x))


@pytest.mark.parametrize("kind", ["Linear", "Conv2d-whole"])
def test_on_a_map_that_is_called_it_is_lora_of_peft(kind: str) -> None:
    base = BASES[kind]
    model, attached = stirred(kind, AttentionLoRA(rank=2, alpha=3, groups=2))
    other, theirs = stirred(kind, LoRA(rank=2, alpha=3, groups=2), seed=1)
    assert not torch.allclose(model(base.input()), other(base.input()), atol=1e-3)
    own, state = attached.state(), dict(theirs.named_parameters())
    with torch.no_grad():
        for name, parameter in state.items():
            number = int(name.split("group-")[1][0]) if "group-" in name else 0
            site, _, rest = name.partition(".lora_")
            parameter.copy_(own[f"{site}/{'thin' if rest[0] == 'A' else 'tall'}.{number}"].view_as(parameter))
    torch.testing.assert_close(model(base.input()), other(base.input()))
    torch.testing.assert_close(orthogonality(attached), orthogonality(theirs))


def test_the_penalty_of_pego_at_an_attention_is_the_formula() -> None:
    _, attached = stirred("MultiheadAttention", AttentionLoRA(rank=2, groups=2))
    state = attached.state()
    weight = BASES["MultiheadAttention"].model().attention.in_proj_weight
    one, two = (state[f"attention/tall.{n}"] @ state[f"attention/thin.{n}"] for n in range(2))
    expected = sum((left @ right.T).abs().sum() for left, right in ((weight, one), (weight, two), (one, two)))
    torch.testing.assert_close(orthogonality(attached), expected)


def test_each_network_gets_the_one_that_fits() -> None:
    attention, layer = BASES["MultiheadAttention"].model(), BASES["feed-forward"].model()
    assert projections(attention) == ("attention",)
    assert projections(layer) == ("layers.0.self_attn", "layers.1.self_attn")
    assert linear_maps(layer, 2) == tuple(
        f"layers.{n}.{name}" for n in range(2) for name in ("self_attn", "linear1", "linear2")
    )
    assert linear_maps(layer, 8) == ()  # the rank is no lower than the maps'
    assert isinstance(low_rank(attention, ("attention",), 2, 3), AttentionLoRA)
    assert low_rank(layer, ("layers.0.linear1",), 2, 3, 4) == LoRA(2, 3, 4)


def test_what_cannot_be_adapted_is_named() -> None:
    with pytest.raises(ValueError, match="rank 8 at most: 9 is no low rank"):
        stirred("MultiheadAttention", AttentionLoRA(rank=9))
    with pytest.raises(ValueError, match="'0' is a LayerNorm"):
        attach(nn.Sequential(nn.LayerNorm(4)), AttentionLoRA(1), lambda name, module: name == "0")
    apart = nn.Sequential(nn.MultiheadAttention(8, 2, kdim=4, vdim=4))
    with pytest.raises(ValueError, match="MultiheadAttention of one width"):
        attach(apart, AttentionLoRA(1), lambda name, module: name == "0")
    with pytest.raises(ValueError, match="must be 1 or more"):
        AttentionLoRA(0)
