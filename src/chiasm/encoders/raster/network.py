"""Networks over rasters by their config, with initial weights from a seed."""

from __future__ import annotations

from collections.abc import Callable

from chiasm.encoders.raster.channel_transformer import ChannelTransformer
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.conv_net import ConvNet
from chiasm.encoders.raster.patch_transformer import PatchTransformer
from chiasm.encoders.weights import seeded

RasterNetwork = PatchTransformer | ConvNet | ChannelTransformer
MADE: dict[str, Callable[[RasterConfig], RasterNetwork]] = {
    "vit": PatchTransformer, "conv": ConvNet, "channels": ChannelTransformer,
}  # fmt: skip


def untrained(config: RasterConfig, seed: int = 0) -> RasterNetwork:
    """Return a network with initial weights that `seed` draws."""
    with seeded(seed):
        return MADE[config.network](config)
