"""Layer-wise rates: closed-form values, every trainable parameter once, and names that must exist."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from chiasm.training.layer_rates import layer_rates
from examples import examples


class Small(nn.Module):
    """A class token and a patch embedding, blocks of a matrix and a norm, a norm and a head, all inside `inner`."""

    def __init__(self, blocks: int = 3) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.inner.embed = nn.Linear(3, 4)
        self.inner.blocks = nn.ModuleList(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)) for _ in range(blocks))
        self.inner.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)


STEM = ("inner.token", "inner.embed")


def rates(network: nn.Module, **options: Any) -> list[dict[str, Any]]:
    given_ = {"blocks": "inner.blocks", "stem": STEM, "rate": 1e-3, "decay": 0.5, **options}
    return layer_rates(network, given_.pop("blocks"), **given_)


def by_name(network: nn.Module, groups: list[dict[str, Any]], key: str) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {names[id(each)]: group[key] for group in groups for each in group["params"]}


@given(st.integers(1, 6), st.floats(1e-6, 1.0), st.floats(0.1, 1.0), st.data())
@settings(max_examples=examples(40), deadline=None)
def test_rates_are_the_closed_form_and_each_parameter_is_in_one_group(
    blocks: int, rate: float, decay: float, data: st.DataObject
) -> None:
    network = Small(blocks)
    for parameter in network.parameters():
        parameter.requires_grad_(data.draw(st.booleans()))
    groups = rates(network, rate=rate, decay=decay)
    listed = [id(each) for group in groups for each in group["params"]]
    assert len(listed) == len(set(listed))
    assert set(listed) == {id(each) for each in network.parameters() if each.requires_grad}
    for name, found in by_name(network, groups, "lr").items():
        if name.startswith(STEM):
            depth = 0
        elif name.startswith("inner.blocks."):
            depth = int(name.split(".")[2]) + 1
        else:
            depth = blocks + 1
        assert found == pytest.approx(rate * decay ** (blocks + 1 - depth))
    assert [group["depth"] for group in groups] == sorted(group["depth"] for group in groups)


def test_no_decay_is_one_rate_and_a_rate_scales_all() -> None:
    network = Small()
    assert {group["lr"] for group in rates(network, decay=1.0)} == {1e-3}
    for one, other in zip(rates(network), rates(network, rate=3e-3), strict=True):
        assert other["lr"] == pytest.approx(3 * one["lr"]) and other["scale"] == one["scale"]
        assert all(first is second for first, second in zip(one["params"], other["params"], strict=True))


def test_vectors_and_the_named_have_no_weight_decay() -> None:
    network = Small()
    found = by_name(network, rates(network, weight_decay=0.1, undecayed=("inner.token",)), "weight_decay")
    assert {name for name, amount in found.items() if amount} == {
        "inner.embed.weight",
        "head.weight",
        *(f"inner.blocks.{block}.0.weight" for block in range(3)),
    }
    assert by_name(network, rates(network, weight_decay=0.1), "weight_decay")["inner.token"] == 0.1


def test_a_step_moves_parameters_in_proportion_to_their_rates() -> None:
    """The published groups hold "lr_scale", which an optimiser does not read: all moved alike."""
    network = Small()
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    groups = rates(network)
    optimiser = torch.optim.SGD(groups)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimiser.step()
    for name, rate in by_name(network, groups, "lr").items():
        moved = before[name] - network.get_parameter(name)
        torch.testing.assert_close(moved, torch.full_like(moved, rate), rtol=1e-3, atol=1e-7)


def test_a_shared_parameter_is_once_and_low() -> None:
    network = Small()
    network.inner.blocks[2][0].weight = network.inner.blocks[0][0].weight
    network.head.tied = network.inner.token
    found = by_name(network, rates(network), "depth")
    assert found["inner.blocks.0.0.weight"] == 1 and found["inner.token"] == 0
    network.above = network.inner.token  # met first where it would have the full rate
    assert by_name(network, rates(network), "depth")["above"] == 0


def test_blocks_by_any_name_are_counted_in_their_order() -> None:
    network = nn.Module()
    network.layers = nn.Sequential(OrderedDict((name, nn.Linear(2, 2, bias=False)) for name in ("z", "b", "a")))
    assert by_name(network, layer_rates(network, "layers", stem=(), rate=1.0, decay=0.5), "depth") == {
        "layers.z.weight": 1,
        "layers.b.weight": 2,
        "layers.a.weight": 3,
    }


def test_a_vision_transformer_inside_a_network() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8
    )
    network = nn.Module()
    network.encoder = transformers.ViTModel(config)
    lists = [name for name, part in network.named_modules() if isinstance(part, nn.ModuleList)]
    stem = "encoder.embeddings"
    found = by_name(network, layer_rates(network, lists[0], stem=(stem,), rate=1.0, decay=0.65), "lr")
    assert found["encoder.embeddings.cls_token"] == pytest.approx(0.65**3)
    assert found["encoder.pooler.dense.weight"] == found["encoder.layernorm.bias"] == 1.0
    assert {rate for name, rate in found.items() if name.startswith(lists[0] + ".1.")} == {0.65}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "rate is above 0"),
        ({"decay": 0.0}, "decay above 0"),
        ({"decay": 1.5}, "at most 1"),
        ({"weight_decay": -1.0}, "at least 0"),
        ({"blocks": "blocks"}, "no parameter in 'blocks'"),
        ({"blocks": ""}, "no parameter in ''"),
        ({"stem": ("embed",)}, "no parameter in 'embed'"),
        ({"stem": ("inner.emb",)}, "no parameter in 'inner.emb'"),
        ({"undecayed": ("token",)}, "no parameter in 'token'"),
        ({"blocks": "inner.embed"}, "not a list of blocks"),
        ({"blocks": "inner.token"}, "not a list of blocks"),
    ],
)
def test_a_number_or_name_that_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    """In the published code a name that matches nothing gives every parameter the full rate, without a word."""
    with pytest.raises(ValueError, match=message):
        rates(Small(), **options)
