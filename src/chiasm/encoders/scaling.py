"""Standardising and projecting numeric columns; everything is fitted on the rows given to `fit`, never on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]

from chiasm.artifact import storable

Array = NDArray[np.float64]
CLIP = 5.0


@storable("scaler")
@dataclass(frozen=True)
class Scaler:
    """`clip((x - mean) / sd, -5, 5)`, missing values at the median first; a constant column gives zeros.

    Clipping keeps one raw count of 36,893 among values around zero from deciding a component.

    Args:
        columns: names, in the order fitted.
        median, mean, scale: `(F,)` float64.
    """

    columns: tuple[str, ...]
    median: np.ndarray
    mean: np.ndarray
    scale: np.ndarray

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """From training rows, `(n, F)` numeric."""
        values = numeric(frame)
        missing = np.isnan(values)
        median = np.zeros(values.shape[1])
        some = ~missing.all(0)
        median[some] = np.nanmedian(values[:, some], axis=0)
        filled = np.where(missing, median, values)
        scale = filled.std(0)
        # A spread below rounding of the mean is a constant column: it must not become noise of size one.
        constant = scale <= 1e-9 * np.maximum(1.0, np.abs(filled.mean(0)))
        return cls(tuple(map(str, frame.columns)), median, filled.mean(0), np.where(constant, np.inf, scale))

    def __call__(self, frame: pd.DataFrame) -> Array:
        """`(n, F)` float64, standardised; columns are taken by name, others are ignored.

        Raises:
            ValueError: a column that was there at fit is missing now.
        """
        values = numeric(select(frame, self.columns))
        values = np.where(np.isnan(values), self.median, values)
        return np.clip((values - self.mean) / self.scale, -CLIP, CLIP)


@storable("projection")
@dataclass(frozen=True)
class Projection:
    """Principal components of centred columns: `(x - mean) @ components / scale`.

    Args:
        mean: `(F,)`.
        components: `(F, k)`, orthonormal columns, signs fixed so that the largest entry is positive.
        scale: the training standard deviation of the first component, so that all keep their proportions.
    """

    mean: np.ndarray
    components: np.ndarray
    scale: float

    @classmethod
    def fit(cls, values: Array, components: int) -> Self:
        """At most `components`, `n - 1` and F of them, through the smaller of the two Gram matrices."""
        n, width = values.shape
        k = max(1, min(components, n - 1, width))
        mean = values.mean(0)
        centred = values - mean
        if width <= n:
            _, vectors = linalg.eigh(centred.T @ centred, subset_by_index=(width - k, width - 1))
            axes = vectors[:, ::-1]
        else:
            size, left = linalg.eigh(centred @ centred.T, subset_by_index=(n - k, n - 1))
            size, left = np.maximum(size[::-1], 0.0), left[:, ::-1]
            usable = size > max(size[0], 1e-12) * 1e-10
            axes = np.where(usable, centred.T @ left / np.sqrt(np.where(usable, size, 1.0)), 0.0)
        largest = np.abs(axes).argmax(0)
        axes = axes * np.where(axes[largest, np.arange(k)] < 0, -1.0, 1.0)
        spread = float((centred @ axes[:, 0]).std())
        return cls(mean, np.ascontiguousarray(axes), spread if spread > 1e-9 else 1.0)

    def __call__(self, values: Array) -> Array:
        return (values - self.mean) @ self.components / self.scale


def numeric(frame: pd.DataFrame) -> Array:
    """`(n, F)` float64; infinities become missing, so that no later step meets one."""
    values = frame.to_numpy(np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def select(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """These columns in this order.

    Raises:
        ValueError: one that was there at fit is missing.
    """
    if tuple(frame.columns) == columns:
        return frame
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{len(columns)} columns at fit, and {len(missing)} of them missing now: the first is '{missing[0]}'"
        )
    return frame[list(columns)]
