"""MONAI's networks: the feature map as tokens, weights from safetensors only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image import monai
from chiasm.encoders.image.monai import MonaiNetwork
from chiasm.readers.reading import Image, Volume
from chiasm.testing.laws import globals_unchanged
from monai_alone import import_monai

RNG = np.random.default_rng(0)


def volume(*shape: int) -> Volume:
    return Volume(RNG.normal(0, 500, (1, *shape)).astype(np.float32), ("ct",), (1, 1, 1), "HU")


def image(channels: int) -> Image:
    return Image(RNG.uniform(0, 255, (channels, 40, 50)).astype(np.float32), tuple("rgb"[:channels]))


@pytest.mark.slow
def test_the_laws_and_weights_of_a_file(tmp_path: Path) -> None:
    import_monai()
    raw = [volume(20, 30, 30), volume(32, 32, 32)]
    random = MonaiNetwork(random=True, size=32)
    assert_laws(random, raw)
    state = {f"module.{name}": value for name, value in monai._network(random, "")[0].state_dict().items()}
    save_file({**state, "module.fc.weight": torch.zeros(2, 512)}, tmp_path / "john-doe.safetensors")
    brought = make_encoder(f"monai:weights={tmp_path}/john-doe.safetensors,size=32", "volume")
    assert torch.equal(brought.encode(raw).values, random.encode(raw).values)
    assert brought.identity != random.identity != MonaiNetwork(random=True, size=32, seed=1).identity
    assert "john" not in brought.identity
    with pytest.raises(ValueError, match="another network") as caught:
        MonaiNetwork("DenseNet121", str(tmp_path), size=32).encode(raw)
    assert str(tmp_path) not in str(caught.value)
    with pytest.raises(ValueError, match="dims=2"):
        random.encode([image(1)])


@pytest.mark.slow
@pytest.mark.nightly
def test_the_laws_of_networks_for_pictures() -> None:
    import_monai()
    pictures = [image(3), image(1)]
    for network, size in (("DenseNet121", 64), ("ResNet50", 32)):
        assert_laws(MonaiNetwork(network, random=True, dims=2, size=size, channels=3), pictures)
    assert_laws(MonaiNetwork("ViT", random=True, dims=2, size=32, channels=3), pictures)


def assert_laws(encoder: MonaiNetwork, raw: list[Volume] | list[Image]) -> None:
    with globals_unchanged("encode"):
        tokens = encoder.encode(raw)
    assert tokens.values.shape == (len(raw), encoder.slots, encoder.width) and tokens.values.dtype == torch.float32
    assert bool(tokens.mask.all()) and bool(torch.isfinite(tokens.values).all()) and float(tokens.values.std()) > 1e-4
    for row, value in enumerate(raw):
        assert torch.equal(encoder.encode([value]).values[0], tokens.values[row])


def test_a_network_without_weights_is_refused(tmp_path: Path) -> None:
    for spec in ("monai", "monai:network=ViT,random=false"):
        with pytest.raises(Unsupported, match=r"weights=file\.safetensors"):
            make_encoder(spec, "volume")
    (tmp_path / "net.pt").write_bytes(b"\x80\x02}q\x00.")
    for weights in (tmp_path, tmp_path / "net.pt"):
        with pytest.raises(Unsupported, match="pickled"):
            MonaiNetwork(weights=str(weights)).identity  # noqa: B018
    with pytest.raises(Unsupported, match="no safetensors"):
        MonaiNetwork(weights=str(tmp_path / "nowhere.safetensors")).identity  # noqa: B018


def test_the_identity_is_of_the_weights_wherever_they_lie(tmp_path: Path) -> None:
    for name, value in (("a", 0.0), ("b", 1.0)):
        (tmp_path / name).mkdir()
        save_file({"conv1.weight": torch.tensor(value)}, tmp_path / name / "model.safetensors")
    save_file({"conv1.weight": torch.tensor(0.0)}, tmp_path / "model.safetensors")
    found = [MonaiNetwork(weights=str(tmp_path / name)).identity for name in ("a", "b", "model.safetensors")]
    assert found[0] == found[2] != found[1] and str(tmp_path) not in found[0]


def test_options_are_checked() -> None:
    for wrong in ({"network": "UNet"}, {"size": 40}, {"dims": 4}, {"channels": 0}, {"low": 2000.0}):
        with pytest.raises(ValueError, match=r"network is|dims is"):
            MonaiNetwork(random=True, **wrong)
    assert MonaiNetwork(random=True).slots == 64 and MonaiNetwork("ViT", random=True).width == 768


def test_the_kind_of_shortcut_is_read_from_the_weights() -> None:
    weight = torch.zeros(1)
    assert monai._shortcut({"layer1.0.conv1.weight": weight}) == {"shortcut_type": "A"}
    assert monai._shortcut({"layer2.0.downsample.0.weight": weight}) == {"bias_downsample": False}
    assert monai._shortcut({"layer2.0.downsample.0.bias": weight}) == {"bias_downsample": True}
