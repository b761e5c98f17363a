"""The encoder `grid`: the pixels or voxels of an image as they are, with its shape and spacing, and nothing resized."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.encoders.batches import in_order
from chiasm.encoders.frozen import identity_of
from chiasm.encoders.image.pixels import SCALES, standardised, with_channels
from chiasm.readers.reading import Image, Volume
from chiasm.tokens import Tokens

WIDTH = 256
MOST_AXES = 3
Rows = TypeVar("Rows", torch.Tensor, NDArray[np.float32])


@storable("encoder-grid")
@dataclass(frozen=True)
class ImageGrid:
    """Encoder of images and volumes that keeps every pixel, for recipes that draw in the geometry of the image.

    The first token says the number of axes, their lengths and the millimetres a pixel along each, ones where the file
    does not say it; the others hold the pixels, channel by channel in row order, `WIDTH` of them each, and zeros at the
    end. Such tokens are of unequal number, and their order is their place: other recipes see a bag in them.

    Args:
        channels: 1 converts colour to grey, and averages the channels of a volume; otherwise images have that many, or
            one, which is repeated.
        normalise: `none`, or `own`: mean 0 and deviation 1 per image, for images whose brightness is arbitrary.
        low, high: the window in HU, used if the unit is HU.

    Raises:
        ValueError: an option is out of range, an image has other channels, or a value is NaN.
    """

    channels: int = 1
    normalise: str = "none"
    low: float = -1000.0
    high: float = 1000.0

    id: ClassVar[str] = "grid"
    version: ClassVar[str] = "1"
    fitted_on_cohort: ClassVar[bool] = False
    batch: ClassVar[int] = 4
    width: ClassVar[int] = WIDTH
    slots: ClassVar[int] = 0

    def __post_init__(self) -> None:
        if self.channels < 1 or self.normalise not in SCALES:
            raise ValueError(f"channels is 1 or more, and normalise {' or '.join(SCALES)}")
        if not self.low < self.high:
            raise ValueError(f"the window from low={self.low:g} to high={self.high:g} HU is empty")

    @property
    def identity(self) -> str:
        return identity_of(self)

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        return self

    def encode(self, raw: Sequence[Image | Volume]) -> Tokens:
        """Encode images to tokens `(n, 1 + ceil(channels x pixels / WIDTH), WIDTH)`."""
        parts = []
        for image in raw:
            volume = isinstance(image, Volume)
            values = with_channels(image.values, self.channels, colour=not volume)
            if isinstance(image, Volume) and image.unit == "HU":
                values = values.clamp(self.low, self.high)
            values = standardised(values) if self.normalise == "own" else values
            parts.append(as_rows(values.numpy(), image.spacing))
        return in_order(parts, WIDTH, 0)


def as_rows(values: NDArray[np.float32], spacing: Sequence[float] | None) -> NDArray[np.float32]:
    """Values `(C, H, W)` or `(C, D, H, W)` as tokens `(T, WIDTH)`, the first of them their shape and spacing."""
    shape = values.shape[1:]
    flat = values.reshape(-1)
    rows = np.zeros((1 + math.ceil(flat.size / WIDTH), WIDTH), dtype=np.float32)
    sides = spacing or (1.0,) * len(shape)
    rows[0, : 1 + 2 * len(shape)] = [len(shape), *shape, *sides]
    rows[1:].reshape(-1)[: flat.size] = flat
    return rows


def of_rows(rows: Rows, channels: int) -> tuple[Rows, tuple[float, ...]]:
    """A view of the values `(channels, H, W)` or `(channels, D, H, W)` of tokens `(T, WIDTH)`, and the spacing.

    Raises:
        ValueError: they are no tokens of a grid, or of other channels.
    """
    axes = int(rows[0, 0])
    shape = [int(own) for own in rows[0, 1 : 1 + axes].tolist()] if 2 <= axes <= MOST_AXES else [0]
    size = channels * math.prod(shape)
    if size < 1 or len(rows) < 1 + math.ceil(size / WIDTH):
        raise ValueError("the images were encoded otherwise than at the fit: encode them as grids of the same channels")
    spacing = tuple(float(own) for own in rows[0, 1 + axes : 1 + 2 * axes].tolist())
    return rows[1:].reshape(-1)[:size].reshape(channels, *shape), spacing
