"""Encoders over rasters keep the laws, read a folder's network as it was trained, and see nobody who is tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from made_rasters import waves

import chiasm
from chiasm import artifact
from chiasm.compute.memo import forget
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.raster.reading import RasterReading
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.folder import as_stored_raster
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.stage import packed_rasters, pretrained_on_rasters
from chiasm.readers.reading import Image, ReadError, Signal, Volume
from chiasm.testing import check_encoder

IMAGES = [Image(values, ("grey",)) for values in waves(44, 1, 8, 2)]
VOLUMES = [Volume(values, ("one",), (1.0, 1.0, 1.0)) for values in waves(6, 1, 8, 3)]
SIGNALS = [Signal(values, ("a", "b"), 100.0, ("", "")) for values in waves(6, 2, 40, 1)]
NAMES = [f"p{k:02d}" for k in range(len(IMAGES))]


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ("raster:size=8,patch=4,dim=8,depth=1,heads=2,level=token", "image"),
        ("raster:network=conv,size=8,patch=4,dim=8,depth=2", "volume"),
        ("raster:size=32,patch=8,channels=2,dim=8,depth=1,heads=2", "signal"),
        ("raster:level=values,size=8", "volume"),
    ],
)
def test_an_encoder_over_rasters_keeps_the_laws(spec: str, kind: str) -> None:
    check_encoder(make_encoder(spec, kind), {"image": IMAGES[:4], "volume": VOLUMES[:4], "signal": SIGNALS[:4]}[kind])


def test_a_folder_is_read_as_it_was_trained(tmp_path: Path) -> None:
    reading = RasterReading("image", 1, 8)
    config = raster_config("vit:width=8,depth=1,heads=2,patch=4", 2, 1, 8, "mae")
    options, corpus = RasterOptions("mae", epochs=1, batch=16), corpus_of(NAMES, NAMES, 0.1, 0)
    rasters = np.stack([reading.raster(image) for image in IMAGES])
    found = pretrained_on_rasters(corpus, packed_rasters(rasters), config, options)
    artifact.save(tmp_path / "enc", as_stored_raster(found, corpus, reading, options, marks=corpus.items))
    encoder = make_encoder(f"raster:weights={tmp_path / 'enc'}", "image")
    tokens = encoder.encode(IMAGES[:3]).values
    standard = (torch.from_numpy(rasters[:3]) - float(found.mean[0])) / float(found.deviation[0])
    with torch.no_grad():
        torch.testing.assert_close(tokens[:, 0], found.network.summary(standard))
    assert encoder.remembered().overlap(NAMES).found == len(NAMES) and str(tmp_path) not in encoder.identity
    for more, words in ((",dim=16", "the folder of weights= says what 'dim' is"), (",level=none", "level is pooled")):
        with pytest.raises(ValueError, match=words):
            make_encoder(f"raster:weights={tmp_path / 'enc'}{more}", "image")
    with pytest.raises(chiasm.Unsupported, match="reads the kind 'image', and the modality is of kind 'volume'"):
        _ = make_encoder(f"raster:weights={tmp_path / 'enc'}", "volume").identity
    with pytest.raises(chiasm.Unsupported, match="names no folder"):
        _ = make_encoder("raster:weights=nowhere", "image").identity


def test_what_is_no_raster_is_refused_in_a_sentence() -> None:
    reading = RasterReading("image", 1, 8)
    with pytest.raises(ReadError, match="it has 1 x 2 pixels, and 4 along each axis are the fewest"):
        reading.raster(Image(np.ones((1, 1, 2), np.float32), ("grey",)))
    with pytest.raises(ReadError, match="the signal has 2 leads, 2 of them with samples, and 3 are read"):
        RasterReading("signal", 3, 32).raster(SIGNALS[0])
    with pytest.raises(ValueError, match="2 leads are named, and channels is 3"):
        RasterReading("signal", 3, 32, leads="a+b")
    short = RasterReading("signal", 2, 64).raster(SIGNALS[0])
    assert short.shape == (2, 64) and (short[:, 40:] == 0).all() and np.median(short[:, :40]) == pytest.approx(0, abs=3)
    turned = Signal(SIGNALS[0].values[::-1], ("b", "a"), 100.0)
    named = RasterReading("signal", 2, 40, leads="a+b")
    assert np.array_equal(named.raster(turned), named.raster(SIGNALS[0]))


def test_within_a_fold_the_encoder_keeps_the_laws_and_the_order_of_patients_changes_nothing() -> None:
    encoder = make_encoder("pretrained-raster:size=8,patch=4,dim=8,depth=1,heads=2,epochs=1", "image")
    check_encoder(encoder, IMAGES)
    fitted = encoder.fit(IMAGES[:40], NAMES[:40])
    forget()
    again = encoder.fit(IMAGES[:40][::-1], NAMES[:40][::-1])
    assert np.array_equal(fitted.features(IMAGES[40:]), again.features(IMAGES[40:]))
    with pytest.raises(ValueError, match="'mae' does not train 'conv': name network=vit"):
        make_encoder("pretrained-raster:network=conv", "image")
