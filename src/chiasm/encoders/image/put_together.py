"""Whole images again, of the pixels that the encoder `patches` keeps, for networks that read images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.patches import ImagePatches
from chiasm.tokens import Tokens

AT_ONCE = 64


@storable("image-pixels")
@dataclass(frozen=True)
class ImagePixels:
    """Patches of images, each channel less its mean and by its spread over the training images.

    Args:
        size, patch, channels: of the encoder `patches`.
        mean, spread: (channels,); empty before the fit.
    """

    size: int
    patch: int
    channels: int
    mean: np.ndarray
    spread: np.ndarray

    fitted_on_cohort: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mean.shape != self.spread.shape or self.mean.shape not in ((0,), (self.channels,)):
            raise ValueError("an image has a mean and a spread for each channel")
        if not 1 <= self.patch <= self.size <= 4096 or self.size % self.patch:
            raise ValueError("an image is a whole number of patches wide, and 4,096 pixels at most")

    @property
    def width(self) -> int:
        return self.channels * self.patch**2

    @property
    def slots(self) -> int:
        return (self.size // self.patch) ** 2

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Measure the channels of the stored patches of training patients."""
        total, square, many = np.zeros(self.channels), np.zeros(self.channels), 0
        for start in range(0, len(raw), AT_ONCE):
            values = self._channels(raw, np.arange(start, min(start + AT_ONCE, len(raw)))).astype(np.float64)
            total += values.sum(axis=(0, 1, 3))
            square += (values**2).sum(axis=(0, 1, 3))
            many += values.shape[0] * values.shape[1] * values.shape[3]
        mean = total / max(many, 1)
        spread = np.sqrt(np.maximum(square / max(many, 1) - mean**2, 0.0))
        return type(self)(self.size, self.patch, self.channels, mean, np.where(spread > 1e-6, spread, 1.0))

    def encode(self, raw: Any) -> Tokens:
        """Standardised patches `(n, T, channels x patch^2)`."""
        values = self._channels(raw, np.arange(len(raw)))
        values = (values - self.mean[:, None]) / self.spread[:, None]
        tokens = torch.from_numpy(values.reshape(len(values), self.slots, self.width).astype(np.float32))
        return Tokens(tokens, torch.ones(tokens.shape[:2], dtype=torch.bool))

    def _channels(self, raw: Any, rows: np.ndarray) -> np.ndarray:
        """`(n, T, channels, patch^2)`."""
        values, _ = raw.batch(rows)
        if values.shape[1:] != (self.slots, self.width):
            raise ValueError("the images were encoded by other patches than at the fit: encode with the same encoder")
        return np.asarray(values).reshape(len(values), self.slots, self.channels, -1)

    def images(self, tokens: Tensor) -> Tensor:
        """Put patches `(B, T, channels x patch^2)` together: `(B, channels, size, size)`."""
        side = self.size // self.patch
        cut = tokens.reshape(len(tokens), side, side, self.channels, self.patch, self.patch)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(len(tokens), self.channels, self.size, self.size)


def pixels_of(cohort: Cohort, modality: str, purpose: str, usual: str) -> ImagePixels:
    """Return how the images of an encoded modality are put together again, not fitted yet.

    Args:
        purpose: what is done with the pixels, as "boxes are found in".
        usual: the encoder to write, for the error.

    Raises:
        Unsupported: they were not encoded as patches that fill the image.
    """
    own = cohort.encodings.get(modality)
    encoder = None if own is None else make_encoder(own.encoder, own.kind)
    if not isinstance(encoder, ImagePatches) or encoder.resize != "stretch":
        raise Unsupported(
            f"{purpose} the pixels of modality '{modality}', which were not kept as patches that fill the image: write "
            f'encoder = "{usual}"'
        )
    nothing = np.zeros(0)
    return ImagePixels(encoder.size, encoder.patch, encoder.channels, nothing, nothing)
