"""Encoders whose network can be adapted: what they encode is what their trunk makes of their inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Inputs, InputsAsTheyAre, is_adaptable
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.choice import choose
from chiasm.encoders.signal.rocket import STANDARD_LEADS
from chiasm.readers.reading import Image, Signal, Volume
from chiasm.testing import check_encoder
from chiasm.tokens import Tokens
from monai_alone import import_monai
from tiny_models import tiny_models

pytest.importorskip("transformers")
RNG = np.random.default_rng(0)
LONG = "No fever. " * 40
NOTES = ["Fever and cough.", "no fever", "a", LONG, "The scan shows a mass. It is new.", "cough and fever"]
IMAGES = [
    Image(RNG.integers(0, 256, (3, 20 + 4 * k, 30)).astype(np.float32), ("red", "green", "blue")) for k in range(6)
]
CHANNELS = [Image(RNG.random((1 + k % 3, 20, 20)).astype(np.float32), tuple("abc"[: 1 + k % 3])) for k in range(6)]
VOLUMES = [Volume(RNG.random((1, 8, 9, 10)).astype(np.float32), ("t1",), (1.0, 1.0, 1.0), "") for _ in range(6)]
ECGS = [
    Signal(RNG.normal(size=(12, 250 + 300 * k)).astype(np.float32), STANDARD_LEADS, 100.0 + 50 * k) for k in range(6)
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tiny models."""
    return tiny_models(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(("spec", "kind"), [("minilm:chunks=2,pieces=16", "text"), ("net1d:random=true", "ecg")])
def test_released_networks_are_adaptable(spec: str, kind: str) -> None:
    assert is_adaptable(make_encoder(spec, kind))


@pytest.mark.parametrize(
    ("spec", "kind", "raw"),
    [
        pytest.param("minilm:chunks=2,pieces=16", "text", NOTES, marks=pytest.mark.nightly),  # test_sentences.py
        ("hf:{models}/bert,most=3", "text", NOTES),
        ("hf:{models}/bert,level=token,most=8", "text", NOTES),
        ("hf:{models}/esm", "protein", ["MKT", "LAGVSERTIDPKQNFYMHWC" * 10, "AAAA", "MKTL", "VV", "MMM"]),
        ("hf:{models}/vit", "image", IMAGES),
        pytest.param("hf:{models}/vit,level=token,size=40", "image", IMAGES, marks=pytest.mark.nightly),
        ("hf:{models}/resnet", "image", IMAGES),
        pytest.param("net1d:random=true,size=small", "ecg", ECGS, marks=pytest.mark.nightly),  # test_net1d.py
        pytest.param(
            "monai:random=true,network=DenseNet121,dims=2,size=32,channels=3",
            "image",
            IMAGES,
            marks=pytest.mark.nightly,
        ),
        pytest.param(  # test_monai.py
            "monai:random=true,dims=2,size=32,channels=3", "image", IMAGES, marks=pytest.mark.nightly
        ),
        ("chada:size=16,dim=12,depth=1", "image", CHANNELS),
        pytest.param("chada:size=16,dim=12,depth=1,pool=cls", "image", CHANNELS, marks=pytest.mark.nightly),
        pytest.param("chada:size=16,dim=12,depth=1,layout=released", "image", CHANNELS, marks=pytest.mark.nightly),
        pytest.param("slices:count=3,encoder=hf:{models}/vit", "volume", VOLUMES, marks=pytest.mark.nightly),
    ],
)
def test_the_laws_of_adaptable_encoders(models: Path, spec: str, kind: str, raw: list[Any]) -> None:
    spec = spec.format(models=models)
    if "monai" in spec:
        import_monai()
    assert is_adaptable(make_encoder(spec, kind))
    if raw is VOLUMES and "hf:" in spec:
        raw = [Volume(np.round(255 * v.values), v.channels, v.spacing, v.unit) for v in raw]
    check_encoder(make_encoder(spec, kind), raw)


@pytest.mark.parametrize(("spec", "kind"), [("patches", "image"), ("slices", "volume"), ("kmers", "protein")])
def test_encoders_without_a_network_are_not_adaptable(spec: str, kind: str) -> None:
    assert not is_adaptable(make_encoder(spec, kind))


def test_no_input_is_an_error_and_no_nan(models: Path) -> None:
    trunk = make_encoder(f"hf:{models}/bert", "text").trunk()
    with pytest.raises(ValueError, match="no input"):
        trunk(Tokens(torch.zeros(2, 1, 20), torch.zeros(2, 1) > 0))


def test_inputs_have_an_identity_of_their_own_and_other_weights_are_refused(models: Path) -> None:
    chosen = choose("text", f"hf:{models}/bert")
    assert Inputs(chosen.encoder).identity != chosen.encoder.identity
    known = InputsAsTheyAre(chosen.spec, "text", chosen.identity, 40, chosen.encoder.width)
    assert known.token_width == 16 and known.trunk() is not known.trunk()
    with pytest.raises(Unsupported, match="not those of the fit"):
        InputsAsTheyAre(chosen.spec, "text", "another", 40, 16).trunk()
