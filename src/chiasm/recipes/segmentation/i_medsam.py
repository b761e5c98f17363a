"""`i-medsam`: label maps by a field over coordinates, drawn anew where it is unsure, on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.base import Training, choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.drawing import DrawnMaps
from chiasm.segmentation.implicit import UNSURE, CoarseAndFine, Implicit
from chiasm.segmentation.model import OutlinerDesign


@storable("i-medsam")
@dataclass(frozen=True)
class ImplicitDesign:
    """Sizes of an `Implicit` network."""

    width: int
    depth: int
    hidden: int
    bands: int
    dropout: float
    share: float
    unsure: str
    narrow: int

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        check_size("hidden", self.hidden, 1024)
        check_size("bands", self.bands, 16)
        choice("unsure", self.unsure, UNSURE)
        if not 0 <= self.dropout < 1 or not 0 < self.share <= 1 or not 0 <= self.narrow <= 1024:
            raise ValueError("dropout lies between 0 and below 1, share between 0 and 1, and narrow between 0 and 1024")
        if self.unsure == "dropout" and self.dropout == 0:
            raise ValueError("without dropout nothing is unsure: write dropout=0.2, or unsure=entropy")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> Implicit:
        """Build a fresh network for these contrasts."""
        return Implicit(
            channels, axes, labels, self.width, self.depth, hidden=self.hidden, bands=self.bands, dropout=self.dropout,
            share=self.share, unsure=self.unsure, narrow=self.narrow,
        )  # fmt: skip


@dataclass(frozen=True)
class IMedSAM(OfMasks):
    """The label at any place by a field over coordinates and a U-Net's features, refined where it is unsure.

    Args:
        width: channels at full size; each step down has twice as many.
        depth: steps down.
        hidden: width of the field's hidden layers.
        bands: frequencies of coordinates; the highest turns 2^(bands - 2) times over a window's side.
        dropout: chance that a hidden unit of the coarse field is silent.
        share: of the places of an image that are drawn anew.
        unsure: what says so, the variance over masks of `dropout`, or `entropy`.
        narrow: width within the adapter of what frequencies an image has; 0: none.
    """

    width: int = 16
    depth: int = 3
    hidden: int = 64
    bands: int = 5
    dropout: float = 0.2
    share: float = 0.125
    unsure: str = "dropout"
    narrow: int = 16

    row: ClassVar[Row] = ROWS["i-medsam"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid values

    def design(self) -> ImplicitDesign:
        """Return the sizes of the network."""
        return ImplicitDesign(
            self.width, self.depth, self.hidden, self.bands, self.dropout, self.share, self.unsure, self.narrow
        )

    def drawn_by(self, training: Training) -> tuple[OutlinerDesign, DrawnMaps]:
        """Return the sizes of the network, which is trained on what either field draws."""
        return self.design(), CoarseAndFine(self.flips, self.crops)
