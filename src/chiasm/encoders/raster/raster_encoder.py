"""Encoder of images, volumes and signals by a small network, with weights that pretraining wrote, or untrained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.encoders.adaptable import Trunk
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import hash_state, identity_of
from chiasm.encoders.image.pixels import standardised
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.named import config_named, reading_named
from chiasm.encoders.raster.network import RasterNetwork, untrained
from chiasm.encoders.raster.reading import AXES, RasterReading
from chiasm.encoders.raster.stored_raster import stored_raster
from chiasm.encoders.seen import SeenItems
from chiasm.encoders.weights import Stamp, frozen, stamp_of
from chiasm.tokens import Tokens

LEVELS = ("pooled", "token", "values")
OF_FOLDER = ("network", "channels", "size", "patch", "dim", "depth", "heads", "norm", "resize", "leads", "seed")


@storable("encoder-raster")
@dataclass(frozen=True)
class RasterEncoder:
    """Encoder with a frozen `PatchTransformer` or `ConvNet`: the mean of its places, or that and every place.

    With `weights`, a folder that `chiasm pretrain` wrote says what the network is, and how sources are read and scaled.
    Without, the network is untrained, drawn from `seed`: random features, a baseline that pretraining has to clear; a
    source is then brought to mean 0 and deviation 1 by itself.

    Args:
        kind: of the modality: image, volume, dicom, ecg, signal.
        weights: a folder that `chiasm pretrain` wrote: its whole path, or that from where the command runs, or, in a
            manifest, from where that lies.
        level: `pooled`, one token, the mean of the places; `token`, that and one token a place, in row order; `values`,
            the raster itself as one token, no network.
        network, channels, size, patch, dim, depth, heads, norm: see `RasterConfig`; "" and 0 take its defaults.
        resize, low, high, hz, leads, first: how a source becomes a raster, see `RasterReading`; `first` also with a
            folder, whose network may read several contrasts, of which a source is one.
        seed: of the untrained network.

    Raises:
        ValueError: an option is out of range, or one is given that the folder says.
        ReadError: at `encode`, a source of fewer than four pixels or samples along an axis, or without the leads.
        Unsupported: at first use: no such folder, or its network reads another kind.
    """

    kind: str = "image"
    weights: str = ""
    level: str = "pooled"
    network: str = ""
    channels: int = 0
    size: int = 0
    patch: int = 0
    dim: int = 0
    depth: int = 0
    heads: int = 0
    norm: str = ""
    resize: str = ""
    low: float = -1000.0
    high: float = 1000.0
    hz: float = 100.0
    leads: str = ""
    first: int = -1
    seed: int = 0

    id: ClassVar[str] = "raster"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 32
    marks_contents: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.level not in LEVELS or self.kind not in AXES:
            raise ValueError(f"level is {', '.join(LEVELS)}, and kind {', '.join(AXES)}")
        default = {field.name: field.default for field in fields(self)}
        given = [name for name in OF_FOLDER if getattr(self, name) != default[name]]
        if self.weights and given:
            raise ValueError(f"the folder of weights= says what '{given[0]}' is: leave it out")
        if not self.weights:
            _ = self._own_reading if self.level == "values" else self._own_config

    @property
    def width(self) -> int:
        return (
            self._reading.channels * self._reading.size**self._reading.axes if self._raw else self._opened.config.width
        )

    @property
    def slots(self) -> int:
        return 1 + self._opened.config.places if self.level == "token" else 1

    @property
    def adaptable(self) -> bool:
        """True where there is a network."""
        return not self._raw

    @property
    def identity(self) -> str:
        """Return the encoder's identity, in which the hash of the parameters stands for the folder's path."""
        if self._raw:
            return identity_of(self)
        found = self._opened
        return f"{identity_of(self, found.stamp).replace(f'weights={self.weights},', 'weights=,', 1)}/{found.reading}"

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: there is nothing to fit."""
        return self

    def require(self, value: Any) -> None:
        """Raise ReadError of a source that `encode` would refuse."""
        self._reading.raster(value)

    def remembered(self) -> SeenItems | None:
        """Return marks of the sources that the network was pretrained on; None where the folder keeps none."""
        seen = stored_raster(self.weights).facts.get("seen") if self.weights else None
        return seen if isinstance(seen, SeenItems) else None

    def encode(self, raw: Sequence[Any]) -> Tokens:
        """Encode sources to tokens `(n, slots, width)` float32."""
        parts = [self._reading.raster(value).reshape(1, -1) for value in raw]
        if self._raw:
            return in_order(parts, self.width, 1)
        trunk = self._trunk_of(self._opened.network)
        with torch.no_grad():
            found = [np.ascontiguousarray(trunk.run(self._scaled(part))[0][0].numpy()) for part in parts]
        return in_order(found, self.width, self.slots)

    def inputs(self, raw: Sequence[Any]) -> Tokens:
        """Return flat network inputs `(n, 1, C x size^axes)`."""
        parts = [self._scaled(self._reading.raster(value).reshape(1, -1)).numpy() for value in raw]
        return in_order(parts, self._opened.config.values, 1)

    def trunk(self) -> Trunk:
        """Return a trunk with an independent copy of the network."""
        return self._trunk_of(copy.deepcopy(self._opened.network))

    def _trunk_of(self, network: RasterNetwork) -> RasterTrunk:
        return RasterTrunk(network, self.level == "pooled")

    def _scaled(self, flat: np.ndarray) -> Tensor:
        """Standardise one flat raster `(1, P)`."""
        return scaled(flat, self._opened.config.channels, self._opened.standard)

    @property
    def _raw(self) -> bool:
        return self.level == "values"

    @property
    def _reading(self) -> RasterReading:
        return self._opened.reading if self.weights else self._own_reading

    @property
    def _own_reading(self) -> RasterReading:
        return reading_named(self)

    @property
    def _own_config(self) -> RasterConfig:
        return config_named(self, self._own_reading)

    @property
    def _opened(self) -> Opened:
        if not self.weights:
            return _untrained(self._own_config, self._own_reading, self.seed)
        found = _stored(self.weights, stamp_of(self.weights))
        own = found.reading
        if own.axes != AXES[self.kind] or (own.kind == "ecg") != (self.kind == "ecg"):
            raise Unsupported(
                f"the folder's network reads the kind '{own.kind}', and the modality is of kind '{self.kind}': name "
                "another folder"
            )
        if self.first < 0:
            if found.contrasts:
                there = ", ".join(f"first={number} for '{name}'" for name, number in found.contrasts.items())
                raise Unsupported(f"the folder's network reads contrasts: say which one the modality is, {there}")
            return found
        try:
            return replace(found, reading=replace(own, first=self.first))
        except ValueError as error:
            raise Unsupported(f"the folder's network has {own.channels} channels: {error}") from None


