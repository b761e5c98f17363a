"""Standardisation and projection of numeric columns, fitted only on the rows given to `fit`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg  # type: ignore[import-untyped]
from scipy.special import ndtri  # type: ignore[import-untyped]

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.protocols import Encoder

Array = NDArray[np.float64]
CLIP = 5.0
FEW = 10  # number of distinct values up to which a column counts as a count or grade, not a measurement
KNOTS = 65
VALUES_AT_ONCE = 1 << 18  # values per block of a fit, which needs several copies of them


@storable("scaler", infinite=("scale",))
@dataclass(frozen=True)
class Scaler:
    """Scaler that brings numeric columns to one scale and imputes missing values with the training median.

    - a constant column: zeros
    - two distinct values: centred, `(x - mean) / (larger - smaller)`, so that 0 and 1 keep their distance
    - up to ten: `clip((x - mean) / sd, -5, 5) / 2`
    - more: the normal score of the training rank, `ndtri(rank) / 2`, so that an outlier such as 36,893 among values
      around zero has only the effect of the largest rank. Ranks are interpolated from 65 quantiles.

    Dividing by two puts numeric and binary columns on one scale (Gelman, Statistics in Medicine 2008).

    Args:
        columns: names, in the order of the fit.
        median, mean, scale: `(F,)` float64; a constant column has an infinite scale.
        ranked: `(R,)` positions of the rank-transformed columns.
        knots: `(65, R)` training quantiles of these columns.
        tail: the rank of the smallest training value, `1 / (n + 1)`.
    """

    columns: tuple[str, ...]
    median: np.ndarray
    mean: np.ndarray
    scale: np.ndarray
    ranked: np.ndarray
    knots: np.ndarray
    tail: float

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        ranks = f", and {KNOTS} quantiles of {len(self.ranked):,} of them, from the smallest value to the largest"
        return f"median, mean and scale of {count(len(self.columns), 'column')}{ranks if len(self.ranked) else ''}"

    def __post_init__(self) -> None:
        width, ranked = len(self.columns), np.asarray(self.ranked)
        if any(np.shape(own) != (width,) for own in (self.median, self.mean, self.scale)):
            raise ValueError("a scaler has one median, mean and scale for each of its columns")
        if ranked.ndim != 1 or ranked.dtype.kind != "i" or self.knots.shape != (KNOTS, len(ranked)):
            raise ValueError(f"a scaler has {KNOTS} quantiles for each column that it ranks")
        if len(ranked) and (ranked.min() < 0 or ranked.max() >= width or (np.diff(ranked) <= 0).any()):
            raise ValueError("a scaler ranks a column that there is not, or one twice")
        if (np.diff(self.knots, axis=0) < 0).any() or not 0 < self.tail <= (0.5 if len(ranked) else 1):
            raise ValueError("the quantiles of a scaler ascend, and the rank of the smallest lies between 0 and 1/2")

    @classmethod
    def fit(cls, frame: pd.DataFrame) -> Self:
        """Fit on training rows, `(n, F)` numeric."""
        step = max(1, VALUES_AT_ONCE // max(1, len(frame)))
        starts = range(0, max(1, frame.shape[1]), step)
        parts = [_statistics(numeric(frame.iloc[:, start : start + step])) for start in starts]
        median, mean, scale, distinct, knots = (np.concatenate(found, axis=-1) for found in zip(*parts, strict=True))
        ranked = np.flatnonzero(distinct > FEW)
        return cls(tuple(map(str, frame.columns)), median, mean, scale, ranked, knots, 1 / (len(frame) + 1))

    def part(self, columns: Sequence[str]) -> Self:
        """Return the scaler of some of its columns, in this order."""
        place = {column: number for number, column in enumerate(self.columns)}
        rank = {number: own for own, number in enumerate(self.ranked.tolist())}
        rows = np.array([place[column] for column in columns], np.int64)
        ranked = np.array([number for number, row in enumerate(rows.tolist()) if row in rank], np.int64)
        knots = self.knots[:, [rank[row] for row in rows[ranked].tolist()]]
        return type(self)(
            tuple(columns), self.median[rows], self.mean[rows], self.scale[rows], ranked, knots, self.tail
        )

    def steps(self, other: Scaler) -> dict[str, float]:
        """Return of each column that another scaler has too how many of the other's steps one of its own is.

        A coefficient of the other's columns, times this, means as much for the same difference of values. It is 1 where
        both rank the column, and NaN where one ranks it and the other does not, or it was constant for one.
        """
        place = {column: number for number, column in enumerate(other.columns)}
        ours, theirs = set(self.ranked.tolist()), set(other.ranked.tolist())
        found = {}
        for number, column in enumerate(self.columns):
            if column not in place:
                continue
            own, known = float(self.scale[number]), float(other.scale[place[column]])
            ranked = (number in ours) + (place[column] in theirs)
            alike = ranked == 0 and np.isfinite(own) and np.isfinite(known)
            found[column] = 1.0 if ranked == 2 else own / known if alike else float("nan")
        return found

    def __call__(self, frame: pd.DataFrame) -> Array:
        """Scale a frame to `(n, F)` float64; columns are selected by name, additional ones are ignored.

        Raises:
            ValueError: a column of the fit is missing.
        """
        values = numeric(select(frame, self.columns))
        values = np.where(np.isnan(values), self.median, values)
        scaled = np.clip((values - self.mean) / self.scale, -CLIP / 2, CLIP / 2)
        ranks = np.linspace(self.tail, 1 - self.tail, KNOTS)
        step = max(1, VALUES_AT_ONCE // max(1, len(values)))
        for start in range(0, len(self.ranked), step):
            some = self.ranked[start : start + step]
            own = np.ascontiguousarray(values[:, some].T)  # a column's values lie side by side: half the time
            rank, above = np.empty_like(own), np.empty_like(own)
            knots = np.ascontiguousarray(self.knots.T[start : start + step])
            turned, down, fall = -own, -knots[:, ::-1], -ranks[::-1]
            for place in range(len(some)):
                # Interpolated from both sides, so that tied values get their mid-rank.
                above[place] = np.interp(turned[place], down[place], fall)
                rank[place] = np.interp(own[place], knots[place], ranks)
            scaled[:, some] = (ndtri((rank - above) / 2) / 2).T
        return np.asarray(scaled)


def _statistics(values: Array) -> tuple[Array, ...]:
    """Compute each column's median, mean, scale and distinct values, `(F,)`, and knots `(65, R)` of the ranked ones."""
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
    """Scaled columns of a numeric table: the features of an omics block for linear models.

    Args:
        scaler: None before `fit`.
    """

    scaler: Scaler | None = None

    def fit(self, raw: pd.DataFrame, patients: Sequence[str] = ()) -> Self:
        """Fit on the training rows; the order of the columns does not matter."""
        return type(self)(Scaler.fit(raw[sorted(raw.columns)]))

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the features, which are those of the columns, sorted."""
        return () if self.scaler is None else self.scaler.columns

    def features(self, raw: pd.DataFrame) -> Array:
        """Return the scaled columns, `(n, F)` float64."""
        if self.scaler is None:
            raise ValueError("the columns are not fitted: call fit on training rows first")
        return self.scaler(raw)


@runtime_checkable
class HasFeatures(Protocol):
    """Protocol of an encoder that gives linear models features of its own, instead of its pooled tokens."""

    def features(self, raw: Any) -> Array: ...


@runtime_checkable
class HasUnscaled(Protocol):
    """Protocol of features that also give trees columns in their own units, each with a meaning, NaN where missing."""

    def unscaled(self, raw: Any) -> Array: ...


@runtime_checkable
class NamesFeatures(Protocol):
    """Protocol of fitted features whose columns have names that mean the same in another cohort."""

    @property
    def feature_names(self) -> tuple[str, ...]: ...


@storable("pooled-tokens")
@dataclass(frozen=True)
class PooledTokens:
    """Features from the tokens of any encoder: concatenated if they have fixed positions, else their mean."""

    encoder: Encoder

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Fit the encoder."""
        return type(self)(self.encoder.fit(raw, patients))

    def features(self, raw: Any) -> Array:
        """Encode and pool to `(n, F)` float64."""
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
        components: `(F, k)`, orthonormal columns, signs fixed so that the largest entry is positive; with `alike`,
            rows are divided by each feature's standard deviation.
        scale: the training standard deviation of the first component, which keeps the proportions between components.
    """

    mean: np.ndarray
    components: np.ndarray
    scale: float

    def __post_init__(self) -> None:
        if self.components.ndim != 2 or self.mean.shape != self.components.shape[:1]:
            raise ValueError("a projection has one mean and one row of components for each column")

    @classmethod
    def fit(cls, values: Array, components: int, *, alike: bool = False, counts: Array | None = None) -> Self:
        """Fit at most `min(components, n - 1, F)` components, through the smaller of the two Gram matrices.

        Args:
            counts: (n,) how many patients share each row; one each unless given.
            alike: first scale every column to unit variance, so that columns of different origin weigh the same;
                columns whose deviation is below a hundredth of the root mean square of all weigh less.
        """
        n, width = values.shape
        if not width:  # nothing varies: one component, which is zero for everybody
            return cls(np.zeros(0), np.zeros((0, 1)), 1.0)
        k = max(1, min(components, n - 1, width))
        share = None if counts is None else counts / counts.sum()
        mean = values.mean(0) if share is None else share @ values
        centred = values - mean
        if share is not None:  # so that a mean over the rows is one over the patients
            centred *= np.sqrt(n * share)[:, None]
        deviation = np.ones(width)
        if alike:
            deviation = centred.std(0) if share is None else np.sqrt((centred**2).mean(0))
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
        first = centred @ axes[:, 0]
        spread = float(first.std() if share is None else np.sqrt((first**2).mean()))
        return cls(mean, np.ascontiguousarray(axes / deviation[:, None]), spread if spread > 1e-9 else 1.0)

    def __call__(self, values: Array) -> Array:
        return np.asarray((values - self.mean) @ self.components / self.scale)


@storable("projected")
@dataclass(frozen=True)
class Projected:
    """Principal components of fitted features, for features whose single columns have no meaning."""

    fitted: Any
    projection: Projection

    def features(self, raw: Any) -> Array:
        """Compute the components, `(n, k)` float64."""
        return self.projection(self.fitted.features(raw))


def numeric(frame: pd.DataFrame) -> Array:
    """Convert a frame to `(n, F)` float64 and replace infinities by NaN."""
    values = frame.to_numpy(np.float64, copy=True)
    values[~np.isfinite(values)] = np.nan
    return values


def select(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    """Select these columns in this order.

    Raises:
        ValueError: a column of the fit is missing.
    """
    if tuple(frame.columns) == columns:
        return frame
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(
            f"{len(columns)} columns at fit, and {len(missing)} of them missing now: the first is '{missing[0]}'"
        )
    return frame[list(columns)]
