"""Pretraining on rasters: what is hidden is never read, nobody held out is learned from, and it goes on as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_rasters import waves
from torch.nn import functional

import chiasm
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import untrained
from chiasm.encoders.raster.patch_transformer import PatchTransformer
from chiasm.pretraining.corpus import corpus_of
from chiasm.pretraining.rasters.augment import Augmentation, cropped
from chiasm.pretraining.rasters.learner import Learner
from chiasm.pretraining.rasters.mae import MaskedAutoencoder, own_scale
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.pretraining.rasters.options import RasterOptions, raster_config
from chiasm.pretraining.rasters.simclr import TwoViews
from chiasm.pretraining.rasters.stage import (
    RasterPretraining,
    built,
    kept_bytes,
    packed_rasters,
    pretrained_on_rasters,
    standard_of,
)

TINY = "vit:width=16,depth=1,heads=2,patch=4"
ITEMS = waves(40, 1, 8, 2)
NAMES = [str(number) for number in range(len(ITEMS))]


def trained(items: np.ndarray = ITEMS, method: str = "mae", **more: Any) -> RasterPretraining:
    options = RasterOptions(method, **{"epochs": 2, "batch": 8, "held_out": 0.2, **more})
    config = raster_config(TINY, 2, items.shape[1], items.shape[2], method)
    return pretrained_on_rasters(corpus_of(NAMES, NAMES, 0.2, 0), packed_rasters(items), config, options)


def same(one: RasterPretraining, other: RasterPretraining) -> bool:
    a, b = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_hidden_patches_never_enter_the_network_and_alone_make_the_loss(axes: int) -> None:
    config = RasterConfig(axes=axes, channels=2, size=8, patch=4 if axes > 1 else 2, width=16, depth=2)
    network = untrained(config, 0)
    assert isinstance(network, PatchTransformer)
    learner = MaskedAutoencoder(network, 0.5).eval()
    x = torch.randn(3, *config.shape)
    order = torch.rand(3, config.places).argsort(1)
    seen = order[:, : learner.seen]
    assert seen.shape[1] == config.places // 2
    for side, equal in ((order[:, learner.seen :], True), (seen, False)):
        marked = torch.zeros(3, config.places).scatter(1, side, 1.0)
        places = marked.reshape(3, 1, *config.grid)
        for axis in range(axes):
            places = places.repeat_interleave(config.patch, 2 + axis)
        other = torch.where(places > 0, torch.randn_like(x) * 100, x)
        assert torch.equal(network(x, seen), network(other, seen)) is equal
    generator = torch.Generator().manual_seed(3)
    found = learner((x,), {}, generator)
    order = torch.rand(3, config.places, generator=torch.Generator().manual_seed(3)).argsort(1)
    told = learner.told(network(x, order[:, : learner.seen]), order)
    patches = network.patches(x)
    each = [
        (told[row, k] - own_scale(patches[row, int(order[row, learner.seen + k])])).square().mean()
        for row in range(3)
        for k in range(config.places - learner.seen)
    ]
    torch.testing.assert_close(found, torch.stack(each).mean())


def test_patches_hold_every_number_once_and_all_of_them_are_the_dense_network() -> None:
    config = RasterConfig(axes=3, channels=2, size=4, patch=2, width=12, depth=1, heads=2)
    network = untrained(config, 0)
    assert isinstance(network, PatchTransformer)
    x = torch.arange(config.values, dtype=torch.float32).reshape(1, *config.shape)
    cut = network.patches(x)
    assert cut.shape == (1, 8, 16) and sorted(cut.flatten().tolist()) == x.flatten().tolist()
    assert cut[0, 1].reshape(2, 2, 2, 2).equal(x[0, :, :2, :2, 2:])
    assert torch.equal(network(x), network(x, torch.arange(8)[None]))
    assert torch.equal(network(x)[:, 1:].mean(1), network.summary(x))


def test_two_views_are_compared_as_in_the_paper() -> None:
    learner = TwoViews(untrained(RasterConfig(size=8, patch=4, width=8, depth=1, heads=1), 0)).eval()
    views = torch.randn(3, 1, 8, 8), torch.randn(3, 1, 8, 8)
    own = functional.normalize(learner.project(learner.network.summary(torch.cat(views))), dim=1)
    logits = own @ own.T / learner.temperature
    logits.fill_diagonal_(-torch.inf)
    expected = functional.cross_entropy(logits, torch.tensor([3, 4, 5, 0, 1, 2]))
    torch.testing.assert_close(learner(views, {}, None), expected)


def test_views_are_not_mirrored_unless_asked_and_keep_one_channel_and_fine_values() -> None:
    ramp = torch.arange(8.0).expand(64, 1, 8, 8)  # grows to the right in every view that is not mirrored
    for own, mirrored in ((Augmentation(2, 1), 0), (Augmentation(2, 1, flips=(1,)), 64)):
        steps = own(ramp, torch.Generator().manual_seed(0)).diff(dim=3)
        rows = (steps >= -1e-6).all((1, 2, 3))
        assert (mirrored == 0 and rows.all()) or 0 < int(rows.sum()) < mirrored
    fine = cropped(ramp / 65_535, 0.3, torch.Generator().manual_seed(0))
    assert fine.shape == ramp.shape and len(fine.unique()) > 256
    grey = Augmentation(2, 3, strong=True)(torch.ones(1, 3, 8, 8), torch.Generator().manual_seed(0)).mean((2, 3))
    assert grey.std() > 0.01, "the balance of three colours changes"
    still = Augmentation(1, 2)(torch.arange(50.0).expand(4, 2, 50), torch.Generator().manual_seed(0))
    assert set(still.diff(dim=2).unique().tolist()) == {0.0, 1.0}, "time is shifted, and not stretched"
    with pytest.raises(ValueError, match="flips are different axes from 0 to 1"):
        Augmentation(2, 1, flips=(2,))


def test_held_out_items_change_no_weight_and_get_the_same_draws_in_every_epoch() -> None:
    apart = corpus_of(NAMES, NAMES, 0.2, 0).held_out
    found = [trained(epochs=1)]
    for side in (True, False):
        items = ITEMS.copy()
        items[np.flatnonzero(apart == side)[0]] = 0.0
        found.append(trained(items, epochs=1))
    assert same(found[0], found[1]) and found[0].curve != found[1].curve
    assert not same(found[0], found[2])
    still = trained(learning_rate=0.0).curve
    assert still[0]["held_out"] == still[1]["held_out"] and still[0]["train"] != still[1]["train"]


def test_a_training_that_was_stopped_and_resumed_is_the_one_that_was_not(tmp_path: Path) -> None:
    corpus, packed = corpus_of(NAMES, NAMES, 0.2, 0), packed_rasters(ITEMS)
    options = RasterOptions("simclr", epochs=3, batch=8)
    config = raster_config("conv:width=8,depth=2,patch=4", 2, 1, 8, "simclr")
    whole = pretrained_on_rasters(corpus, packed, config, options)

    def stop(finished: int, everything: int) -> None:
        if finished == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pretrained_on_rasters(corpus, packed, config, options, checkpoint=tmp_path / "c", progress=stop)
    told: list[int] = []
    again = pretrained_on_rasters(
        corpus, packed, config, options, checkpoint=tmp_path / "c", progress=lambda finished, _: told.append(finished)
    )
    assert told == [3] and same(whole, again) and whole.curve == again.curve
    other = RasterOptions("simclr", epochs=3, batch=8, flips="1")
    with pytest.raises(chiasm.ArtifactError, match="another seed, other options or other patients"):
        pretrained_on_rasters(corpus, packed, config, other, checkpoint=tmp_path / "c")


def test_a_teacher_moves_after_every_step_and_the_last_epoch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []

    class Following(TwoViews):
        def stepped(self, done: float) -> None:
            told.append(done)

    method = METHODS["simclr"]
    monkeypatch.setitem(
        METHODS, "simclr",
        type(method)(lambda network, options, generator: Following(network), ("vit",), "", chooses=False),
    )  # fmt: skip
    found = trained(method="simclr", epochs=3, patience=0)
    assert told == pytest.approx([(k + 1) / 12 for k in range(12)]) and found.history.best_epoch == 3 == len(
        found.curve
    )


def test_what_cannot_be_is_refused_in_a_sentence() -> None:
    with pytest.raises(chiasm.Unsupported, match="all 32 items trained on are of one colour"):
        trained(np.full((40, 1, 8, 8), 7.0, np.float32))
    some = ITEMS.copy()
    some[:3] = 7.0
    assert trained(some, epochs=1).flat == 3
    with pytest.raises(chiasm.Unsupported, match="GB are free: lower batch to"):
        trained(batch=10**10)
    with pytest.raises(ValueError, match="did you mean 'mae'"):
        RasterOptions("mea")
    with pytest.raises(ValueError, match="'simclr' hides no share"):
        RasterOptions("simclr", share=0.5)
    with pytest.raises(chiasm.Unsupported, match="'mae' does not train 'conv': name vit"):
        raster_config("conv", 2, 1, 8, "mae")
    with pytest.raises(ValueError, match="has no option 'widht': did you mean 'width'"):
        raster_config("vit:widht=8", 2, 1, 8, "mae")
    with pytest.raises(ValueError, match=r"size \(29\) is a multiple of patch \(4\)"):
        raster_config("vit:patch=4", 2, 1, 29, "mae")
    with pytest.raises(ValueError, match="no finite number"):
        trained(learning_rate=1e30)


def test_mixed_precision_learns_about_the_same_and_keeps_full_weights() -> None:
    full, mixed = trained(epochs=1), trained(epochs=1, precision="bf16")
    assert not same(full, mixed) and all(own.dtype == torch.float32 for own in mixed.network.state_dict().values())
    assert mixed.curve[0]["train"] == pytest.approx(full.curve[0]["train"], rel=0.05)


def test_channels_are_standardised_by_the_items_trained_on_alone() -> None:
    items = np.concatenate([1e6 + waves(6, 2, 8, 1), np.zeros((2, 2, 8), np.float32)])
    config = RasterConfig(axes=1, channels=2, size=8, patch=2, width=8)
    mean, deviation, flat = standard_of(packed_rasters(items), np.arange(8) < 6, config)
    own = items[:6].astype(np.float64)
    assert flat == 2
    np.testing.assert_allclose(mean, own.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(deviation, own.std((0, 2)), rtol=1e-6)


@pytest.mark.parametrize("network", ["vit", "conv"])
def test_memory_is_measured_for_every_method_and_grows_with_the_network(network: str) -> None:
    for name, method in METHODS.items():
        if network in method.networks and not method.beside:
            sizes = []
            for width in (16, 32):
                config = RasterConfig(network, size=8, patch=4, width=width, depth=1, heads=2)
                learner: Learner = built(config, RasterOptions(name), 0)
                sizes.append(kept_bytes(learner, config, {}))
            assert 0 < sizes[0] < sizes[1], name
