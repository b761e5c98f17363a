"""The shape of a network over rasters, and what it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from chiasm.artifact import storable

NETWORKS = ("vit", "conv", "channels")
NORMS = ("batch", "layer")
LARGEST = 4096
MOST_PLACES = 4096
PLACES = 64  # at most, of a patch that nobody named


@storable("raster-config")
@dataclass(frozen=True)
class RasterConfig:
    """The shape of a network that reads rasters `(C, *space)`.

    `vit` is a `PatchTransformer`, `conv` a `ConvNet`, `channels` a `ChannelTransformer`, each of whose channels has
    tokens of its own and may be absent.

    Args:
        network: vit, conv or channels.
        axes: of space: 1 for signals, 2 for images, 3 for volumes.
        channels: C.
        size: length of each axis of space.
        patch: length of a patch along each axis, which is the total stride of `conv`; 0: the smallest that makes at
            most 64 places.
        width: D, numbers of each place.
        depth: layers of vit and channels, stages of conv, each of half the resolution of the one before.
        heads: of attention, not of conv.
        norm: of conv alone: `batch`, or `layer`, over the channels of each place.

    Raises:
        ValueError: an option is out of range.
    """

    network: str = "vit"
    axes: int = 2
    channels: int = 1
    size: int = 64
    patch: int = 0
    width: int = 128
    depth: int = 3
    heads: int = 4
    norm: str = "batch"

    def __post_init__(self) -> None:
        if self.network not in NETWORKS or self.norm not in NORMS:
            raise ValueError(f"network is {', '.join(NETWORKS)}, and norm {' or '.join(NORMS)}")
        if self.axes not in (1, 2, 3) or not 1 <= self.channels <= LARGEST or self.size < 2:
            raise ValueError("a raster has one to three axes of space, one channel or more, and a size of 2 or more")
        if not (1 <= self.width <= LARGEST and 1 <= self.depth <= 64 and 1 <= self.heads <= 64):
            raise ValueError(f"width lies between 1 and {LARGEST}, depth and heads between 1 and 64")
        if self.patch == 0:
            object.__setattr__(self, "patch", self._own_patch())
        if self.patch < 1 or self.size % self.patch:
            raise ValueError(f"size ({self.size}) is a multiple of patch ({self.patch})")
        tokens = self.places * (self.channels if self.network == "channels" else 1)
        if self.places < 2 or tokens > MOST_PLACES:
            raise ValueError(
                f"a size of {self.size} and a patch of {self.patch} make {tokens:,} places: choose both so that "
                f"there are between 2 and {MOST_PLACES:,}"
            )
        if self.network != "conv" and (self.width % self.heads or self.width < 2 * self.axes):
            raise ValueError("heads divide the width, and the width is twice the number of axes or more")
        if self.network == "conv" and (self.patch % self.halvings or self.width % self.halvings):
            raise ValueError(
                f"{self.depth} stages halve the resolution {self.depth - 1} times: patch ({self.patch}) and width "
                f"({self.width}) are multiples of {self.halvings}"
            )

    @property
    def grid(self) -> tuple[int, ...]:
        """Number of places along each axis."""
        return (self.size // self.patch,) * self.axes

    @property
    def places(self) -> int:
        """N, number of places."""
        return math.prod(self.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(C, *space)` of a raster."""
        return (self.channels, *(self.size,) * self.axes)

    @property
    def values(self) -> int:
        """Numbers of a raster."""
        return math.prod(self.shape)

    @property
    def patch_values(self) -> int:
        """P, numbers of a patch."""
        return self.channels * math.prod([self.patch] * self.axes)

    @property
    def halvings(self) -> int:
        """By how much the stages of `conv` reduce what its stem gives."""
        return 1 << (self.depth - 1)

    def _own_patch(self) -> int:
        step = self.halvings if self.network == "conv" else 1
        fits = [k for k in range(1, self.size) if self.size % k == 0 and k % step == 0]
        small = [k for k in fits if (self.size // k) ** self.axes <= PLACES]
        return (small or fits[-1:] or [self.size])[0]
