"""Columns to normal scores and back: numbers by quantiles, words by cuts of an ordered latent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

from chiasm.artifact import storable

Array = NDArray[np.float64]
KNOTS = 101
FEW = 10  # number of distinct values up to which a column of numbers has levels, not quantiles
HIDDEN = 5  # patients among whom one can hide: each knot is a mean of so many, and a level of fewer is not kept
MOST_DECIMALS = 6
OTHER = "[other]"
"""The word that stands for all words of fewer than five patients each."""


@storable("column-margins")
@dataclass(frozen=True)
class Margins:
    """The distribution of each of F columns, apart from the others.

    A number x has the normal score `ndtri(F(x))`, F interpolated from 101 quantiles, the middle of the ranks where
    values are tied. A column of levels has cuts `c_k = ndtri(P(level <= k))`, and the score of a level is the mean of a
    standard normal between its cuts. Each quantile is the mean of five patients beside each other; these means overlap.

    Args:
        columns: names, in order.
        levels: column to its levels in order, as text, for words and for numbers of at most ten values.
        numeric: columns of levels that are numbers.
        cuts: column of levels to `(K + 1,)` cumulative shares, from 0 to 1.
        knots: `(101, P)` quantiles of the P columns without levels, in order; NaN where nobody has a value.
        decimals: `(P,)` int, the decimals that their values are written with; 7 means that they are not rounded.
    """

    columns: tuple[str, ...]
    levels: dict[str, tuple[str, ...]]
    numeric: tuple[str, ...]
    cuts: dict[str, np.ndarray]
    knots: np.ndarray
    decimals: np.ndarray

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"{KNOTS} quantiles or the shares of the levels of {len(self.columns):,} columns"

    @classmethod
    def fit(cls, frame: pd.DataFrame, orders: dict[str, list[str]] | None = None, plain: Sequence[str] = ()) -> Self:
        """Fit to `(n, F)` columns.

        Args:
            orders: the levels of columns of words in an order other than sorted.
            plain: columns of numbers that have no levels, however few values they have.
        """
        levels, numeric, cuts, knots, decimals = {}, [], {}, [], []
        for name, column in frame.items():
            some = column.dropna()
            if column.dtype == object:
                own = [str(level) for level in (orders or {}).get(str(name), sorted(map(str, some.unique())))]
            elif some.nunique() <= FEW and str(name) not in plain:
                own = [repr(float(level)) for level in sorted(some.unique())]
                numeric.append(str(name))
            else:
                values = np.sort(some.to_numpy(np.float64))
                knots.append(_quantiles(values) if len(values) else np.full(KNOTS, np.nan))
                decimals.append(_decimals(values) if len(values) else 0)
                continue
            levels[str(name)] = tuple(own)
            texts = some.map(lambda level: repr(float(level))) if column.dtype != object else some.astype(str)
            sizes = texts.value_counts().reindex(own).fillna(0).to_numpy(np.float64)
            cuts[str(name)] = np.concatenate([[0.0], np.cumsum(sizes) / max(1.0, sizes.sum())])
        table = np.stack(knots, axis=1) if knots else np.zeros((KNOTS, 0))
        return cls(tuple(map(str, frame.columns)), levels, tuple(numeric), cuts, table, np.array(decimals, np.int64))

    @classmethod
    def of_range(cls, frame: pd.DataFrame, levelled: Sequence[str] = ()) -> Self:
        """What is taken as known of columns without a look at how often a value is there.

        Numbers by evenly spaced quantiles between the lowest and the highest value, each rounded outward to a tenth of
        the power of ten below their distance; levels of words, and of the columns `levelled`, with even shares;
        decimals. No other column of numbers has levels: which values there are is not known to all.
        """
        plain = [str(name) for name, own in frame.items() if own.dtype != object and str(name) not in levelled]
        own = cls.fit(frame, plain=plain)
        knots = own.knots.copy()
        for position, name in enumerate(one for one in own.columns if one not in own.levels):
            values = frame[name].dropna()
            apart = float(values.max() - values.min()) if len(values) else 0.0
            if not apart:
                continue
            unit = 10 ** np.floor(np.log10(apart)) / 10
            knots[:, position] = np.linspace(
                np.floor(values.min() / unit) * unit, np.ceil(values.max() / unit) * unit, KNOTS
            )
        cuts = {name: np.linspace(0, 1, len(levels) + 1) for name, levels in own.levels.items()}
        return replace(own, cuts=cuts, knots=knots)

    def scores(self, frame: pd.DataFrame) -> Array:
        """Normal scores `(n, F)` of columns of the fit, NaN where a value is missing, or a level was never seen.

        Where words of few patients are one level, a word never seen is of it.
        """
        out = np.full((len(frame), len(self.columns)), np.nan)
        position = -1
        for number, name in enumerate(self.columns):
            if name in self.levels:
                out[:, number] = self._level_scores(name)[self.places(name, frame[name])]
                continue
            position += 1
            values = frame[name].to_numpy(np.float64)
            some = ~np.isnan(values)
            out[some, number] = ndtri(_ranks(values[some], self.knots[:, position]))
        return out

    def values(self, scores: Array) -> pd.DataFrame:
        """Values `(n, F)` of normal scores, the inverse of `scores`; NaN where a score is."""
        found, position = {}, -1
        ranks = ndtr(scores)
        grid = np.linspace(0, 1, KNOTS)
        for number, name in enumerate(self.columns):
            own = ranks[:, number]
            if name in self.levels:
                place = np.searchsorted(self.cuts[name][1:-1], own, side="right")
                found[name] = self.named(name, np.where(np.isnan(own), -1, place))
                continue
            position += 1
            values = np.interp(own, grid, self.knots[:, position])
            digits = int(self.decimals[position])
            found[name] = np.round(values, digits) if digits <= MOST_DECIMALS else values
        return pd.DataFrame(found, columns=list(self.columns))

    @property
    def variances(self) -> Array:
        """`(F,)` variance of the scores: 1 for a number without ties, less the fewer levels a column has."""
        out = np.ones(len(self.columns))
        for number, name in enumerate(self.columns):
            if name in self.levels:
                out[number] = float((np.diff(self.cuts[name]) * self._level_scores(name)[:-1] ** 2).sum())
        return out

    def named(self, name: str, places: NDArray[np.int_]) -> NDArray[Any]:
        """The levels of a column at their places, missing where there is no such place."""
        labels = self.levels[name]
        numbers = [float(level) for level in labels] if name in self.numeric else list(labels)
        words = np.array([*numbers, np.nan], dtype=float if name in self.numeric else object)
        return words[np.where((places < 0) | (places >= len(labels)), len(labels), places)]

    def places(self, name: str, column: pd.Series) -> NDArray[np.int_]:
        """Place of each cell among the levels, of another number that of the nearest; the last for a missing cell."""
        known = {level: place for place, level in enumerate(self.levels[name])}
        unseen = known.get(OTHER, len(known)) if name not in self.numeric else len(known)
        as_text = (lambda own: repr(float(own))) if name in self.numeric else str
        missing = column.isna().to_numpy()
        cells = column.to_numpy()
        if name in self.numeric and known:
            levels = np.array([float(own) for own in known])
            apart = np.abs(np.where(missing, 0.0, cells.astype(np.float64))[:, None] - levels)
            return np.where(missing, len(known), apart.argmin(1))
        return np.array(
            [
                len(known) if lacks else known.get(as_text(own), unseen)
                for own, lacks in zip(cells, missing, strict=True)
            ],
            dtype=int,
        )

    def _level_scores(self, name: str) -> Array:
        """`(K + 1,)` mean of a standard normal within the cuts of each level; the last, for a missing cell, NaN."""
        edges = ndtri(self.cuts[name])
        heights = np.exp(-np.square(edges) / 2) / np.sqrt(2 * np.pi)
        shares = np.diff(self.cuts[name])
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.where(
                shares > 0, -np.diff(heights) / shares, ndtri(np.clip(self.cuts[name][1:], 1e-6, 1 - 1e-6))
            )
        return np.append(means, np.nan)


def without_few(frame: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """The same rows without a level of fewer than five patients in some columns, so that no such level is kept.

    Words of few patients become one, `[other]`; numbers of at most ten values become the mean of neighbours, with the
    decimals of the column. Where these are fewer than five patients too they are missing.
    """
    changed = {}
    for name in columns:
        sizes = frame[name].value_counts()
        words = frame[name].dtype == object
        if not len(sizes) or sizes.min() >= HIDDEN or (not words and len(sizes) > FEW):
            continue
        if words:
            few = frame[name].isin(sizes.index[sizes < HIDDEN])
            changed[name] = frame[name].mask(few, OTHER if few.sum() >= HIDDEN else np.nan)
        else:
            changed[name] = frame[name].map(merged(sizes.sort_index())).astype(np.float64)
    return frame.assign(**changed)


def merged(sizes: pd.Series) -> dict[float, float]:
    """Each of ascending numbers to the mean of its run of at least five patients; NaN where all are fewer."""
    values, counts = sizes.index.to_numpy(np.float64), sizes.to_numpy(np.float64)
    runs: list[list[int]] = [[]]
    for place in range(len(values)):
        runs[-1].append(place)
        if counts[runs[-1]].sum() >= HIDDEN and place + 1 < len(values):
            runs.append([])
    if len(runs) > 1 and counts[runs[-1]].sum() < HIDDEN:
        last = runs.pop()
        runs[-1] += last
    digits, found = _decimals(values), dict[float, float]()
    for run in runs:
        mean = float(np.average(values[run], weights=counts[run])) if counts[run].sum() >= HIDDEN else np.nan
        found |= dict.fromkeys(values[run].tolist(), mean if len(run) == 1 else float(np.round(mean, digits)))
    return found


def _quantiles(ordered: Array) -> Array:
    """101 quantiles of sorted values, each the mean of five beside each other, so that none is one patient's value."""
    many = min(HIDDEN, len(ordered))
    means = np.lib.stride_tricks.sliding_window_view(ordered, many).mean(axis=1)
    middle = np.round(np.linspace(0, len(ordered) - 1, KNOTS)).astype(int) - many // 2
    return np.asarray(means[np.clip(middle, 0, len(means) - 1)])


def _decimals(values: Array) -> int:
    """Fewest decimals that write all values, up to six; one more where none do."""
    for digits in range(MOST_DECIMALS + 1):
        if np.allclose(values, np.round(values, digits), rtol=0, atol=1e-9 * max(1.0, float(np.abs(values).max()))):
            return digits
    return MOST_DECIMALS + 1


def _ranks(values: Array, knots: Array) -> Array:
    """Rank of values between 0 and 1, both excluded, by quantiles; the middle of the ranks of tied quantiles."""
    grid, edge = np.linspace(0, 1, KNOTS), 0.5 / KNOTS
    low, high = np.searchsorted(knots, values, "left"), np.searchsorted(knots, values, "right")
    tied = (grid[np.minimum(low, KNOTS - 1)] + grid[np.maximum(high - 1, 0)]) / 2
    strict = np.concatenate([[True], np.diff(knots) > 0])
    between = np.interp(values, knots[strict], grid[strict])
    return np.clip(np.where(high > low, tied, between), edge, 1 - edge)
