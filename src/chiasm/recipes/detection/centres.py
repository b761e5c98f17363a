"""`centres`: boxes by their centres, heat maps of a small convolutional network trained from nothing (CenterNet)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from chiasm.artifact import storable
from chiasm.cohort import Unsupported
from chiasm.detection.centre_maps import centre_losses, drawn_maps, found_boxes
from chiasm.detection.centre_network import STRIDE, CentreNetwork
from chiasm.fitting.neural import check_size
from chiasm.fitting.row import Row
from chiasm.metrics.detection import MOST_FOUND
from chiasm.recipes.detection import ROWS
from chiasm.recipes.detection.of_boxes import OfBoxes


class CentreFinder(nn.Module):
    """Finder of boxes by their centres.

    Args:
        labels: K.
        network: gives the maps.
    """

    def __init__(self, labels: int, network: CentreNetwork) -> None:
        super().__init__()
        self.labels, self.network = labels, network

    def losses(self, images: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        """Return the losses of the heat, the sizes and the offsets."""
        said = self.network(images)
        return centre_losses(said, drawn_maps(boxes, self.labels, tuple(said.heat.shape[2:])))

    def found(self, images: Tensor) -> Tensor:
        """Return boxes `(B, M, 6)` at the peaks of the heat."""
        return found_boxes(self.network(images), MOST_FOUND)


@storable("centres")
@dataclass(frozen=True)
class CentresDesign:
    """Sizes of a network of centres."""

    width: int
    depth: int

    def __post_init__(self) -> None:
        check_size("width", self.width, 256)
        check_size("depth", self.depth, 6)

    def finder(self, channels: int, size: int, labels: int) -> CentreFinder:
        """Build a fresh network for images of so many channels."""
        return CentreFinder(labels, CentreNetwork(channels, labels, self.width, self.depth))


@dataclass(frozen=True)
class Centres(OfBoxes):
    """Boxes at the peaks of a heat map for each label, with a size and an offset for each place.

    Args:
        width: channels at a quarter of the image's sides; each step down has twice as many.
        depth: steps down from there.
        modality, flips, epochs, patience, batch, learning_rate, weight_decay: as in `OfBoxes`.
    """

    width: int = 16
    depth: int = 2

    row: ClassVar[Row] = ROWS["centres"]

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.design()  # refuses invalid sizes

    def design(self) -> CentresDesign:
        """Return the sizes of the network."""
        return CentresDesign(self.width, self.depth)

    def fits(self, size: int) -> None:
        """Raise `Unsupported` if the image does not halve so often."""
        least = STRIDE * 2**self.depth
        if size % least:
            raise Unsupported(
                f"an image of {size} pixels a side does not go down {self.depth} times from a quarter: encode it with "
                f"a size that is a multiple of {least}, or set depth lower"
            )
