"""The released layout of ChAda-ViT: names and shapes of a published checkpoint, and the equations of the release."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import layer_norm, linear

from chiasm.encoders.image.chada import ChannelAdaptive
from chiasm.encoders.image.chada_released import ReleasedChAdaViT
from chiasm.readers.reading import Image

BLOCK = {
    "self_attn.in_proj_weight": (576, 192), "self_attn.in_proj_bias": (576,), "self_attn.out_proj.weight": (192, 192),
    "self_attn.out_proj.bias": (192,), "linear1.weight": (2048, 192), "linear1.bias": (2048,),
    "linear2.weight": (192, 2048), "linear2.bias": (192,), "norm1.weight": (192,), "norm1.bias": (192,),
    "norm2.weight": (192,), "norm2.bias": (192,),
}  # fmt: skip
PUBLISHED = {
    "cls_token": (1, 1, 192), "channel_token": (1, 10, 1, 192), "pos_embed": (1, 1, 197, 192),
    "token_learner.proj.weight": (192, 1, 16, 16), "token_learner.proj.bias": (192,), "norm.weight": (192,),
    "norm.bias": (192,), **{f"blocks.{k}.{name}": shape for k in range(12) for name, shape in BLOCK.items()},
}  # fmt: skip
"""Tensors of nicoboou/chadavit's `chada_vit(patch_size=16, embed_dim=192)`, read off its source."""


def test_every_tensor_of_the_published_network_has_its_name_and_shape() -> None:
    with torch.device("meta"):
        network = ReleasedChAdaViT(224, 16, 192, 12, 2, 10)
    assert {name: tuple(own.shape) for name, own in network.state_dict().items()} == PUBLISHED


def attention(read: Tensor, state: dict[str, Tensor], name: str, heads: int) -> Tensor:
    """Multi-head self-attention, written out: `softmax(Q K' / sqrt(E)) V`."""
    query, key, value = (
        part.unflatten(-1, (heads, -1)).transpose(0, 1)
        for part in linear(read, state[f"{name}.in_proj_weight"], state[f"{name}.in_proj_bias"]).chunk(3, -1)
    )
    share = torch.softmax(query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5, -1)
    joined = (share @ value).transpose(0, 1).flatten(1)
    return linear(joined, state[f"{name}.out_proj.weight"], state[f"{name}.out_proj.bias"])


def by_hand(state: dict[str, Tensor], planes: Tensor, heads: int, depth: int) -> Tensor:
    """One image of C channels `(C, H, W)` through the equations of the release: `(1 + C N, D)`."""

    def norm(values: Tensor, name: str, eps: float = 1e-5) -> Tensor:
        return layer_norm(values, values.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], eps)

    weight = state["token_learner.proj.weight"]
    maps = torch.conv2d(planes[:, None], weight, state["token_learner.proj.bias"], stride=weight.shape[-1])
    tokens = maps.flatten(2).transpose(1, 2) + state["pos_embed"][0, :, 1:] + state["channel_token"][0, : len(planes)]
    x = torch.cat([state["cls_token"][0] + state["pos_embed"][0, 0, :1], tokens.flatten(0, 1)])
    for k in range(depth):
        own = f"blocks.{k}"
        x = norm(x + attention(norm(x, f"{own}.norm1"), state, f"{own}.self_attn", heads), f"{own}.norm1")
        wide = torch.relu(linear(x, state[f"{own}.linear1.weight"], state[f"{own}.linear1.bias"]))
        x = norm(x + linear(wide, state[f"{own}.linear2.weight"], state[f"{own}.linear2.bias"]), f"{own}.norm2")
    return norm(x, "norm", 1e-6)


def network_of(seed: int = 0) -> ReleasedChAdaViT:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = ReleasedChAdaViT(16, 8, 12, 2, 3, 5).double().eval()
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize("padded", [0, 2])
def test_it_computes_what_the_release_does_whatever_is_padded(padded: int) -> None:
    network = network_of()
    images = torch.randn(1, 3 + padded, 16, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    kinds = torch.arange(3 + padded)[None] % 5
    with torch.no_grad():
        summary, places = network(images, kinds, torch.arange(3 + padded)[None] < 3)
        expected = by_hand(network.state_dict(), images[0, :3], heads=3, depth=2)
    torch.testing.assert_close(summary[0], expected[0])
    torch.testing.assert_close(places[0, :3].flatten(0, 1), expected[1:])


def test_a_file_of_that_layout_is_read_and_one_of_the_other_is_refused(tmp_path: Path) -> None:
    state = {name: own.float().contiguous() for name, own in network_of().state_dict().items()}
    save_file(state, tmp_path / "released.safetensors")
    sizes = {"size": 16, "patch": 8, "dim": 12, "depth": 2, "heads": 3, "most": 5}
    image = Image(np.random.default_rng(0).normal(size=(3, 16, 16)).astype(np.float32), ("A", "B", "C"))
    weights = str(tmp_path / "released.safetensors")
    encoder = ChannelAdaptive(weights, layout="released", **sizes)  # type: ignore[arg-type]
    found = encoder.encode([image])
    assert found.values.shape == (1, 4, 12) and "layout=released" in encoder.identity
    with pytest.raises(ValueError, match="the weights are of another network"):
        ChannelAdaptive(weights, **sizes).encode([image])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="layout='paper' is not known: choose one of ours, released"):
        ChannelAdaptive(layout="paper")
    assert "layout" not in ChannelAdaptive().identity
