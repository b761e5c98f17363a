"""What the options of an encoder of rasters name: how a source is read, and the shape of the network."""

from __future__ import annotations

from typing import Any

from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.reading import AXES, SIZES, RasterReading


def reading_named(own: Any) -> RasterReading:
    """Return how a source becomes a raster, of as many channels as there are leads where none are named.

    Args:
        own: an encoder with the options of `RasterReading`; "" and 0 take its defaults.
    """
    leads = len(own.leads.split("+")) if own.leads else 12 if own.kind == "ecg" else 1
    return RasterReading(
        own.kind, own.channels or leads, own.size or SIZES[AXES[own.kind]], own.resize or RasterReading.resize,
        own.low, own.high, own.hz, own.leads, own.first,
    )  # fmt: skip


def config_named(own: Any, reading: RasterReading, network: str = RasterConfig.network) -> RasterConfig:
    """Return the shape of the network over rasters of a reading.

    Args:
        own: an encoder with the options of `RasterConfig`, its width as `dim`; "" and 0 take its defaults.
        network: that where none is named.
    """
    return RasterConfig(
        own.network or network, reading.axes, reading.channels, reading.size, own.patch, own.dim or RasterConfig.width,
        own.depth or RasterConfig.depth, own.heads or RasterConfig.heads, own.norm or RasterConfig.norm,
    )  # fmt: skip
