"""A network over rasters as a folder of safetensors and JSON, which pretraining writes and an encoder opens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chiasm import artifact
from chiasm.artifact import storable
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.network import RasterNetwork, untrained
from chiasm.encoders.raster.reading import RasterReading
from chiasm.encoders.weights import fill


@storable("raster-network")
@dataclass(frozen=True)
class StoredRaster:
    """What the folder of a network over rasters holds.

    Args:
        config: the network's shape.
        reading: how sources become its rasters.
        mean, deviation: `(C,)` float64, by which channels are standardised.
        weights: its parameters and buffers by name.
        method: the method that trained it.
        facts: what is known of its training, without identifiers: texts, numbers, lists of them.
    """

    config: RasterConfig
    reading: RasterReading
    mean: np.ndarray
    deviation: np.ndarray
    weights: dict[str, np.ndarray]
    method: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        own = self.reading
        if self.config.shape != (own.channels, *(own.size,) * own.axes):
            raise ValueError("the network reads rasters of another shape than the folder says")
        for values in (self.mean, self.deviation):
            if values.shape != (self.config.channels,) or not np.isfinite(values).all():
                raise ValueError("mean and deviation are one finite number for each channel")
        if not (self.deviation > 0).all():
            raise ValueError("the deviation of each channel is above zero")

    def network(self) -> RasterNetwork:
        """Return the network, in evaluation mode.

        Raises:
            ValueError: the weights are of another network.
        """
        network = untrained(self.config)
        fill(network, {name: torch.from_numpy(np.array(value)) for name, value in self.weights.items()})
        return network.eval()


def stored_raster(folder: Path | str) -> StoredRaster:
    """Open what pretraining wrote.

    Raises:
        ArtifactError: it is no such folder, or it is damaged.
    """
    found = artifact.load(Path(folder))
    if not isinstance(found, StoredRaster):
        raise artifact.ArtifactError(
            f"'{Path(folder).name}' holds no network over images or signals: name the folder of one"
        )
    return found
