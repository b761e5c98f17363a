"""Tile encoders of whole-slide images: colour and texture statistics, or an image encoder, per tissue tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.batches import Floats, in_order, thinned
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.image.pixels import LUMA
from chiasm.encoders.image.within import ImageEncoderWithin, pooled
from chiasm.readers.reading import Image, Tiled
from chiasm.tokens import Tokens

# Ruifrok and Johnston, Quantification of histochemical staining by color deconvolution (2001): optical densities of
# haematoxylin, eosin and diaminobenzidine in red, green and blue
RGB_FROM_HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
PERCENTILES = (10, 50, 90)
BLOCK = 8
LEVELS = 32


@storable("encoder-tile-statistics")
@dataclass(frozen=True)
class TileStatistics:
    """Slide encoder with 36 colour, stain and texture statistics per tissue tile; one token per tile, no weights.

    For red, green and blue (0 to 1), and for haematoxylin, eosin and DAB by colour deconvolution: mean, deviation,
    10th, 50th and 90th percentile. For the grey image: mean and deviation of the gradient magnitude, the deviation of
    the Laplacian and of the means of 8 x 8 blocks, and the entropy of the histogram in bits. Last, the mean saturation.

    Args:
        most: maximum number of tiles; a slide with more keeps every second, fourth, ... tile, at least half of `most`.
    """

    most: int = 4096

    id: ClassVar[str] = "tile-statistics"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 1

    width: ClassVar[int] = 36
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _check(self.most)

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Tiled]) -> Tokens:
        """Encode slides to tokens `(n, tiles, 36)`.

        Raises:
            ValueError: a slide has no tissue.
        """
        parts = [thinned((tile for tile, _ in slide.tiles()), self.most, statistics) for slide in raw]
        return in_order(parts, self.width, 0)


@storable("encoder-tiles")
@dataclass(frozen=True)
class Tiles(ImageEncoderWithin):
    """Slide encoder with one token per tissue tile, the mean of an image encoder's tokens for it.

    Args:
        encoder: the image encoder, as in a manifest: `tiles:most=500,encoder=hf:folder`; it comes last, followed by its
            own options. The default keeps each tile as a colour thumbnail of 8 x 8.
        most: as for `TileStatistics`; a pretrained network takes about 0.2 s per tile on a CPU.
    """

    encoder: str = "patches:size=8,patch=8,channels=3"
    most: int = 1024

    id: ClassVar[str] = "tiles"
    version: ClassVar[str] = "1"
    batch: ClassVar[int] = 1
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        _check(self.most)
        self._inner  # noqa: B018  an encoder that does not exist is refused here

    def encode(self, raw: Sequence[Tiled]) -> Tokens:
        """Encode slides to tokens `(n, tiles, image encoder's width)`. Raises ValueError for a slide without tissue."""
        inner = self._inner

        def describe(tile: NDArray[np.uint8]) -> Floats:
            image = Image(np.ascontiguousarray(tile.transpose(2, 0, 1), np.float32), ("red", "green", "blue"))
            return pooled(inner.encode([image])).ravel()

        parts = [thinned((tile for tile, _ in slide.tiles()), self.most, describe) for slide in raw]
        return in_order(parts, self.width, 0)


def statistics(tile: NDArray[np.uint8]) -> Floats:
    """Compute the statistics `(36,)` float32 of an RGB tile `(h, w, 3)` of at least 8 pixels a side."""
    if tile.ndim != 3 or tile.shape[2] != 3 or min(tile.shape[:2]) < BLOCK:
        raise ValueError("a tile of a slide is (h, w, 3), 8 pixels a side or more: check the reader")
    colour: Floats = tile.astype(np.float32) / np.float32(255)
    planes, stains = (as_planes(image) for image in (colour, haematoxylin_eosin_dab(colour)))
    grey: Floats = (np.array(LUMA, np.float32) @ planes).reshape(tile.shape[:2])
    down, across = np.gradient(grey)
    slope = np.hypot(down, across)
    inside = grey[1:-1, 1:-1]
    laplacian = grey[2:, 1:-1] + grey[:-2, 1:-1] + grey[1:-1, 2:] + grey[1:-1, :-2] - 4 * inside
    rows, columns = (length // BLOCK for length in grey.shape)
    blocks = grey[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).mean((1, 3))
    share = np.histogram(grey, LEVELS, (0, 1.0001))[0] / grey.size
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum()
    brightest = planes.max(0)
    saturation = ((brightest - planes.min(0)) / np.maximum(brightest, 1e-6)).mean()
    texture = [slope.mean(), slope.std(), laplacian.std(), blocks.std(), entropy, saturation]
    return np.concatenate([_spread(planes), _spread(stains), texture]).astype(np.float32)


def as_planes(image: Floats) -> Floats:
    """Copy `(h, w, 3)` to contiguous planes `(3, h x w)`, on which statistics are several times faster."""
    return np.ascontiguousarray(image.reshape(-1, 3).T)


def _spread(planes: Floats) -> Floats:
    """Compute mean, deviation and percentiles of three planes: 15 numbers."""
    percentiles = np.percentile(planes, PERCENTILES, axis=1).ravel()
    return np.concatenate([planes.mean(1), planes.std(1), percentiles])


def haematoxylin_eosin_dab(colour: Floats) -> Floats:
    """Compute stain densities `(h, w, 3)` of RGB in 0 .. 1: `max(0, log(rgb) / log(1e-6) @ inverse(RGB_FROM_HED))`."""
    density = np.log(np.maximum(colour, 1e-6)) / np.log(1e-6)
    stains: Floats = np.maximum(density @ np.linalg.inv(RGB_FROM_HED), 0).astype(np.float32)
    return stains


def _check(most: int) -> None:
    if most < 2:
        raise ValueError("most tiles are 2 or more")
