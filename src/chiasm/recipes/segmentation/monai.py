"""`monai`: label maps drawn by a network of MONAI, which takes zeros for a contrast that is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from chiasm.artifact import storable
from chiasm.fitting.base import choice
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.recipes.segmentation import ROWS
from chiasm.recipes.segmentation.of_masks import OfMasks
from chiasm.segmentation.monai_nets import NETWORKS, MonaiNet


@storable("monai-net")
@dataclass(frozen=True)
class MonaiDesign:
    """A network of MONAI and its sizes."""

    network_name: str
    width: int
    depth: int

    def __post_init__(self) -> None:
        choice("network", self.network_name, NETWORKS)
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)
        if self.network_name == "swin-unetr" and self.width % 12:
            raise ValueError("the width of swin-unetr is a multiple of 12")

    def network(self, channels: dict[str, int], axes: int, labels: int) -> MonaiNet:
        """Build a fresh network for these contrasts."""
        return MonaiNet(self.network_name, channels, axes, labels, self.width, self.depth)


@dataclass(frozen=True)
class Monai(OfMasks):
    """The label of each pixel by MONAI's UNet, DynUNet or SwinUNETR; contrasts are channels, absent ones zeros.

    Args:
        network: unet, residual; dynunet, the network of nnU-Net, residual; or swin-unetr.
        width: channels at full size; a multiple of 12 for swin-unetr.
        depth: steps down; swin-unetr always has five.
    """

    network: str = "unet"
    width: int = 24
    depth: int = 3
    learning_rate: float = 1e-3

    row: ClassVar[Row] = ROWS["monai"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid values

    def design(self) -> MonaiDesign:
        """Return the network and its sizes."""
        return MonaiDesign(self.network, self.width, self.depth)
