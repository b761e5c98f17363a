"""`detector`: boxes as a set that a transformer predicts at once, RT-DETR or YOLOS of transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.detection.set_finder import NETWORKS, RT_DETR, STEPS, SetFinder, build_finder, load_weights, local_config
from chiasm.detection.set_finder import small_config as small
from chiasm.fitting.base import choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.detection import ROWS
from chiasm.recipes.detection.of_boxes import OfBoxes


@storable("set-detector")
@dataclass(frozen=True)
class DetectorDesign:
    """A detector's network and its sizes.

    Args:
        network: a name of `NETWORKS`.
        config: JSON of its sizes, as transformers names them; empty: small ones, of `width` and `queries`.
        width, queries: of a small network.
    """

    network: str
    config: str
    width: int
    queries: int

    def __post_init__(self) -> None:
        choice("network", self.network, NETWORKS)
        check_size("width", self.width, 1024)
        check_size("queries", self.queries, 1000)
        if self.width % 16:
            raise ValueError("width is a multiple of 16")
        if self.config and not isinstance(json.loads(self.config), dict):
            raise ValueError("the sizes of a detector are a table of names and values")

    def finder(self, channels: int, size: int, labels: int) -> SetFinder:
        """Build a fresh network for images of so many channels."""
        held = json.loads(self.config) if self.config else small(self.network, size, self.width, self.queries)
        return build_finder(self.network, held, channels, labels)


@dataclass(frozen=True)
class BegunDesign:
    """A detector that begins with the weights of a local folder; stored as what it is built of alone."""

    stored: DetectorDesign
    folder: Path

    def finder(self, channels: int, size: int, labels: int) -> SetFinder:
        """Build the network, with the weights that fit."""
        made = self.stored.finder(channels, size, labels)
        load_weights(made, self.stored.network, self.folder)
        return made


@dataclass(frozen=True)
class Detector(OfBoxes):
    """A box of every query of a transformer, matched with the drawn boxes in training.

    Args:
        network: rt-detr, which reads the maps of a convolutional network; or yolos, which reads patches alone.
        weights: local folder of a pretrained network of transformers, with `model.safetensors`; empty: from nothing.
        width, queries: width of the network, and how many boxes it says, where it begins from nothing.
        modality, flips, epochs, patience, batch, learning_rate, weight_decay: as in `OfBoxes`.
    """

    network: str = RT_DETR
    weights: str = ""
    width: int = 64
    queries: int = 60
    learning_rate: float = 1e-3

    row: ClassVar[Row] = ROWS["detector"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = DetectorDesign(self.network, "", self.width, self.queries)  # refuses invalid sizes

    @property
    def named_files(self) -> tuple[str, ...]:
        """The folder of the weights, where one is named."""
        return (self.weights,) if self.weights else ()

    def design(self) -> DetectorDesign:
        """Return the network's sizes: small ones, or those of the local folder."""
        config = json.dumps(local_config(self.network, Path(self.weights)), sort_keys=True) if self.weights else ""
        return DetectorDesign(self.network, config, self.width, self.queries)

    def begun(self, design: DetectorDesign) -> DetectorDesign | BegunDesign:
        """Return what builds the network as its training begins."""
        return BegunDesign(design, Path(self.weights)) if self.weights else design

    def fits(self, size: int) -> None:
        """Raise `Unsupported` if the image is no whole number of the network's steps a side."""
        if size % STEPS[self.network]:
            raise Unsupported(
                f"{self.network} reads images whose side is a multiple of {STEPS[self.network]} pixels, and these have "
                f"{size}: encode them with another size"
            )
