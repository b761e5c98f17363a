"""timm and open_clip: what is made of their networks, by stand-ins, and what is said where they do not import."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.open_clip import OpenClip
from chiasm.encoders.image.timm import TimmModel
from chiasm.readers.reading import Image
from chiasm.testing.laws import globals_unchanged

RNG = np.random.default_rng(0)
RAW = [Image(RNG.integers(0, 256, (c, 20, 30)).astype(np.float32), tuple("rgb"[:c])) for c in (3, 1)]


class Network(nn.Module):
    """A stand-in for a transformer with a class token, or for a convolutional network."""

    num_features = 6

    def __init__(self, flat: bool) -> None:
        super().__init__()
        self.flat = flat
        self.cut = nn.Conv2d(3, 6, 8, stride=8)
        self.num_prefix_tokens = 1 if flat else 0
        self.pretrained_cfg = {"input_size": (3, 16, 32), "mean": (0.5,) * 3, "std": (0.5,) * 3}

    def forward_features(self, values: torch.Tensor) -> torch.Tensor:
        grid = self.cut(values)
        places = grid.flatten(2).transpose(1, 2)
        return torch.cat([places[:, :1] * 0, places], 1) if self.flat else grid


class Towers(nn.Module):
    """A stand-in for open_clip's model."""

    def __init__(self) -> None:
        super().__init__()
        self.visual = nn.Conv2d(3, 5, 16)
        self.visual.image_size, self.visual.image_mean, self.visual.image_std = 16, (0.5,) * 3, (0.2,) * 3

    def encode_image(self, values: torch.Tensor, normalize: bool) -> torch.Tensor:
        return nn.functional.normalize(self.visual(values).flatten(1))


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with weights of each; the packages are replaced."""
    timm, clip = ModuleType("timm"), ModuleType("open_clip")
    timm.is_model = lambda name: name in ("flat", "grid")  # type: ignore[attr-defined]
    timm.create_model = lambda name, pretrained, num_classes: Network(name == "flat")  # type: ignore[attr-defined]
    clip.list_models = lambda: ["ViT"]  # type: ignore[attr-defined]
    clip.create_model = lambda name, pretrained: Towers()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "timm", timm)
    monkeypatch.setitem(sys.modules, "open_clip", clip)
    save_file({**Network(True).state_dict(), "head.weight": torch.zeros(2)}, tmp_path / "timm.safetensors")
    save_file(Towers().state_dict(), tmp_path / "clip.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("spec", "width", "slots"),
    [
        ("timm:flat,weights={}/timm.safetensors", 6, 2),
        ("timm:flat,level=token,weights={}/timm.safetensors", 6, 9),
        ("timm:grid,weights={}/timm.safetensors", 6, 1),
        ("timm:grid,weights={}/timm.safetensors,level=token", 6, 8),
        ("open-clip:ViT,weights={}/clip.safetensors", 5, 1),
    ],
)
def test_the_laws(stand_ins: Path, spec: str, width: int, slots: int) -> None:
    encoder = make_encoder(spec.format(stand_ins), "image")
    with globals_unchanged("encode"):
        tokens = encoder.encode(RAW)
    assert tokens.values.shape == (2, slots, width) and (encoder.width, encoder.slots) == (width, slots)
    assert bool(tokens.mask.all()) and tokens.values.dtype == torch.float32
    for row, image in enumerate(RAW):
        assert torch.equal(encoder.encode([image]).values[0], tokens.values[row])
    assert str(stand_ins) not in encoder.identity and encoder.fit(RAW) is encoder


def test_weights_and_names_are_checked(stand_ins: Path) -> None:
    other = OpenClip("ViT", str(stand_ins / "timm.safetensors"))
    with pytest.raises(ValueError, match="another network"):
        other.encode(RAW)
    made: tuple[Any, ...] = (
        TimmModel("hf-hub:a/b", str(stand_ins / "timm.safetensors")),
        TimmModel("none", str(stand_ins / "timm.safetensors")),
        OpenClip("hf-hub:a/b", str(stand_ins / "clip.safetensors")),
        TimmModel("flat"),
        OpenClip("ViT"),
    )
    for encoder in made:
        with pytest.raises(Unsupported, match=r"no network|no model|no safetensors|several"):
            encoder.encode(RAW)


@pytest.mark.parametrize("package", ["timm", "open_clip"])
def test_where_the_package_does_not_import_transformers_is_named(tmp_path: Path, package: str) -> None:
    try:
        importlib.import_module(package)
    except Exception:
        file = tmp_path / "model.safetensors"
        save_file({"a": torch.zeros(1)}, file)
        encoder = TimmModel("vit", str(file)) if package == "timm" else OpenClip("ViT", str(file))
        with pytest.raises(Unsupported, match=r"does not import here.*hf:folder"):
            encoder.encode(RAW)
    else:
        pytest.skip("it imports here")
