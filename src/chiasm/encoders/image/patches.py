"""Patch encoders of images and volumes: nothing is trained, every token holds the pixels of one patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from chiasm.artifact import storable
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.image.pixels import check_grid, patched, prepared, standardised
from chiasm.readers.reading import Image, Volume
from chiasm.tokens import Tokens


@storable("encoder-patches")
@dataclass(frozen=True)
class ImagePatches:
    """Image encoder that resizes to a square and cuts it into patches; by default 64 tokens of 7 x 7 grey pixels.

    Token (i, j), in row order, holds the pixels of rows i x patch ... and columns j x patch ..., channel by channel.
    The pixels keep the file's units, because tokens are later scaled by training rows. Images of 28 pixels are kept
    unchanged by `size=28` (16 tokens); the default of 56 doubles them, which adds tokens but no detail.

    Args:
        size, patch: side of the image and of a patch, in pixels.
        channels: 1 converts colour to grey; otherwise images have that many channels, or one, which is repeated.
        resize: `stretch` or `pad`, as in `pixels.resized`.
        normalise: `none`, or `own`: mean 0 and deviation 1 per image, for images whose brightness is arbitrary.

    Raises:
        ValueError: size is not a multiple of patch, an image has other channels, or a value is NaN.
    """

    size: int = 56
    patch: int = 7
    channels: int = 1
    resize: str = "stretch"
    normalise: str = "none"

    id: ClassVar[str] = "patches"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 64

    def __post_init__(self) -> None:
        check_grid(self.size, self.patch, self.channels, self.resize, self.normalise)

    @property
    def width(self) -> int:
        return self.channels * self.patch**2

    @property
    def slots(self) -> int:
        return (self.size // self.patch) ** 2

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Image]) -> Tokens:
        """Encode images to tokens `(n, (size / patch)^2, channels x patch^2)`."""
        parts = []
        for image in raw:
            grid = prepared(image.values, self.channels, self.size, self.resize, image.spacing)
            parts.append(patched(standardised(grid) if self.normalise == "own" else grid, self.patch))
        return in_order(parts, self.width, self.slots)


@storable("encoder-volume-patches")
@dataclass(frozen=True)
class VolumePatches:
    """Volume encoder that resizes to a cube and cuts it into small cubes; by default 64 tokens of 8 x 8 x 8 voxels.

    Tokens are ordered by slices, then rows, then columns. CT in Hounsfield units is clipped to a window before
    resizing, so that a metal implant does not outshine its surroundings. A 32 x 32 x 32 volume is not resized at all.

    Args:
        size, patch: side of the volume and of a patch, in voxels.
        channels: 1 averages the channels of a volume that has several; otherwise volumes have that many, or one.
        resize, normalise: as for `ImagePatches`; `pad` uses the spacing.
        low, high: the window in HU, used if the unit is HU.

    Raises:
        ValueError: as for `ImagePatches`, and for an empty window.
    """

    size: int = 32
    patch: int = 8
    channels: int = 1
    resize: str = "stretch"
    normalise: str = "none"
    low: float = -1000.0
    high: float = 1000.0

    id: ClassVar[str] = "volume-patches"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 8

    def __post_init__(self) -> None:
        check_grid(self.size, self.patch, self.channels, self.resize, self.normalise)
        if not self.low < self.high:
            raise ValueError(f"the window from low={self.low:g} to high={self.high:g} HU is empty")

    @property
    def width(self) -> int:
        return self.channels * self.patch**3

    @property
    def slots(self) -> int:
        return (self.size // self.patch) ** 3

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Volume]) -> Tokens:
        """Encode volumes to tokens `(n, (size / patch)^3, channels x patch^3)`."""
        parts = []
        for volume in raw:
            window = (self.low, self.high) if volume.unit == "HU" else None
            grid = prepared(
                volume.values, self.channels, self.size, self.resize, volume.spacing, colour=False, window=window
            )
            parts.append(patched(standardised(grid) if self.normalise == "own" else grid, self.patch))
        return in_order(parts, self.width, self.slots)
