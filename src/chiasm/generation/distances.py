"""How far patients are from each other over columns of every kind; each block weighs the same."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Space:
    """A space in which Manhattan distance is Gower's: the difference of ranks of a number, 1 for another word.

    A value that one of two lacks is a difference of between 1/2 and 1. Fitted to training patients.
    """

    margins: dict[str, Margins]

    @classmethod
    def fit(cls, rows: Rows) -> Self:
        """Rank the values of patients, at most 400 columns of each block."""
        made = {}
        for name, frame in rows.blocks.items():
            step = max(1, -(-frame.shape[1] // MOST_COLUMNS))
            made[name] = Margins.fit(frame.iloc[:, ::step])
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
    between = cdist(features, among, "cityblock")
    place = between.argmin(axis=1)
    return between[np.arange(len(features)), place], place


def same_rows(rows: Rows, among: Rows) -> NDArray[np.bool_]:
    """`(n,)` True for patients who equal one of others in every cell."""
    return np.isin(_hashes(rows), _hashes(among))


def _hashes(rows: Rows) -> NDArray[np.uint64]:
    whole = pd.concat([rows.blocks[name].add_prefix(f"{name}\0") for name in sorted(rows.blocks)], axis=1)
    words = whole.select_dtypes(include="object").columns
    whole[words] = whole[words].where(whole[words].notna(), "").astype(str)
    numbers = whole.columns.difference(words)
    whole[numbers] = whole[numbers].astype(np.float32).fillna(-np.inf) + np.float32(0)
    return np.asarray(pd.util.hash_pandas_object(whole[sorted(whole.columns)], index=False).to_numpy())
