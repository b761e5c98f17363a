"""Slices of a volume: which ones, in which units, through which image encoder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.chada import ChannelAdaptive
from chiasm.encoders.image.monai import MonaiNetwork
from chiasm.encoders.image.open_clip import OpenClip
from chiasm.encoders.image.patches import ImagePatches, VolumePatches
from chiasm.encoders.image.slices import Slices
from chiasm.encoders.image.tiles import Tiles, TileStatistics
from chiasm.encoders.image.timm import TimmModel
from chiasm.encoders.image.within import pooled
from chiasm.encoders.text.huggingface import HuggingFace
from chiasm.encoders.text.sentences import MiniLM, SentenceFolder
from chiasm.readers.reading import Image, Volume
from chiasm.testing.laws import globals_unchanged
from chiasm.tokens import Tokens
from examples import examples

RNG = np.random.default_rng(0)


def volume(*shape: int, unit: str = "", channels: int = 1) -> Volume:
    values = RNG.normal(0, 700, (channels, *shape)).astype(np.float32)
    return Volume(values, tuple("abc"[:channels]), (3.0, 1.0, 0.5), unit)


def test_the_laws() -> None:
    raw = [volume(30, 20, 25), volume(3, 40, 9, unit="HU"), volume(16, 16, 16, channels=2)]
    for encoder in (Slices(), Slices(count=5, axis=2, scale="volume"), Slices("chada:depth=1,dim=24,heads=2", 4)):
        with globals_unchanged("encode"):
            tokens = encoder.encode(raw)
        assert tokens.values.shape == (3, encoder.slots, encoder.width) and tokens.values.dtype == torch.float32
        assert bool(tokens.mask.all()) and bool(torch.isfinite(tokens.values).all())
        for row, item in enumerate(raw):
            assert torch.equal(encoder.encode([item]).values[0], tokens.values[row])
        assert encoder.fit(raw) is encoder


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_token_is_what_the_image_encoder_makes_of_the_slice(axis: int) -> None:
    scan = volume(6, 6, 6)
    tokens = Slices("patches:size=8,patch=4", 6, axis).encode([scan]).values[0]
    plane = Image(np.ascontiguousarray(np.take(scan.values, 4, 1 + axis)), ("a",))
    assert torch.allclose(tokens[4], ImagePatches(8, 4).encode([plane]).values[0].mean(0), atol=1e-3)


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(1, 60), st.integers(1, 40))
def test_slices_are_spread_evenly_over_the_axis(slices: int, count: int) -> None:
    ramp = np.broadcast_to(np.arange(slices, dtype=np.float32)[None, :, None, None], (1, slices, 2, 2))
    found = Slices("patches:size=1,patch=1", count).encode([Volume(ramp, ("",), (1, 1, 1))]).values[0, :, 0].numpy()
    wanted = (np.arange(count) + 0.5) / count * slices - 0.5
    assert np.abs(found - wanted).max() <= 0.5 + 1e-4 and (np.diff(found) >= 0).all()


def test_units_become_what_image_networks_take_for_black_and_white() -> None:
    def span(encoder: Slices, unit: str) -> tuple[float, float]:
        found = encoder.encode([volume(8, 8, 8, unit=unit)]).values
        return round(float(found.min()), 3), round(float(found.max()), 3)

    whole = "patches:size=8,patch=8"
    assert span(Slices(whole, 8, low=-100, high=100), "HU") == (0, 255)
    assert span(Slices(whole, 8, scale="volume"), "") == (0, 255)
    assert span(Slices(whole, 8), "")[0] < -100
    flat = Volume(np.ones((1, 4, 4, 4), np.float32), ("",), (1, 1, 1))
    assert bool((Slices(scale="volume").encode([flat]).values == 0).all())


def test_the_image_encoder_stands_last_with_its_own_options() -> None:
    made = make_encoder("slices:count=3,axis=1,encoder=patches:size=8,patch=4", "volume")
    assert made == Slices("patches:size=8,patch=4", 3, 1) and made.width == 16
    assert make_encoder("slices", "dicom") == Slices() and make_encoder("slices:count=2", "dicom") == Slices(count=2)
    with pytest.raises(Unsupported, match="no encoder 'nothing'"):
        make_encoder("slices:encoder=nothing", "volume")
    with pytest.raises(Unsupported, match="not modalities of kind 'image'"):
        make_encoder("slices:encoder=minilm", "volume")
    for wrong in ("count=0", "axis=3", "scale=own", "colour=1", "low=2000", "count=2;encoder=patches"):
        with pytest.raises(ValueError, match=r"count is|no option|stands last"):
            make_encoder(f"slices:{wrong}", "volume")


def test_every_frozen_encoder_of_this_family_is_stored_and_read_back(tmp_path: Path) -> None:
    made: list[Any] = [
        Slices(count=3),
        Tiles(),
        TileStatistics(9),
        ImagePatches(28),
        VolumePatches(),
        ChannelAdaptive(seed=3),
    ]
    made += [MiniLM(8), SentenceFolder("a folder"), HuggingFace("a folder", "0" * 40), MonaiNetwork(random=True)]
    made += [ChannelAdaptive(seed=3), TimmModel("vit"), OpenClip("ViT")]
    for index, encoder in enumerate(made):
        artifact.save(tmp_path / str(index), encoder)
        assert artifact.load(tmp_path / str(index)) == encoder


def test_the_identity_is_of_both_encoders() -> None:
    made = [Slices(), Slices(count=3), Slices("patches:size=8,patch=8"), Slices(axis=1)]
    assert len({encoder.identity for encoder in made}) == 4
    assert Slices("patches:size=16,patch=16,channels=1").identity == Slices().identity


def test_pooling_reads_real_tokens_only() -> None:
    tokens = Tokens(torch.tensor([[[1.0], [3.0], [1e9]]]), torch.tensor([[True, True, False]]))
    assert pooled(tokens).tolist() == [[2.0]]


def test_slices_alike_to_the_bit_go_through_the_network_once(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.zeros((1, 8, 6, 6), np.float32)
    values[0, 2:5] = np.random.default_rng(0).normal(size=(3, 6, 6))
    scan, seen = Volume(values, ("",), (1, 1, 1)), []
    own = ImagePatches.encode
    monkeypatch.setattr(ImagePatches, "encode", lambda self, raw: seen.append(len(raw)) or own(self, raw))
    tokens = Slices("patches:size=6,patch=6", 16).encode([scan]).values[0].numpy()  # each slice stands for two
    assert seen == [4] and tokens.shape == (16, 36)
    np.testing.assert_allclose(tokens.reshape(8, 2, 6, 6), np.repeat(values[0, :, None], 2, 1), atol=1e-6)
