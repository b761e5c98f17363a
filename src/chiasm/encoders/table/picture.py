"""A long vector drawn as a picture, and read back: pixels in three channels, cut into patches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch

from chiasm.artifact import storable
from chiasm.encoders.table.scaling import Array, Scaler
from chiasm.tokens import Tokens

CHANNELS = 3
LARGEST = 1 << 20


def vector_to_image(values: Array, patch: int = 1) -> Array:
    """Draw vectors `(n, P)` as pictures `(n, 3, side, side)`, row by row and channel after channel, zero at the end.

    The side is the smallest multiple of `patch` that holds them.
    """
    rows, length = values.shape
    side = patch * math.ceil(math.sqrt(math.ceil(length / CHANNELS)) / patch) if length else patch
    found = np.zeros((rows, CHANNELS * side * side), values.dtype)
    found[:, :length] = values
    return found.reshape(rows, CHANNELS, side, side)


def image_to_vector(image: Array, length: int) -> Array:
    """Read vectors `(n, P)` back from their pictures, bit for bit.

    Raises:
        ValueError: the picture holds fewer.
    """
    flat = image.reshape(len(image), -1)
    if length > flat.shape[1]:
        raise ValueError(f"a picture of {flat.shape[1]:,} values cannot hold a vector of {length:,}")
    return flat[:, :length]


@storable("vector-picture")
@dataclass(frozen=True)
class VectorPicture:
    """Numbers, as polygenic scores, brought to one scale by `Scaler` and drawn as a picture that is cut into patches.

    Each patch is a token of `3 patch^2` values with a place of its own.

    Args:
        patch: side of a patch; a picture has 16 patches a side at most, larger ones where it is larger.
        scaler: of the columns; None before `fit`.

    Source: Yang et al., Advancing Multimodal Medical Capabilities of Gemini, arXiv 2405.03162.
    """

    patch: int = 2
    scaler: Scaler | None = None

    fitted_on_cohort: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 1 <= self.patch <= 256:
            raise ValueError("a patch is 1 to 256 pixels wide")

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """Fit on training rows; the order of the columns does not matter.

        Raises:
            ValueError: there are more columns than a picture holds.
        """
        scaler = Scaler.fit(raw[sorted(raw.columns)])
        if len(scaler.columns) > LARGEST:
            raise ValueError(f"{len(scaler.columns):,} columns are more than the {LARGEST:,} that are drawn")
        side = math.ceil(math.sqrt(math.ceil(max(1, len(scaler.columns)) / CHANNELS)))
        return replace(self, patch=max(self.patch, math.ceil(side / 16)), scaler=scaler)

    @property
    def side(self) -> int:
        """Number of patches along a side of the picture."""
        columns = 0 if self.scaler is None else len(self.scaler.columns)
        return int(vector_to_image(np.zeros((1, columns)), self.patch).shape[-1]) // self.patch

    @property
    def slots(self) -> int:
        return self.side**2

    @property
    def width(self) -> int:
        return CHANNELS * self.patch**2

    def pictures(self, raw: Any) -> Array:
        """Return the pictures `(n, 3, side, side)` of rows."""
        if self.scaler is None:
            raise ValueError("the encoder is not fitted: call fit on training rows first")
        return vector_to_image(self.scaler(raw), self.patch)

    def encode(self, raw: Any) -> Tokens:
        """Encode rows to tokens `(n, slots, width)`."""
        image = self.pictures(raw)
        cut = image.reshape(len(image), CHANNELS, self.side, self.patch, self.side, self.patch)
        values = cut.transpose(0, 2, 4, 1, 3, 5).reshape(len(image), self.slots, self.width).astype(np.float32)
        return Tokens(torch.from_numpy(np.ascontiguousarray(values)), torch.ones(values.shape[:2], dtype=torch.bool))