@dataclass(frozen=True, repr=False)
class Opened:
    """A frozen network and how sources become its rasters.

    Args:
        stamp: hash of the weights, and of mean and deviation.
        standard: mean and deviation of the channels, `(C,)` each; None: each source by its own.
        contrasts: where modalities were pretrained on together, the number of each one's first channel.
    """

    network: RasterNetwork
    config: RasterConfig
    stamp: str
    standard: tuple[np.ndarray, np.ndarray] | None
    reading: RasterReading
    contrasts: Mapping[str, int] = field(default_factory=dict)


class RasterTrunk(Trunk):
    """Trunk that maps flat rasters of one size to the mean of the places, and to every place unless it is `pooled`."""

    def __init__(self, network: RasterNetwork, pooled: bool) -> None:
        super().__init__(network)
        self.pooled, self.shape = pooled, network.config.shape

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map flat inputs `(N, P)` to tokens `(N, 1, D)`, or `(N, 1 + places, D)`."""
        places = self.network(inputs.reshape(-1, *self.shape))[:, 1:]
        mean = places.mean(1, keepdim=True)
        return (mean if self.pooled else torch.cat([mean, places], 1)), None


def scaled(flat: np.ndarray, channels: int, by: tuple[np.ndarray, np.ndarray] | None) -> Tensor:
    """Standardise one flat raster `(1, P)` channel by channel by mean and deviation `(C,)`; None: by its own."""
    values = torch.from_numpy(np.array(flat, np.float32)).reshape(channels, -1)
    if by is None:
        return standardised(values).reshape(1, -1)
    mean, deviation = (torch.from_numpy(own).float()[:, None] for own in by)
    return ((values - mean) / deviation).reshape(1, -1)


@lru_cache(maxsize=4)
def _stored(folder: str, stamp: Stamp) -> Opened:
    found = stored_raster(folder)
    network = frozen(found.network())
    own = {"mean": torch.from_numpy(found.mean), "deviation": torch.from_numpy(found.deviation)}
    hashed = hash_state({**network.state_dict(), **own})
    return Opened(
        network, found.config, hashed, (found.mean, found.deviation), found.reading, found.facts.get("contrasts", {})
    )


@lru_cache(maxsize=8)
def _untrained(config: RasterConfig, reading: RasterReading, seed: int) -> Opened:
    network = frozen(untrained(config, seed))
    return Opened(network, config, hash_state(network.state_dict()), None, reading)
