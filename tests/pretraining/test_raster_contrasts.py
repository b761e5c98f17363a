"""Sources of some channels of several: what they lack is absent, from the file to the standard and the states."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made_rasters import waves

import chiasm
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.raster.reading import RasterReading
from chiasm.pretraining.corpus import corpus_of
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


def test_channels_that_are_lacking_count_in_no_standard() -> None:
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
    for method in ("bm-mae", "chada"):
        options = RasterOptions(method, epochs=1, batch=16)
        corpus = corpus_of(names, names, 0.2, 0)
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
