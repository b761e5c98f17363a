"""A trunk of patches: fresh, what is beside its attention adds nothing, and absent contrasts are not read."""

from __future__ import annotations

import pytest
import torch

from chiasm.encoders.raster.config import RasterConfig
from chiasm.segmentation.patch_trunk import PatchTrunk

CONFIG = RasterConfig(size=8, patch=4, width=8, depth=2, heads=2)


def made(config: RasterConfig = CONFIG) -> PatchTrunk:
    torch.manual_seed(0)
    return PatchTrunk({"a": 1, "b": 1}, config, 4, 2).eval()


def test_only_what_is_beside_the_attention_is_trained_and_fresh_it_adds_nothing() -> None:
    trunk, x = made(), torch.randn(2, 1, 8, 8)
    trained = {name for name, own in trunk.named_parameters() if own.requires_grad}
    assert not any(name.startswith("transformer") for name in trained)
    assert sum(".tall." in name for name in trained) == 2
    before = trunk.transformer(x)
    for name, own in trunk.beside.named_parameters():
        if ".tall." in name:
            torch.nn.init.normal_(own)
    after = trunk.transformer(x)
    assert not torch.allclose(before, after)
    for name, own in trunk.beside.named_parameters():
        if ".tall." in name:
            torch.nn.init.zeros_(own)
    torch.testing.assert_close(trunk.transformer(x), before, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(12, 9), (5, 6, 7)])
def test_an_absent_contrast_is_not_read(shape: tuple[int, ...]) -> None:
    trunk = made(RasterConfig(axes=len(shape), size=8, patch=4, width=8, depth=1, heads=2))
    a, b = torch.randn(2, 1, *shape), torch.full((2, 1, *shape), float("nan"))
    present = torch.tensor([[True, False]] * 2)
    fine, coarse = trunk.features({"a": a, "b": b}, present)
    assert fine.shape == (2, 4, *shape) and coarse.shape == (2, 8, *[2] * len(shape))
    assert torch.isfinite(fine).all()
    both, _ = trunk.features({"a": a, "b": a}, torch.ones(2, 2, dtype=torch.bool))
    torch.testing.assert_close(both, fine)
    torch.testing.assert_close(trunk.features({"a": a[1:]}, present[1:])[0], fine[1:])
    with pytest.raises(ValueError, match="no contrast is present"):
        trunk.features({"a": a}, torch.zeros(2, 2, dtype=torch.bool))


def test_another_network_or_other_channels_are_refused() -> None:
    for config, channels in ((RasterConfig("conv", width=8), 1), (CONFIG, 3)):
        with pytest.raises(ValueError, match="is a vit"):
            PatchTrunk({"a": channels}, config, 4, 2)
