"""How far patients are from each other over columns of every kind; each block weighs the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist  # type: ignore[import-untyped]
from scipy.special import ndtr  # type: ignore[import-untyped]

from chiasm.generation.margins import Margins
from chiasm.generation.rows import Rows

Array = NDArray[np.float64]
MOST_COLUMNS = 400
"""Columns of a block that are compared, evenly spaced, where it has more."""
NEAR = 0.1
"""A row is another's but for a trifle, if so much of that one's own distance to its nearest other parts them."""
ROUNDING = 1e-9
MOST_DISTANCES = 4_000_000
"""Distances that are held at once, 32 MB."""


@dataclass(frozen=True)
class Space:
    """A space in which Manhattan distance is Gower's: the difference of ranks of a number, 1 for another word.

    A value that one of two lacks is a difference of between 1/2 and 1. Ranks are those of training patients.
    """

    margins: dict[str, Margins]

    @classmethod
    def fit(cls, rows: Rows, *others: Rows) -> Self:
        """Rank the values of patients, at most 400 columns of each block; words of others differ as theirs do."""
        made = {}
        for name, frame in rows.blocks.items():
            step = max(1, -(-frame.shape[1] // MOST_COLUMNS))
            own = Margins.fit(frame.iloc[:, ::step])
            for other in others:
                own = _with_levels(own, Margins.fit(other.blocks[name][list(own.columns)]), other.blocks[name])
            made[name] = own
        return cls(made)

    def features(self, rows: Rows) -> Array:
        """Coordinates `(n, W)` of patients."""
        parts = [np.zeros((len(rows), 0))]
        for name, own in self.margins.items():
            frame, found = rows.blocks[name][list(own.columns)], []
            missing, ranks = frame.isna().to_numpy(), ndtr(own.scores(frame))
            for place, column in enumerate(own.columns):
                lacks = missing[:, place]
                found.append(lacks / 2)
                if column not in own.levels:
                    found.append(np.where(lacks, 0.5, ranks[:, place]))
                    continue
                cells = frame[column].to_numpy()
                if column in own.numeric:
                    found += [(cells == float(level)) / 2 for level in own.levels[column]]
                else:
                    found += [(cells == level) / 2 for level in own.levels[column]]
            if found:
                parts.append(np.stack(found, axis=1) / (len(own.columns) * len(self.margins)))
        return np.concatenate(parts, axis=1)

    @property
    def owners(self) -> list[tuple[str, str]]:
        """The block and the column that each of the W coordinates belongs to."""
        found = []
        for name, own in self.margins.items():
            for column in own.columns:
                found += [(name, column)] * (1 + (len(own.levels[column]) if column in own.levels else 1))
        return found


def nearest(features: Array, among: Array) -> tuple[Array, NDArray[np.int_]]:
    """Distance `(n,)` to the nearest of others, and its place among them."""
    found = [(own.min(axis=1), own.argmin(axis=1)) for own in _between(features, among)]
    return np.concatenate([own for own, _ in found]), np.concatenate([place for _, place in found])


def shared(features: Array, among: Array) -> Array:
    """`(N,)` of how many patients each of N others is the nearest; of k who are as near each counts 1 / k."""
    counted = np.zeros(len(among))
    for between in _between(features, among):
        tied = between <= between.min(axis=1, keepdims=True) + ROUNDING
        counted += (tied / tied.sum(axis=1, keepdims=True)).sum(axis=0)
    return counted


def too_near(others: Array, among: Array) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Who is one of N patients but for a trifle: of others, and of the N each among the rest.

    It is told by a scale of each patient, the distance to his own nearest other, so that neither a crowd nor few who
    are far from everybody set it for all; who has a double has none.
    """
    firsts, twos, at = [], [], 0
    for own in _between(among, among):
        rows = np.arange(len(own))
        own[rows, at + rows] = np.inf
        at += len(own)
        firsts.append(own.argmin(axis=1))
        twos.append(np.partition(own, 1, axis=1)[:, :2])
    first, two = np.concatenate(firsts), np.concatenate(twos)
    distance, place = nearest(others, among)
    scale = np.where(first[first] == np.arange(len(among)), two[first, 1], two[first, 0])
    return _trifle(distance, two[place, 0]), _trifle(two[:, 0], scale)


def _between(features: Array, among: Array) -> Iterator[Array]:
    """Distances `(m, N)` of m patients after another, so few at once that they stay small."""
    step = max(1, MOST_DISTANCES // max(1, len(among)))
    for start in range(0, max(1, len(features)), step):
        yield cdist(features[start : start + step], among, "cityblock")


def _trifle(distance: Array, scale: Array) -> NDArray[np.bool_]:
    return (distance < NEAR * scale) & (scale > ROUNDING)


def same_rows(rows: Rows, among: Rows) -> NDArray[np.bool_]:
    """`(n,)` True for patients who equal one of others in every cell."""
    return np.isin(_hashes(rows), _hashes(among))


def doubles(rows: Rows) -> NDArray[np.bool_]:
    """`(n,)` True for patients who equal another of them in every cell."""
    _, place, sizes = np.unique(_hashes(rows), return_inverse=True, return_counts=True)
    return np.asarray(sizes[place.reshape(-1)] > 1)


def _with_levels(own: Margins, other: Margins, frame: pd.DataFrame) -> Margins:
    """Add the levels of others to columns of levels, which nobody of the fit has."""
    levels, cuts = dict(own.levels), dict(own.cuts)
    for name, known in own.levels.items():
        found = other.levels.get(name)
        if found is None:
            found = tuple(repr(float(level)) for level in sorted(frame[name].dropna().unique()))
        new = tuple(level for level in found if level not in known)
        levels[name], cuts[name] = (*known, *new), np.append(own.cuts[name], np.ones(len(new)))
    return replace(own, levels=levels, cuts=cuts)


def _hashes(rows: Rows) -> NDArray[np.uint64]:
    whole = pd.concat([rows.blocks[name].add_prefix(f"{name}\0") for name in sorted(rows.blocks)], axis=1)
    words = whole.select_dtypes(include="object").columns
    whole[words] = whole[words].where(whole[words].notna(), "").astype(str)
    numbers = whole.columns.difference(words)
    whole[numbers] = whole[numbers].astype(np.float32).fillna(-np.inf) + np.float32(0)
    return np.asarray(pd.util.hash_pandas_object(whole[sorted(whole.columns)], index=False).to_numpy())
