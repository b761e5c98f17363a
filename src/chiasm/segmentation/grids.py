"""Images as a network of label maps reads them: the pixels that the encoder `grid` keeps, in one unit over a cohort."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor

from chiasm.artifact import storable
from chiasm.cohort import Cohort, Unsupported
from chiasm.encoders.catalogue import make_encoder
from chiasm.encoders.image.grid import WIDTH, ImageGrid, of_rows
from chiasm.tokens import Tokens

KINDS = ("image", "volume", "dicom")
AT_ONCE = 8


@storable("image-grids")
@dataclass(frozen=True)
class ImageGrids:
    """Tokens of `grid` as they are, and how their pixels are scaled: less their mean and by their spread in training.

    Args:
        channels: of the encoder `grid`.
        mean, spread: (channels,); empty before the fit.
    """

    channels: int
    mean: np.ndarray
    spread: np.ndarray

    fitted_on_cohort: ClassVar[bool] = True
    slots: ClassVar[int] = 0
    width: ClassVar[int] = WIDTH

    def __post_init__(self) -> None:
        if not 1 <= self.channels <= 4096:
            raise ValueError("an image has between 1 and 4,096 channels")
        if self.mean.shape != self.spread.shape or self.mean.shape not in ((0,), (self.channels,)):
            raise ValueError("an image has a mean and a spread for each channel")
        if not np.isfinite(self.mean).all() or not (np.isfinite(self.spread) & (self.spread > 0)).all():
            raise ValueError("the mean and spread of a channel are finite, and the spread above zero")

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Learn mean and spread of the channels from the stored pixels of training patients."""
        total, square, many = np.zeros(self.channels), np.zeros(self.channels), 0
        for start in range(0, len(raw), AT_ONCE):
            values, real = raw.batch(np.arange(start, min(start + AT_ONCE, len(raw))))
            for rows, mask in zip(values, real, strict=True):
                own = of_rows(torch.from_numpy(rows[mask]), self.channels)[0].double().flatten(1)
                total += own.sum(1).numpy()
                square += own.square().sum(1).numpy()
                many += own.shape[1]
        mean = total / max(many, 1)
        spread = np.sqrt(np.maximum(square / max(many, 1) - mean**2, 0.0))
        return type(self)(self.channels, mean, np.where(spread > 1e-6, spread, 1.0))

    def encode(self, raw: Any) -> Tokens:
        """The stored tokens `(n, T, WIDTH)`."""
        values, real = raw.batch(np.arange(len(raw)))
        return Tokens(torch.from_numpy(values), torch.from_numpy(real))

    def image(self, tokens: Tokens, row: int) -> tuple[Tensor, tuple[float, ...]]:
        """The scaled pixels `(channels, ...)` of a patient of a batch, and the spacing."""
        values, spacing = of_rows(tokens.values[row][tokens.mask[row]], self.channels)
        scale = (self.channels, *[1] * (values.ndim - 1))
        mean, spread = (torch.from_numpy(own).to(values).view(scale) for own in (self.mean, self.spread))
        return (values - mean) / spread, spacing


def images_of(
    tokens: Mapping[str, Tokens], present: Tensor, grids: Mapping[str, ImageGrids], row: int
) -> tuple[dict[str, Tensor], tuple[float, ...]]:
    """The images of the modalities that a patient of a batch has, by name, and their spacing.

    Args:
        present: `(B, M)` bool, modalities sorted by name.

    Raises:
        Unsupported: they do not lie on one grid, or he has none.
    """
    found = {
        name: grids[name].image(tokens[name], row) for m, name in enumerate(sorted(grids)) if bool(present[row, m])
    }
    if not found:
        raise Unsupported("a label map is drawn in an image, and a patient has none of the model's")
    if len({image.shape[1:] for image, _ in found.values()}) > 1:
        raise Unsupported(
            f"the images of a patient in {' and '.join(found)} differ in shape: register and resample them to one grid"
        )
    return {name: image for name, (image, _) in found.items()}, next(iter(found.values()))[1]


def grids_of(cohort: Cohort, modality: str) -> ImageGrids:
    """Return how the images of an encoded modality are read, not fitted yet.

    Raises:
        Unsupported: they were not encoded as grids.
    """
    own = cohort.encodings.get(modality)
    encoder = None if own is None else make_encoder(own.encoder, own.kind)
    if not isinstance(encoder, ImageGrid):
        raise Unsupported(
            f"label maps are drawn in the pixels of modality '{modality}', which were not kept as they are: write "
            'encoder = "grid"'
        )
    return ImageGrids(encoder.channels, np.zeros(0), np.zeros(0))
