"""`unet`: label maps drawn by a small U-Net over images or volumes of one contrast or several, any of them absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.unet import GatedUNet


@storable("unet")
@dataclass(frozen=True)
class UNetDesign:
    """Sizes of a U-Net."""

    width: int
    depth: int

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)

    def network(self, channels: dict[str, int], axes: int, labels: int) -> GatedUNet:
        """Build a fresh network for these contrasts."""
        return GatedUNet(channels, axes, labels, self.width, self.depth)


@dataclass(frozen=True)
class UNet(OfMasks):
    """The label of each pixel by a U-Net in which the contrasts that are present are averaged.

    Args:
        width: channels at full size; each step down has twice as many.
        depth: steps down.
    """

    width: int = 16
    depth: int = 3

    row: ClassVar[Row] = ROWS["unet"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid values

    def design(self) -> UNetDesign:
        """Return the sizes of the network."""
        return UNetDesign(self.width, self.depth)
