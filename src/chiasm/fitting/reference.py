"""What a model folder keeps of its training patients for a later comparison: counts and bins, and no row.

A table of up to 64 columns is kept column by column: the number with a value, edges of up to ten bins of five patients
or more, each edge between two values; of words and of a few different numbers the count of each level, those of fewer
than five patients together. Anything wider, and tokens, is first turned into some features: components of the scaled
columns, their mean, and the distance from the middle. These are fitted on one half of the patients and binned on the
other: the bins of the patients a component was fitted on are not those of new ones.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.small_cells import LEAST
from chiasm.encoders import features_of
from chiasm.encoders.table.scaling import Projection
from chiasm.errors import count
from chiasm.metrics.two_sample import edges_of

Array = NDArray[np.float64]
BINS, COLUMNS, LEVELS, COMPONENTS = 10, 64, 12, 8
MOST = 5_000
MIDDLES = ("mean of all columns", "distance from the middle")
REST = "fewer than five patients each"
ALONE = "none"
"""How a patient without any of the modalities is called among the patterns."""


@storable("column-summary")
@dataclass(frozen=True)
class ColumnSummary:
    """A column of n patients: how many have a value, and the bins or levels of these.

    Args:
        name: of the column.
        patients, known: n, and how many have a value.
        edges, places, below: `(E,)` edges, where among equal values each lies, and the values below it.
        levels, counts: names and `(L,)` numbers of levels, those of fewer than five together; empty for bins.
    """

    name: str
    patients: int
    known: int
    edges: np.ndarray
    places: np.ndarray
    below: np.ndarray
    levels: tuple[str, ...]
    counts: np.ndarray

    def __post_init__(self) -> None:
        if not self.edges.shape == self.places.shape == self.below.shape or self.edges.ndim != 1:
            raise ValueError("a summary of a column has one place and one number for each edge")
        if len(self.levels) != len(self.counts) or not 0 <= self.known <= self.patients:
            raise ValueError("a summary of a column has one number for each level, and no more values than patients")


@storable("modality-summary")
@dataclass(frozen=True)
class ModalitySummary:
    """The columns of a modality, or the features of a wide one with what makes them.

    Args:
        columns: their summaries, none where too few patients have the modality.
        features, projection: the fitted scaling and components of a modality that is wide, or of tokens; else None.
    """

    columns: tuple[ColumnSummary, ...]
    features: Any = None
    projection: Projection | None = None


@storable("reference")
@dataclass(frozen=True)
class Reference:
    """A summary of n patients.

    Args:
        patients: n.
        present: modality to how many have it.
        patterns: pattern of modalities to how many have it; those of fewer than five stand together.
        modalities: modality to its columns.
        predictions: columns of what a model predicts of them; none where the model has learned from them.
    """

    patients: int
    present: dict[str, int]
    patterns: dict[str, int]
    modalities: dict[str, ModalitySummary]
    predictions: tuple[ColumnSummary, ...] = ()

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        columns = sum(len(own.columns) for own in self.modalities.values())
        return f"counts of patterns, and bins of five patients or more of {count(columns, 'column')}"


def reference_of(cohort: Cohort, predicted: pd.DataFrame | None = None) -> Reference:
    """Summarise the patients of an encoded cohort.

    Args:
        predicted: what a model predicts of them, which has not learned from them; None keeps nothing of it.
    """
    names, sizes = np.unique(cohort.pattern(), return_counts=True)
    patterns = {str(name) or ALONE: int(n) for name, n in zip(names, sizes, strict=True) if n >= LEAST}
    if rest := int(sizes[sizes < LEAST].sum()):
        patterns[REST] = rest
    predictions = () if predicted is None else summaries(predicted.drop(columns=["pattern", "note"], errors="ignore"))
    return Reference(
        len(cohort),
        {name: len(cohort.rows_of(name)) for name in cohort.modalities},
        patterns,
        {name: modality_summary(cohort, name) for name in cohort.modalities},
        predictions,
    )


def modality_summary(cohort: Cohort, modality: str) -> ModalitySummary:
    """Summarise one modality of an encoded cohort; of a wide one, or of tokens, 5,000 patients at most."""
    rows = cohort.rows_of(modality)
    if has_form(cohort.kinds[modality], TABLE) and len(rows):
        raw = cohort.raw(modality)
        if raw.shape[1] <= COLUMNS:
            return ModalitySummary(summaries(raw))
    if len(rows) < 4 * LEAST:
        return ModalitySummary(())
    rows = rows[:: max(1, -(-len(rows) // MOST))]
    first, other = rows[0::2], rows[1::2]
    features = features_of(cohort, modality).fit(cohort.raw(modality, first), [])
    values = np.asarray(features.features(cohort.raw(modality, first)), np.float64)
    if not values.shape[1]:  # all alike: there is nothing to compare
        return ModalitySummary(())
    own = ModalitySummary((), features, Projection.fit(values, COMPONENTS))
    return ModalitySummary(summaries(derived(own, cohort.raw(modality, other))), own.features, own.projection)


def derived(summary: ModalitySummary, raw: Any) -> pd.DataFrame:
    """The features by which a wide modality is compared: components, the mean, and the distance from the middle."""
    assert summary.projection is not None  # the caller asks
    values = np.asarray(summary.features.features(raw), np.float64)
    parts = np.asarray(summary.projection(values), np.float64)
    found = {f"component {k + 1}": parts[:, k] for k in range(parts.shape[1])}
    beyond = values - summary.projection.mean
    middles = (beyond.mean(axis=1), np.sqrt((beyond**2).mean(axis=1)))
    return pd.DataFrame({**found, **dict(zip(MIDDLES, middles, strict=True))})


def summaries(frame: pd.DataFrame) -> tuple[ColumnSummary, ...]:
    """Summarise each column of a table."""
    return tuple(column_summary(str(name), frame[name]) for name in frame.columns)


def column_summary(name: str, values: pd.Series) -> ColumnSummary:
    """Summarise one column: bins of numbers, or the levels of words and of a few different numbers."""
    nothing, n = np.zeros(0), len(values)
    numeric = is_numeric_dtype(values)
    if numeric:
        own = values.to_numpy(np.float64, na_value=np.nan)
        own = own[np.isfinite(own)]
        if len(own) and len(np.unique(own)) > LEVELS:
            edges, places, below = edges_of(own, BINS, LEAST, lots_of(name, len(own)))
            return ColumnSummary(name, n, len(own), edges, places, below.astype(np.int64), (), nothing)
    texts = texts_of(values)
    names, sizes = np.unique(texts, return_counts=True)
    kept = {str(level): int(size) for level, size in zip(names, sizes, strict=True) if size >= LEAST}
    kept = dict(sorted(kept.items(), key=lambda own: -own[1])[: COLUMNS - 1])
    if rest := len(texts) - sum(kept.values()):
        kept[REST] = rest
    counts = np.array(list(kept.values()), dtype=np.int64)
    return ColumnSummary(name, n, len(texts), nothing, nothing, nothing.astype(np.int64), tuple(kept), counts)


def texts_of(values: pd.Series) -> NDArray[np.str_]:
    """Levels of the patients who have one; whole numbers lose their `.0`."""
    known = values[values.notna()]
    if is_numeric_dtype(known):
        return np.array([f"{value:.6g}" for value in known.astype(float).tolist()], dtype=str)
    return known.astype(str).to_numpy(str)


def lots_of(name: str, n: int, salt: str = "") -> Array:
    """Uniform numbers (n,) by which equal values of a column are ordered, the same at every run."""
    seed = int.from_bytes(hashlib.blake2b(f"{salt}\0{name}".encode("utf-8", "surrogatepass"), digest_size=8).digest())
    return np.random.default_rng(seed).uniform(size=n)
