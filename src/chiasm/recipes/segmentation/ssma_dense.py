"""`ssma-dense`: label maps drawn by a stream of each contrast, gated together at every scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.dense_ssma import SsmaUNet


@storable("ssma-dense")
@dataclass(frozen=True)
class SsmaDesign:
    """Sizes of a U-Net whose contrasts are gated together at every scale."""

    width: int
    depth: int
    eta: int

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        check_size("eta", self.eta, 256)

    def network(self, channels: dict[str, int], axes: int, labels: int) -> SsmaUNet:
        """Build a fresh network for these contrasts."""
        return SsmaUNet(channels, axes, labels, width=self.width, depth=self.depth, eta=self.eta)


@dataclass(frozen=True)
class SsmaDense(OfMasks):
    """The label of each pixel by a way down for each contrast, and at every scale gates between those present.

    Args:
        width: channels of each contrast at full size; each step down has twice as many.
        depth: steps down.
        eta: how much narrower the bottleneck of the gates is than what it reads.
    """

    width: int = 16
    depth: int = 3
    eta: int = 8

    row: ClassVar[Row] = ROWS["ssma-dense"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid values

    def design(self) -> SsmaDesign:
        """Return the sizes of the network."""
        return SsmaDesign(self.width, self.depth, self.eta)
