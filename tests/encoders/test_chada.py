"""ChAda-ViT: absent channels are not channels of zeros, and their order means what it is told to mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.chada import ChannelAdaptive, ChannelAdaptiveViT
from chiasm.encoders.weights import frozen, seeded
from chiasm.readers.reading import Image
from chiasm.testing.laws import globals_unchanged
from examples import examples

SMALL = {"size": 16, "patch": 8, "dim": 24, "depth": 2, "heads": 2}
RNG = np.random.default_rng(0)


def image(channels: int, names: str = "ABCDEFGHIJKL", size: int = 20) -> Image:
    return Image(RNG.normal(100, 30, (channels, size, size + 3)).astype(np.float32), tuple(names[:channels]))


@pytest.fixture(scope="module")
def network() -> Any:
    with seeded(1):
        made = ChannelAdaptiveViT(16, 8, 24, 2, 2, 10)
        torch.nn.init.normal_(made.channels)
    return frozen(made)


def run(network: Any, images: torch.Tensor, kinds: torch.Tensor, present: torch.Tensor) -> tuple[Any, Any]:
    with torch.no_grad():
        summary, places = network(images, kinds, present)
    return summary, places


@settings(max_examples=examples(15), deadline=None)
@given(st.integers(1, 4), st.integers(0, 6), st.sampled_from([0.0, 1e4]), st.integers(0, 99))
def test_padding_with_absent_channels_changes_nothing(
    network: Any, channels: int, more: int, filling: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, channels, 16, 16, generator=generator)
    kinds = torch.arange(channels).expand(2, -1)
    plain = run(network, images, kinds, torch.ones(2, channels, dtype=torch.bool))
    padded = torch.cat([images, torch.full((2, more, 16, 16), filling)], 1)
    present = torch.arange(channels + more).expand(2, -1) < channels
    found = run(network, padded, torch.arange(channels + more).expand(2, -1), present)
    assert torch.allclose(found[0], plain[0], atol=1e-6, rtol=1e-6)
    assert torch.allclose(found[1][:, :channels], plain[1], atol=1e-6, rtol=1e-6)


@settings(max_examples=examples(15), deadline=None)
@given(st.permutations(range(4)), st.integers(0, 99))
def test_channels_with_their_vectors_have_no_order(network: Any, order: list[int], seed: int) -> None:
    images = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))
    kinds, present = torch.tensor([[3, 1, 7, 2]]), torch.ones(1, 4, dtype=torch.bool)
    summary, places = run(network, images, kinds, present)
    turned = run(network, images[:, order], kinds[:, order], present)
    assert torch.allclose(turned[0], summary, atol=1e-5) and torch.allclose(turned[1], places[:, order], atol=1e-5)
    if order != sorted(order):
        assert not torch.allclose(run(network, images[:, order], kinds, present)[0], summary, atol=1e-4)


def test_dropping_a_channel_is_not_zeroing_it(network: Any) -> None:
    images = torch.randn(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    images[:, 2] = 0
    kinds, present = torch.arange(3)[None], torch.tensor([[True, True, False]])
    dropped = run(network, images, kinds, present)[0]
    zeroed = run(network, images, kinds, torch.ones_like(present))[0]
    assert float((dropped - zeroed).abs().max()) > 1e-2


@pytest.mark.parametrize("pool", ["channels", "cls"])
def test_images_of_any_number_of_channels(pool: str) -> None:
    encoder, raw = ChannelAdaptive(pool=pool, **SMALL), [image(1), image(5), image(3, size=7)]
    with globals_unchanged("encode"):
        tokens = encoder.encode(raw)
    assert tokens.mask.sum(1).tolist() == ([1, 1, 1] if pool == "cls" else [2, 6, 4])
    assert tokens.values.shape[2] == encoder.width and encoder.slots == (1 if pool == "cls" else 0)
    for row, value in enumerate(raw):
        assert torch.equal(encoder.encode([value]).values[0], tokens.values[row][tokens.mask[row]])
    assert bool(torch.isfinite(tokens.values).all()) and encoder.fit(raw) is encoder


def test_the_brightness_of_a_channel_is_its_own() -> None:
    plain = image(2)
    brighter = Image(plain.values * np.float32([7, 0.5])[:, None, None] + 3, plain.channels)
    encoder = ChannelAdaptive(**SMALL)
    assert torch.allclose(encoder.encode([plain]).values, encoder.encode([brighter]).values, atol=1e-4)


def test_named_channels_may_come_in_any_order() -> None:
    encoder, plain = ChannelAdaptive(channels="C+A+B", pool="cls", **SMALL), image(3)
    turned = Image(plain.values[::-1].copy(), plain.channels[::-1])
    assert torch.allclose(encoder.encode([plain]).values, encoder.encode([turned]).values, atol=1e-5)
    other = ChannelAdaptive(channels="A+B+C", pool="cls", **SMALL)
    assert not torch.allclose(encoder.encode([plain]).values, other.encode([plain]).values, atol=1e-5)
    unnamed = ChannelAdaptive(pool="cls", **SMALL)
    assert not torch.allclose(unnamed.encode([plain]).values, unnamed.encode([turned]).values, atol=1e-5)
    with pytest.raises(ValueError, match="does not name"):
        encoder.encode([image(2, "XY")])
    with pytest.raises(ValueError, match="most=10"):
        unnamed.encode([image(11)])


def test_weights_of_a_file_are_used_and_named_by_their_hash(tmp_path: Path, network: Any) -> None:
    save_file(network.state_dict(), tmp_path / "john-doe.safetensors")
    brought, initial = ChannelAdaptive(weights=str(tmp_path), **SMALL), ChannelAdaptive(**SMALL)
    same = ChannelAdaptive(weights=str(tmp_path / "john-doe.safetensors"), **SMALL)
    assert brought.identity == same.identity != initial.identity and "john" not in same.identity
    assert ChannelAdaptive(seed=1, **SMALL).identity != initial.identity
    one = image(2)
    assert torch.equal(brought.encode([one]).values, same.encode([one]).values)
    assert not torch.allclose(brought.encode([one]).values, initial.encode([one]).values, atol=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.pth", b"\x80\x02}q\x00.", "pickled weights"),
        ("model.bin", b"\x80\x02}q\x00.", "pickled weights"),
        ("model.safetensors", b"\0" * 50, "truncated"),
        ("model.safetensors", b"", "truncated"),
        ("model.safetensors", b"\xff" * 8 + b"{}", "truncated"),
        ("model.txt", b"weights", "no safetensors file"),
        ("model.safetensors", None, "another network"),
    ],
)
def test_other_weights_are_refused(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    file = tmp_path / name
    if content is None:
        save_file({"norm.weight": torch.zeros(24)}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=re.compile(said)) as caught:
        ChannelAdaptive(weights=str(file), **SMALL).encode([image(1)])
    assert str(tmp_path) not in str(caught.value)


def test_options_are_checked() -> None:
    assert make_encoder("chada:depth=2,channels=DAPI+GFP", "image") == ChannelAdaptive(depth=2, channels="DAPI+GFP")
    for wrong in ({"size": 10}, {"dim": 100}, {"pool": "max"}, {"most": 1, "channels": "A+B"}):
        with pytest.raises(ValueError, match="multiple of"):
            ChannelAdaptive(**wrong)
