"""Patches of images and volumes: what stands in which token, how sizes and channels are made equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.patches import ImagePatches, VolumePatches
from chiasm.encoders.image.pixels import in_unit_range, resized, standardised, with_channels
from chiasm.readers.reading import Image, Volume
from chiasm.testing.laws import globals_unchanged
from examples import examples

RNG = np.random.default_rng(0)


def image(height: int, width: int, channels: int = 1, high: float = 255.0) -> Image:
    values = RNG.uniform(0, high, (channels, height, width)).astype(np.float32)
    return Image(values, tuple(f"c{k}" for k in range(channels)))


def volume(*shape: int, channels: int = 1, unit: str = "", spacing: tuple[float, float, float] = (1, 1, 1)) -> Volume:
    values = RNG.uniform(-3000, 3000, (channels, *shape)).astype(np.float32)
    return Volume(values, tuple(f"c{k}" for k in range(channels)), spacing, unit)


def assert_laws(encoder: Any, raw: list[Any]) -> None:
    """Width and slots as promised, finite, one patient at a time, the same twice, nothing global or given changed."""
    before = [np.array(item.values) for item in raw]
    with globals_unchanged("encode"):
        tokens = encoder.encode(raw)
    assert tokens.values.shape[::2] == (len(raw), encoder.width) and tokens.values.dtype == torch.float32
    assert not encoder.slots or tokens.values.shape[1] == encoder.slots
    assert bool(tokens.mask.any(1).all()) and bool(torch.isfinite(tokens.values[tokens.mask]).all())
    for row, item in enumerate(raw):
        own = encoder.encode([item])
        assert torch.equal(own.values[0][own.mask[0]], tokens.values[row][tokens.mask[row]])
        assert np.array_equal(item.values, before[row])
    assert encoder.fit(raw) is encoder


def test_tokens_of_images_hold_the_laws() -> None:
    raw = [image(28, 28), image(100, 61, 3), image(7, 300, 4), image(56, 56, 2)]
    for encoder in (ImagePatches(), ImagePatches(28, 14, resize="pad", normalise="own"), ImagePatches(32, 32)):
        assert_laws(encoder, raw)
    assert_laws(ImagePatches(16, 4, channels=3), raw[:3])


def test_tokens_of_volumes_hold_the_laws() -> None:
    raw = [volume(32, 32, 32), volume(5, 60, 41, unit="HU"), volume(40, 9, 9, channels=2, spacing=(1, 3, 0.5))]
    for encoder in (VolumePatches(), VolumePatches(16, 4, resize="pad", normalise="own")):
        assert_laws(encoder, raw)


def test_a_token_is_a_place_and_holds_its_pixels_channel_by_channel() -> None:
    picture = image(8, 8, 2)
    tokens = ImagePatches(8, 4, channels=2).encode([picture]).values[0].numpy()
    assert np.array_equal(tokens[1], picture.values[:, :4, 4:].reshape(-1))
    assert np.array_equal(tokens[2], picture.values[:, 4:, :4].reshape(-1))
    scan = volume(4, 4, 4)
    cubes = VolumePatches(4, 2).encode([scan]).values[0].numpy()
    assert np.array_equal(cubes[4], scan.values[0, 2:, :2, :2].reshape(-1))
    assert np.array_equal(cubes[1], scan.values[0, :2, :2, 2:].reshape(-1))


def test_shrinking_averages_and_a_constant_stays() -> None:
    board = np.indices((64, 64)).sum(0) % 2 * 200.0
    small = ImagePatches(8, 8).encode([Image(board[None].astype(np.float32), ("grey",))]).values
    assert float(small.std()) < 2 and abs(float(small.mean()) - 100) < 1
    flat = Volume(np.full((1, 50, 50, 50), 7, np.float32), ("",), (1, 1, 1))
    assert torch.allclose(VolumePatches().encode([flat]).values, torch.tensor(7.0), atol=1e-4)


@settings(max_examples=examples(40), deadline=None)
@given(st.tuples(*[st.integers(1, 40)] * 3), st.sampled_from([1, 2, 4, 9]), st.integers(0, 2))
def test_a_ramp_stays_a_ramp_along_its_axis_only(lengths: tuple[int, int, int], size: int, axis: int) -> None:
    ramp = torch.arange(float(lengths[axis])).reshape([1] + [-1 if k == axis else 1 for k in range(3)])
    found = resized(ramp.expand(1, *lengths), size)
    assert found.shape == (1, size, size, size)
    line = ramp.reshape(1, 1, 1, -1)
    line = functional.interpolate(line.expand(1, 1, 2, -1), [2, size], mode="bilinear", antialias=True)[0, 0, 0]
    assert torch.allclose(found.movedim(axis + 1, 3), line.expand_as(found), atol=1e-3)


@settings(max_examples=examples(20), deadline=None)
@given(st.integers(1, 40), st.integers(1, 3), st.sampled_from([1, 2, 4, 9]))
def test_one_pixel_wide_is_resized_too(height: int, width: int, size: int) -> None:
    ramp = torch.arange(float(height))[None, :, None]
    line = functional.interpolate(ramp[None].expand(1, 1, -1, 2), [size, 2], mode="bilinear", antialias=True)[
        0, :, :, :1
    ]
    assert torch.allclose(resized(ramp.expand(1, -1, width), (size, 1)), line, atol=1e-3)
    assert torch.allclose(resized(ramp[..., None].expand(1, -1, width, 1), size)[0, :, 0, 0], line[0, :, 0], atol=1e-3)


def test_pad_keeps_shapes_true_by_the_spacing() -> None:
    thick = torch.full((1, 4, 16, 16), 5.0)
    thick[0, 0, 0, 0] = 1.0
    found = resized(thick, 16, "pad", (2.0, 1.0, 1.0))[0]
    assert float(found[:4].max()) == float(found[12:].max()) == float(found.min()) < 5 == float(found[8].max())
    assert torch.allclose(resized(torch.full((1, 10, 40), 3.0), 8, "pad"), torch.tensor(3.0))


def test_channels_become_what_was_asked_for() -> None:
    colour = image(2, 2, 3).values
    grey = with_channels(colour, 1)[0]
    assert torch.allclose(grey, torch.tensor(0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]), atol=1e-3)
    assert torch.allclose(with_channels(colour, 1, colour=False)[0], torch.from_numpy(colour.mean(0)), atol=1e-3)
    opaque = np.concatenate([colour, np.full((1, 2, 2), 255, np.float32)])
    assert torch.equal(with_channels(opaque, 1)[0], grey)
    assert torch.equal(with_channels(colour[:1], 3), torch.from_numpy(colour[:1]).expand(3, 2, 2))
    with pytest.raises(ValueError, match="has 5 channels, not 3 and not one"):
        with_channels(np.zeros((5, 2, 2), np.float32), 3)
    with pytest.raises(ValueError, match="not finite"):
        with_channels(np.full((1, 2, 2), np.nan, np.float32), 1)


def test_hounsfield_units_are_clipped_and_other_units_are_not() -> None:
    scan = volume(8, 8, 8, unit="HU")
    plain = Volume(scan.values, scan.channels, scan.spacing)
    encoder = VolumePatches(8, 8, low=-100, high=200)
    clipped, free = encoder.encode([scan]).values, encoder.encode([plain]).values
    assert (float(clipped.min()), float(clipped.max())) == (-100, 200) and float(free.max()) > 200


def test_own_units_and_the_range_of_pretrained_networks() -> None:
    values = torch.tensor([[[1.0, 3.0]]])
    assert torch.allclose(standardised(values), torch.tensor([[[-1.0, 1.0]]]))
    assert torch.equal(standardised(torch.full((1, 2, 2), 9.0)), torch.zeros(1, 2, 2))
    assert torch.equal(in_unit_range(values, 3.0), values / 3)
    for wrong, said in ((values * 100, "high="), (-values, "high="), (values / 4, "fractions")):
        with pytest.raises(ValueError, match=said):
            in_unit_range(wrong, 255.0)


def test_the_identity_names_every_option() -> None:
    made = [
        ImagePatches(),
        ImagePatches(64, 8),
        ImagePatches(normalise="own"),
        make_encoder("patches:size=28", "image"),
    ]
    assert len({encoder.identity for encoder in made}) == 4 and made[3] == ImagePatches(28)
    assert VolumePatches().identity != VolumePatches(low=-500).identity


@pytest.mark.parametrize(
    "wrong", [{"size": 30}, {"patch": 0}, {"channels": 0}, {"resize": "crop"}, {"normalise": "range"}]
)
def test_options_that_describe_no_grid_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"multiple|resize is"):
        ImagePatches(**wrong)
    with pytest.raises(ValueError, match="empty"):
        VolumePatches(low=5, high=5)
