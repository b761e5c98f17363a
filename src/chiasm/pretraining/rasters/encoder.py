"""`pretrained-raster`: an encoder whose network is pretrained within each fold, on its training patients."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self
from weakref import ref

import numpy as np
import torch

from chiasm.artifact import storable
from chiasm.compute.isolation import threads_for
from chiasm.compute.memo import of_the_last, remember
from chiasm.encoders.raster.config import RasterConfig
from chiasm.encoders.raster.named import config_named, reading_named
from chiasm.encoders.raster.network import RasterNetwork
from chiasm.encoders.raster.raster_encoder import RasterTrunk, scaled
from chiasm.encoders.raster.reading import AXES, RasterReading
from chiasm.encoders.raster.stored_raster import StoredRaster
from chiasm.encoders.stored import StoredTokensEncoder
from chiasm.encoders.table.scaling import Array
from chiasm.pretraining.corpus import corpus_of, in_order_of_names
from chiasm.pretraining.rasters.folder import as_stored_raster
from chiasm.pretraining.rasters.options import RasterOptions
from chiasm.pretraining.rasters.stage import packed_rasters, pretrained_on_rasters
from chiasm.pretraining.states import States
from chiasm.tokens import Tokens


@storable("encoder-pretrained-raster")
@dataclass(frozen=True)
class PretrainedRaster:
    """Mean state, or every state, of a network that was pretrained on the training patients, without an outcome.

    Tokens are those of `RasterEncoder`, `pooled` or one for each place too. A tenth of the training patients is held
    out to choose the epoch, where the method has it chosen, and is read all the same afterwards. Whom a fold tests is
    never seen: changing a test patient's image changes no weight.

    Args:
        kind: image, volume, dicom, ecg or signal.
        method, epochs, patience, batch, learning_rate, held_out, share, flips: see `RasterOptions`.
        network, channels, size, patch, dim, depth, heads, norm: see `RasterConfig`; 0 and "" take its defaults.
        resize, low, high, hz, leads, first: see `RasterReading`.
        level: pooled or token.
        seed: of initial weights, draws and who is held out.
        stored: the network; None before `fit`.
        scaling: scales and projects its states as the stored tokens of a frozen encoder are; None before `fit`.

    Raises:
        ValueError: an option is out of range, or the method reads texts or labels beside the items.
    """

    kind: str = "image"
    method: str = "mae"
    network: str = ""
    channels: int = 0
    size: int = 0
    patch: int = 0
    dim: int = 0
    depth: int = 0
    heads: int = 0
    norm: str = ""
    resize: str = "stretch"
    low: float = -1000.0
    high: float = 1000.0
    hz: float = 100.0
    leads: str = ""
    first: int = -1
    epochs: int = 20
    patience: int = 5
    batch: int = 64
    learning_rate: float = 1e-3
    held_out: float = 0.1
    share: float = -1.0
    flips: str = ""
    level: str = "pooled"
    seed: int = 0
    stored: StoredRaster | None = None
    scaling: StoredTokensEncoder | None = None

    id: ClassVar[str] = "pretrained-raster"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.level not in ("pooled", "token") or self.kind not in AXES:
            raise ValueError(f"level is pooled or token, and kind {', '.join(AXES)}")
        options, config = self._options(), self._config()  # which refuse what is out of range
        if options.how.beside:
            raise ValueError(f"'{self.method}' reads {', '.join(options.how.beside)} too, which a fold does not have")
        if config.network not in options.how.networks:
            raise ValueError(
                f"'{self.method}' does not train '{config.network}': name network={' or '.join(options.how.networks)}"
            )

    @property
    def slots(self) -> int:
        return 1 if self.level == "pooled" else 1 + self._config().places

    @property
    def width(self) -> int:
        return self._config().width if self.scaling is None else self.scaling.width

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return "weights of a network that was pretrained on their images or signals"

    def require(self, value: Any) -> None:
        """Raise ReadError of a source that `encode` would refuse."""
        self._reading().raster(value)

    def fit(self, raw: Sequence[Any], patients: Sequence[str] = ()) -> Self:
        """Pretrain on the sources of the training patients, and scale its states as they have them.

        The same sources of the same patients give the same network, which one process trains once.

        Raises:
            Unsupported: fewer than twenty patients, or all of one colour.
            ValueError: the loss is not finite.
        """
        reading, options, config = self._reading(), self._options(), self._config()
        rasters, names = in_order_of_names([reading.raster(value) for value in raw], patients)
        items = [hashlib.sha256(own.tobytes()).hexdigest() for own in rasters]

        def pretrain() -> tuple[StoredRaster, StoredTokensEncoder]:
            corpus = corpus_of(items, names, self.held_out, self.seed)
            place = dict(zip(reversed(items), reversed(range(len(items))), strict=True))
            packed = packed_rasters(np.stack([rasters[place[item]] for item in corpus.items]))
            found = pretrained_on_rasters(corpus, packed, config, options, seed=self.seed)
            stored = as_stored_raster(found, corpus, reading, options)
            states = _states(found.network, rasters, (stored.mean, stored.deviation), self.level == "pooled")
            return stored, StoredTokensEncoder().fit(states)

        told = [f"{field.name}={getattr(self, field.name)}" for field in fields(self)[:-2]]
        scope = hashlib.sha256("\0".join([*names, *items]).encode("utf-8", "surrogatepass")).hexdigest()
        stored, scaling = remember(f"pretrained {scope}", tuple(told), pretrain)
        return replace(self, stored=stored, scaling=scaling)

    def encode(self, raw: Sequence[Any]) -> Tokens:
        """Encode sources to tokens `(n, slots, width)`."""
        states, scaling = self._read(raw)
        return scaling.encode(states)

    def features(self, raw: Sequence[Any]) -> Array:
        """Compute the features for linear models, `(n, F)` float64, as of the stored tokens of a frozen encoder."""
        states, scaling = self._read(raw)
        return scaling.features(states)

    def _read(self, raw: Sequence[Any]) -> tuple[States, StoredTokensEncoder]:
        stored = self.stored
        if stored is None or self.scaling is None:
            raise ValueError("the encoder 'pretrained-raster' is not fitted: call fit on training patients first")
        rasters = [stored.reading.raster(value) for value in raw]
        standard = stored.mean, stored.deviation
        return _states(_network(stored), rasters, standard, self.level == "pooled"), self.scaling

    def _reading(self) -> RasterReading:
        return reading_named(self)

    def _config(self) -> RasterConfig:
        return config_named(self, self._reading(), self._options().how.networks[0])

    def _options(self) -> RasterOptions:
        own = {field.name: getattr(self, field.name) for field in fields(RasterOptions) if hasattr(self, field.name)}
        return RasterOptions(**own)


def _states(
    network: RasterNetwork, rasters: Sequence[np.ndarray], standard: tuple[np.ndarray, np.ndarray], pooled: bool
) -> States:
    """Run a network over rasters, each by itself, so that its states do not depend on those beside it."""
    config = network.config
    trunk = RasterTrunk(network.eval(), pooled)
    values = np.zeros((len(rasters), 1 if pooled else 1 + config.places, config.width), np.float32)
    work = 2.0 * sum(own.numel() for own in network.parameters()) * config.places
    with torch.inference_mode(), threads_for(work):
        for row, raster in enumerate(rasters):
            flat = scaled(raster.reshape(1, -1), config.channels, standard)
            values[row] = trunk.run(flat)[0][0].numpy()
    return States(values)


_READING: list[tuple[ref[StoredRaster], RasterNetwork]] = []  # one at most, and none whose encoder is gone


def _network(stored: StoredRaster) -> RasterNetwork:
    """Return the network; that which was asked last is kept."""
    return of_the_last(_READING, stored, stored.network)
