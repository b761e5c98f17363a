"""Patients whose vector lies far in the tail of a principal component, or far from all components."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats  # type: ignore[import-untyped]

from chiasm.evaluation.embeddings.spread import Components, finite_rows, principal_components

Floats = NDArray[np.float64]
MOST = 10
HELD = 0.8  # of the variance, which the components looked at hold together
ALARMS = 0.001
NORMAL = 1.4826  # of the median absolute deviation: the standard deviation of normal numbers
FEWEST = 20


@dataclass(frozen=True)
class Outliers:
    """Who lies far out.

    Attributes:
        rows: their rows, the farthest first.
        score: (n,) the largest robust deviation of each patient from the middle, over components and the rest.
        threshold: the score beyond which one counts as an outlier.
        components: how many were looked at.
        expected: how many of the n would be named by chance, were the vectors normal.
    """

    rows: NDArray[np.int_]
    score: Floats
    threshold: float
    components: int
    expected: float


def find_outliers(vectors: ArrayLike, alarms: float = ALARMS, found: Components | None = None) -> Outliers:
    """Find rows of vectors (n, D) in the tails of their principal components.

        z_ij = (t_ij - median_j) / (1.4826 MAD_j),   score_i = max(max_j |z_ij|, z of the distance from the components)

    t are the scores on the first components, which hold 80 % of the variance, ten at most; the distance from their
    space is taken to the power 2/3, which is nearly normal (Hubert et al., ROBPCA, Technometrics 2005,
    doi:10.1198/004017004000000563), and only large ones count. A row is named where its score is beyond the one that
    a share `alarms` of normal rows exceed (Sidak over components). Tails of real vectors are heavier: that share is
    what normal ones would give, not a promise. Planted rows draw components to themselves, and are seen in their tail.

    Args:
        alarms: share of normal rows that are named, 0.001 unless told.
        found: all principal components of the vectors, if they are known already.

    Raises:
        ValueError: no finite matrix, fewer than 20 rows, or `alarms` not between 0 and 1.
    """
    x = finite_rows(vectors)
    if len(x) < FEWEST:
        raise ValueError(f"{len(x)} rows: {FEWEST} at least are needed to say who lies far from the others")
    if not 0 < alarms < 1:
        raise ValueError(f"the share of false alarms is {alarms}, and lies between 0 and 1")
    found = principal_components(x) if found is None else found
    held = np.cumsum(found.share)
    keep = min(MOST, int(np.searchsorted(held, HELD)) + 1, len(held))
    inside = np.abs(_standard(found.scores[:, :keep]))
    rest = np.sqrt(np.maximum((found.scores[:, keep:] ** 2).sum(axis=1), 0.0)) ** (2 / 3)
    outside = np.maximum(_standard(rest[:, None]), 0.0)
    columns = np.hstack([inside, outside])
    score = columns.max(axis=1)
    sides = 2 * keep + 1
    threshold = float(stats.norm.isf(1 - (1 - alarms) ** (1 / sides)))
    rows = np.flatnonzero(score > threshold)
    return Outliers(rows[np.argsort(-score[rows], kind="stable")], score, threshold, keep, alarms * len(x))


def _standard(values: Floats) -> Floats:
    """Deviation from the median in robust standard deviations; zero for a column of which half is alike."""
    middle = np.median(values, axis=0)
    spread = NORMAL * np.median(np.abs(values - middle), axis=0)
    return np.asarray((values - middle) / np.where(spread > 0, spread, np.inf))
