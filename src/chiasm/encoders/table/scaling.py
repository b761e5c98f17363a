"""Standardising and projecting numeric columns; everything is fitted on the rows given to `fit`, never on others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]
from scipy.special import ndtri  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.protocols import Encoder

Array = NDArray[np.float64]
CLIP = 5.0
FEW = 10  # distinct values up to which a column is a count or a grade, not a measurement
KNOTS = 65
VALUES_AT_ONCE = 1 << 18  # that a fit looks at: what it works on are several copies


@storable("scaler")
@dataclass(frozen=True)
class Scaler:
    """Numeric columns on one scale, missing values at the training median.

    - a constant column: zeros
    - two distinct values: centred, `(x - mean) / (larger - smaller)`, so that 0 and 1 keep their distance
    - up to ten: `clip((x - mean) / sd, -5, 5) / 2`
    - more: the normal score of the training rank, `ndtri(rank) / 2`, so that a raw count of 36,893 among values around
      zero is the largest and nothing worse. Ranks come from 65 quantiles, not from stored values.

    Dividing by two puts numbers and binary columns on one scale (Gelman, Statistics in Medicine 2008).

    Args:
        columns: names, in the order fitted.
        median, mean, scale: `(F,)` float64; a constant column has an infinite scale.
        ranked: `(R,)` positions of the columns that are ranked.
        knots: `(65, R)` their training quantiles.
        tail: the rank of the smallest training value, `1 / (n + 1)`.
    """

    columns: tuple[str, ...]
    median: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    ranked: np.ndarray
    knots: np.ndarray
    tail: float

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """From training rows, `(n, F)` numeric."""
        step = max(1, VALUES_AT_ONCE // max(1, len(frame)))
        starts = range(0, max(1, frame.shape[1]), step)
        parts = [_statistics(numeric(frame.iloc[:, start : start + step])) for start in starts]
        median, mean, scale, distinct, knots = (np.concatenate(found, axis=-1) for found in zip(*parts, strict=True))
        ranked = np.flatnonzero(distinct > FEW)
        return cls(tuple(map(str, frame.columns)), median, mean, scale, ranked, knots, 1 / (len(frame) + 1))

    def __call__(self, frame: pd.DataFrame) -> Array:
        """`(n, F)` float64, scaled; columns are taken by name, others are ignored.

        Raises:
            ValueError: a column that was there at fit is missing now.
        """
        values = numeric(select(frame, self.columns))
        values = np.where(np.isnan(values), self.median, values)
        scaled = np.clip((values - self.mean) / self.scale, -CLIP / 2, CLIP / 2)
        ranks = np.linspace(self.tail, 1 - self.tail, KNOTS)
        for position, knots in zip(self.ranked, self.knots.T, strict=True):
            own = values[:, position]
            # From both sides, so that tied values get the middle of their ranks.
            rank = (np.interp(own, knots, ranks) - np.interp(-own, -knots[::-1], -ranks[::-1])) / 2
            scaled[:, position] = ndtri(rank) / 2
        return np.asarray(scaled)


def _statistics(values: Array) -> tuple[Array, ...]:
    """Median, mean, scale and distinct values of each column, `(F,)`, and the quantiles of those to rank, `(65, R)`."""
    missing = np.isnan(values)
    median = np.zeros(values.shape[1])
    some = ~missing.all(0)
    median[some] = np.nanmedian(values[:, some], axis=0)
    filled = np.where(missing, median, values)
    distinct = 1 + (np.diff(np.sort(filled, axis=0), axis=0) > 0).sum(0)
    scale = np.where(distinct == 2, np.ptp(filled, axis=0), 2 * filled.std(0))
    scale = np.where((distinct == 1) | (scale == 0), np.inf, scale)  # the spread of tiny numbers underflows
    knots = np.quantile(filled[:, distinct > FEW], np.linspace(0, 1, KNOTS), axis=0)
    return median, filled.mean(0), scale, distinct, knots


@storable("columns")
@dataclass(frozen=True)
class Columns:
    """A numeric table as it is, scaled: what a linear model reads of an omics block.

    Args:
        scaler: None before `fit`.
    """

    scaler: Scaler | None = None

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """From the training rows; the order of the columns does not matter."""
        return type(self)(Scaler.fit(raw[sorted(raw.columns)]))

    def features(self, raw: pd.DataFrame) -> Array:
        """`(n, F)` float64."""
        if self.scaler is None:
            raise ValueError("the columns are not fitted: call fit on training rows first")
        return self.scaler(raw)


@storable("pooled-tokens")
@dataclass(frozen=True)
class PooledTokens:
    """The tokens of any encoder as a matrix: side by side where each has a meaning, else their mean."""

    encoder: Encoder

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Fit the encoder."""
        return type(self)(self.encoder.fit(raw, patients))

    def features(self, raw: Any) -> Array:
        """`(n, F)` float64."""
        tokens = self.encoder.encode(raw)
        values = tokens.values.double().numpy()
        if self.encoder.slots:
            return np.asarray(values.reshape(len(values), -1))
        mask = tokens.mask.numpy()[..., None]
        return np.asarray(np.where(mask, values, 0.0).sum(1) / np.maximum(mask.sum(1), 1))


@storable("projection")
@dataclass(frozen=True)
class Projection:
    """Principal components of centred columns: `(x - mean) @ components / scale`.

    Args:
        mean: `(F,)`.
        components: `(F, k)`, orthonormal columns, signs fixed so that the largest entry is positive; divided by each
            column's standard deviation where columns were made alike.
        scale: the training standard deviation of the first component, so that all keep their proportions.
    """

    mean: np.ndarray
    components: np.ndarray
    scale: float

    @classmethod
    def fit(cls, values: Array, components: int, *, alike: bool = False) -> Self:
        """At most `components`, `n - 1` and F of them, through the smaller of the two Gram matrices.

        Args:
            alike: give every column unit variance first, so that numbers of different origin count the same; columns
                that hardly vary, by less than a hundredth of the others, count less.
        """
        n, width = values.shape
        k = max(1, min(components, n - 1, width))
        mean = values.mean(0)
        centred = values - mean
        deviation = np.ones(width)
        if alike:
            deviation = centred.std(0)
            deviation = np.maximum(deviation, max(0.01 * float(np.sqrt((deviation**2).mean())), 1e-12))
            centred = centred / deviation
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
        return cls(mean, np.ascontiguousarray(axes / deviation[:, None]), spread if spread > 1e-9 else 1.0)

    def __call__(self, values: Array) -> Array:
        return np.asarray((values - self.mean) @ self.components / self.scale)


@storable("projected")
@dataclass(frozen=True)
class Projected:
    """Fitted features seen through their principal components, where single columns mean nothing."""

    fitted: Any
    projection: Projection

    def features(self, raw: Any) -> Array:
        """`(n, k)` float64."""
        return self.projection(self.fitted.features(raw))


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
