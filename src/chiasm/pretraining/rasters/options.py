"""What a pretraining on rasters is asked for, and what of it cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.cohort import Unsupported
from chiasm.encoders.catalogue import options as options_of
from chiasm.encoders.raster.config import NETWORKS, RasterConfig
from chiasm.errors import nearest
from chiasm.pretraining.rasters.learner import RasterMethod
from chiasm.pretraining.rasters.methods import METHODS
from chiasm.specs import name_and_options
from chiasm.training.options import TrainOptions

PRECISIONS = ("32", "bf16")


@dataclass(frozen=True)
class RasterOptions:
    """Options of a pretraining on signals, images or volumes.

    Args:
        method: one of `METHODS`.
        epochs: the most passes over the training items, or over 256 batches of them where there are more.
        patience: the training stops after more than this many epochs without a lower held-out loss, where that loss
            chooses the epoch.
        batch: items a step.
        learning_rate: peak rate of AdamW.
        held_out: share of the patients that is held out.
        share: of each item that is hidden; -1: that of the method.
        flips: axes of space along which views are mirrored, as "0" or "0+1"; none unless they are named.
        precision: "32", or "bf16" for mixed precision.

    Raises:
        ValueError: an option is out of range, or the method hides nothing and `share` is given.
    """

    method: str = "mae"
    epochs: int = 20
    patience: int = 5
    batch: int = 64
    learning_rate: float = 1e-3
    held_out: float = 0.1
    share: float = -1.0
    flips: str = ""
    precision: str = "32"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            like = nearest(self.method, METHODS)
            hint = f"did you mean '{like}'?" if like else f"there are {', '.join(METHODS)}"
            raise ValueError(f"signals, images and volumes are not pretrained by '{self.method[:40]}': {hint}")
        if not 0 < self.held_out <= 0.5:
            raise ValueError(f"the share held out is {self.held_out:g}, and lies above 0 and at most at 0.5")
        if not (self.share == -1.0 or 0 < self.share < 1):
            raise ValueError(f"share is {self.share:g}, and lies between 0 and 1")
        if self.share != -1.0 and not METHODS[self.method].share:
            hides = ", ".join(name for name, own in METHODS.items() if own.share)
            raise ValueError(f"'{self.method}' hides no share: leave share out, or ask for {hides}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {' or '.join(PRECISIONS)}")
        if self.epochs < 1:
            raise ValueError("epochs is 1 or more")
        _ = self.axes_mirrored, self.training()

    @property
    def how(self) -> RasterMethod:
        """The method."""
        return METHODS[self.method]

    @property
    def drawn_share(self) -> float:
        """The share that is hidden."""
        return self.how.share if self.share == -1.0 else self.share

    @property
    def axes_mirrored(self) -> tuple[int, ...]:
        """Axes of space along which views are mirrored."""
        parts = [part for part in self.flips.split("+") if part]
        if any(part not in ("0", "1", "2") for part in parts):
            raise ValueError(f"flips are axes of space joined by +, as 1 or 0+1, not '{self.flips[:20]}'")
        return tuple(map(int, parts))

    def training(self) -> TrainOptions:
        """Return what the loop is asked for."""
        patience = self.patience if self.how.chooses else self.epochs
        return TrainOptions(self.epochs, patience, self.batch, self.learning_rate)


def raster_config(spec: str, axes: int, channels: int, size: int, method: str) -> RasterConfig:
    """Return the shape of a network from its name and options, as `vit:width=192,depth=4,patch=4`.

    Raises:
        ValueError: an option that there is not, or one out of range.
        Unsupported: there is no such network, or the method does not train it.
    """
    name, text = name_and_options(spec)
    if name not in NETWORKS:
        raise Unsupported(f"there is no network '{name[:40]}' for rasters: name {' or '.join(NETWORKS)}")
    suits = METHODS[method].networks
    if name not in suits:
        raise Unsupported(f"'{method}' does not train '{name}': name {' or '.join(suits)}")
    asked = options_of(RasterConfig, name, text)
    for own, value in (("axes", axes), ("channels", channels), ("size", size)):
        if asked.setdefault(own, value) != value:
            raise ValueError(f"the modality's rasters have {own}={value}, and the network says {own}={asked[own]}")
    return RasterConfig(**{**asked, "network": name})
