"""Sources of some channels of several: what they lack is absent, from the file to the standard and the states."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_rasters import waves, write_images

import chiasm
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.raster.reading import RasterReading
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.joined_items import JoinedItems, joined
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.stage import packed_rasters, pretrained_on_rasters, standard_of
from chiasm.readers.reading import Image, ReadError, Volume
from chiasm.testing import check_encoder

NETWORK = "channels:width=8,depth=1,heads=2,patch=4"


def test_a_source_of_some_channels_has_them_in_their_places_and_the_others_are_zeros() -> None:
    values = waves(1, 2, 8, 2)[0]
    found = RasterReading("image", 4, 8, first=1).raster(Image(values, ("a", "b")))
    assert np.array_equal(found[1:3], values) and not found[[0, 3]].any()
    volume = RasterReading("volume", 2, 8, first=1).raster(Volume(waves(1, 1, 8, 3)[0], ("one",), (1.0, 1.0, 1.0)))
    assert volume.shape == (2, 8, 8, 8) and volume[1].any() and not volume[0].any()
    with pytest.raises(ReadError, match="2 channels from number 3 on, and 4 are read"):
        RasterReading("image", 4, 8, first=3).raster(Image(values, ("a", "b")))
    for kind, first in (("image", 4), ("image", -2), ("ecg", 0)):
        with pytest.raises(ValueError, match="first is a number below channels"):
            RasterReading(kind, 4 if kind == "image" else 12, 8, first=first)


@pytest.mark.parametrize("method", ["bm-mae", pytest.param("chada", marks=pytest.mark.nightly)])
def test_channels_that_are_lacking_count_in_no_standard(method: str) -> None:
    items = waves(40, 3, 8, 2)
    some = items.copy()
    some[::2, 1] = 0.0
    config = raster_config(NETWORK, 2, 3, 8, "bm-mae")
    trained = np.ones(40, bool)
    mean, deviation, flat = standard_of(packed_rasters(some), trained, config)
    own = items[1::2, 1].astype(np.float64)
    assert mean[1] == pytest.approx(own.mean()) and deviation[1] == pytest.approx(own.std()) and flat == 0
    whole = standard_of(packed_rasters(items), trained, config)
    assert mean[[0, 2]].tolist() == whole[0][[0, 2]].tolist()
    names = [str(k) for k in range(40)]
    options, corpus = RasterOptions(method, epochs=1, batch=16), corpus_of(names, names, 0.2, 0)
    found = pretrained_on_rasters(corpus, packed_rasters(some), config, options)
    nothing = some.copy()
    nothing[::2, 1] = 1e6  # whatever a channel that is lacking is filled with
    again = pretrained_on_rasters(corpus, packed_rasters(nothing), config, options)
    for name, value in found.network.state_dict().items():
        torch.testing.assert_close(value, again.network.state_dict()[name], msg=name)


def test_images_of_different_channels_are_encoded_by_one_network() -> None:
    spec = "raster:network=channels,channels=3,first=0,size=8,patch=4,dim=8,depth=1,heads=2"
    images = [Image(waves(1, 1 + k % 3, 8, 2, seed=k)[0], tuple("abc"[: 1 + k % 3])) for k in range(6)]
    check_encoder(make_encoder(spec, "image"), images)
    with pytest.raises((chiasm.Unsupported, ValueError), match="first is a number below channels"):
        make_encoder(spec.replace("first=0", "first=3"), "image")


def write_contrasts(folder: Path) -> Path:
    """Forty patients with two contrasts, of which every fifth lacks one or the other."""
    path = write_images(folder, waves(40, 1, 8, 2))
    other = write_images(folder / "other", waves(40, 1, 8, 2, seed=1))
    (other.parent / "png").rename(folder / "late")
    for k in range(0, 40, 5):
        (folder / ("png" if k % 2 else "late") / f"p{k:03d}.png").unlink()
    path.write_text(
        path.read_text(encoding="utf-8").replace("[modalities.image]", "[modalities.early]")
        + '[modalities.late]\nkind = "image"\npath = "late/{id}.png"\n',
        encoding="utf-8",
    )
    return path


def test_contrasts_are_pretrained_on_together_and_each_is_then_read_alone(tmp_path: Path) -> None:
    path, out = write_contrasts(tmp_path / "cohort"), tmp_path / "enc"
    asked = {"method": "bm-mae", "network": NETWORK, "epochs": 1, "batch": 16, "size": 8}
    found = chiasm.pretrain(path, out, modality="early,late", **asked)
    assert found.facts["contrasts"] == {"early": 0, "late": 1} and found.facts["items"] == 40
    assert found.facts["network"]["channels"] == 2 and found.modality == "early,late"
    encoded = chiasm.encode(path, {name: f"raster:weights={out},first={k}" for k, name in enumerate(("early", "late"))})
    assert encoded.cohort.raw("early").width == 8 and len(encoded.cohort.raw("late")) == 36
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('kind = "image"\n', f'kind = "image"\nencoder = "raster:weights={out},first=0"\n', 1))
    seen = [own for own in chiasm.check_cohort(path) if own.finding == "pretrained-on-cohort"]
    assert len(seen) == 1 and "36 of the 36" in seen[0].what
    with pytest.raises(chiasm.Unsupported, match="say which one the modality is, first=0 for 'early'"):
        _ = make_encoder(f"raster:weights={out}", "image").identity
    for more, words in (
        ({"modality": "early,late", "method": "mae", "network": None}, "together as contrasts, by chada or bm-mae"),
        ({"modality": "early,early"}, "different modalities are pretrained on together"),
    ):
        with pytest.raises(chiasm.Unsupported, match=words):
            chiasm.pretrain(path, tmp_path / "none", **{**asked, **more})


def test_joined_items_are_read_as_if_all_were_one_array() -> None:
    items = waves(6, 2, 8, 2)
    items[:2, 1], items[4:, 0] = 0.0, 0.0
    first, second = items.copy(), items.copy()
    first[:, 1], second[:, 0] = 0.0, 0.0
    places = np.array([[0, -1], [1, -1], [2, 0], [3, 1], [-1, 2], [-1, 3]])
    made = JoinedItems((packed_rasters(first[:4]), packed_rasters(second[2:])), places)  # type: ignore[arg-type]
    for rows in (np.arange(6), np.array([5, 0, 3])):
        assert np.array_equal(made.take(rows).values[:, 0].numpy(), items[rows].reshape(len(rows), -1))
    assert np.array_equal(made.subset(np.array([4, 2])).take(np.array([1])).values[0, 0].numpy(), items[2].reshape(-1))
    assert joined([["a", "b", "c", "d"], ["e", "f", "g", "h"]], places)[2:5] == ["c+e", "d+f", "+g"]
