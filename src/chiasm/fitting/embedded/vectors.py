"""Vectors of patients by row of a cohort: given ones, columns that are fitted on training patients, random features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.encoders import features_of

Array = NDArray[np.float64]
Ints = NDArray[np.int_]


class Seen(Protocol):
    """Protocol of what gives each patient a vector.

    `name` stands in every table; `width` is D, 0 where only the training patients decide it.
    """

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    def of(self, rows: Ints, train: Ints) -> Array:
        """Return vectors `(len(rows), D)` float64 of these rows, where what is fitted is fitted on `train` alone."""


@dataclass(frozen=True, eq=False, repr=False)
class Vectors:
    """Vectors that depend on nobody else, `values` `(N, D)` by row of the cohort; NaN for a patient without one."""

    name: str
    values: NDArray[np.float32]

    @property
    def width(self) -> int:
        return int(self.values.shape[1])

    @property
    def has(self) -> NDArray[np.bool_]:
        """`(N,)` True for a patient who has a vector."""
        return np.asarray(~np.isnan(self.values).all(axis=1))

    def take(self, rows: Ints) -> Vectors:
        """Return the vectors of these patients."""
        return Vectors(self.name, self.values[rows])

    def of(self, rows: Ints, train: Ints) -> Array:
        return self.values[rows].astype(np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class RawColumns:
    """The columns of a table or an omics block, scaled and imputed by what training patients have."""

    name: str
    cohort: Cohort
    modality: str

    @property
    def width(self) -> int:
        return 0

    def take(self, rows: Ints) -> RawColumns:
        """Return the columns of these patients."""
        return RawColumns(self.name, self.cohort.subset(rows), self.modality)

    def of(self, rows: Ints, train: Ints) -> Array:
        raw = self.cohort.raw(self.modality)
        fitted = features_of(self.cohort, self.modality).fit(raw.iloc[train], [])
        return np.asarray(fitted.features(raw.iloc[rows]), np.float64)


@dataclass(frozen=True, eq=False, repr=False)
class RandomFeatures:
    """What a network with one hidden layer gives before any training: `max(0, z W + b)` of the raw input z.

    z is the raw input, centred and scaled to unit variance on training patients; W is `(F, D)` of independent normal
    numbers of variance 1 / F, b of variance 1. An encoder that does not beat it has learned nothing that helps.

    Source: Rahimi and Recht, Weighted Sums of Random Kitchen Sinks, NeurIPS 2008.
    """

    name: str
    raw: Vectors | RawColumns
    width: int
    seed: int

    def take(self, rows: Ints) -> RandomFeatures:
        """Return the random features of these patients."""
        return RandomFeatures(self.name, self.raw.take(rows), self.width, self.seed)

    def of(self, rows: Ints, train: Ints) -> Array:
        learned, asked = self.raw.of(train, train), self.raw.of(rows, train)
        spread = learned.std(0)
        spread = np.where(spread > 1e-12, spread, np.inf)
        rng = np.random.default_rng(self.seed)
        weights = rng.standard_normal((asked.shape[1], self.width)) / np.sqrt(max(1, asked.shape[1]))
        scaled = (asked - learned.mean(0)) / spread
        return np.asarray(np.maximum(0.0, scaled @ weights + rng.standard_normal(self.width)))
