"""Dissimilarity matrices of representations: made, compared, pooled, and how well any model could fit them (RSA).

A representation is (n, V): n items by V channels or features. A dissimilarity matrix is kept as its upper triangle,
(P,) with P = n (n - 1) / 2, row after row, as `scipy.spatial.distance.pdist` does; a pair may be NaN, and is then left
out of every comparison. What cannot be estimated, as of a constant, is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats  # type: ignore[import-untyped]
from scipy.spatial.distance import pdist, squareform  # type: ignore[import-untyped]

from chiasm.metrics.weighted import Floats, ratio

FEWEST = 3  # pairs without which nothing is compared

DISSIMILARITIES: dict[str, str] = {
    "euclidean": "euclidean",
    "squared_euclidean": "sqeuclidean",
    "correlation": "correlation",
    "cosine": "cosine",
}
"""Our names of the dissimilarities, and scipy's."""


def dissimilarity_matrix(representation: ArrayLike, measure: str = "correlation") -> Floats:
    """Dissimilarity of every two items, (P,): Euclidean distance, its square, 1 - Pearson's r, or 1 - cosine.

    Equals `scipy.spatial.distance.pdist`; a correlation with a constant item is NaN. rsatoolbox divides its squared
    Euclidean distance by the number of channels, which no comparison here sees.

    Args:
        representation: (n, V), finite.
        measure: one of `DISSIMILARITIES`.

    Raises:
        ValueError: another measure, or no finite matrix of two items or more.
    """
    if measure not in DISSIMILARITIES:
        raise ValueError(f"no dissimilarity {measure!r}: it is one of {', '.join(DISSIMILARITIES)}")
    items = finite_items(representation)
    if measure == "correlation":
        items = items - items.mean(axis=1, keepdims=True)  # (n, V); a constant item is then exactly zero
    size = np.abs(items).max(axis=1, keepdims=True)
    if measure in ("correlation", "cosine"):
        items = items / np.where(size > 0, size, 1.0)
        found = pdist(items, "cosine")
        zero = size[:, 0] == 0
        first, second = np.triu_indices(len(items), 1)
        found[zero[first] | zero[second]] = np.nan
        return np.asarray(found, dtype=np.float64)
    return np.asarray(pdist(items, DISSIMILARITIES[measure]), dtype=np.float64)


def square_matrix(dissimilarity: ArrayLike) -> Floats:
    """The symmetric (n, n) matrix of an upper triangle (P,), with zeros on its diagonal."""
    return np.asarray(squareform(np.asarray(dissimilarity, np.float64), checks=False), dtype=np.float64)


def upper_triangle(matrix: ArrayLike) -> Floats:
    """The upper triangle (P,) of a symmetric (n, n) matrix of dissimilarities.

    Raises:
        ValueError: it is not square, or not symmetric.
    """
    own = np.asarray(matrix, dtype=np.float64)
    if own.ndim != 2 or own.shape[0] != own.shape[1]:
        raise ValueError(f"a dissimilarity matrix of shape {own.shape} is not square: give items x items")
    if not np.allclose(own, own.T, rtol=1e-5, atol=1e-8, equal_nan=True):
        raise ValueError("a dissimilarity matrix is not symmetric: give the mean of it and its transpose")
    return np.asarray(own[np.triu_indices(len(own), 1)])


def _pearson(one: Floats, other: Floats) -> float:
    return _cosine(one - one.mean(), other - other.mean())


def _cosine(one: Floats, other: Floats) -> float:
    below = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / below if below > 0 else np.nan


def _spearman(one: Floats, other: Floats) -> float:
    return _pearson(stats.rankdata(one), stats.rankdata(other))


def _tau_a(one: Floats, other: Floats) -> float:
    """Concordant less discordant pairs, of all pairs: tau-b without its allowance for ties."""
    pairs = len(one) * (len(one) - 1) / 2
    untied = [pairs - sum(n * (n - 1) / 2 for n in np.unique(own, return_counts=True)[1]) for own in (one, other)]
    if 0 in untied:
        return np.nan
    return float(stats.kendalltau(one, other).statistic * np.sqrt(untied[0] * untied[1]) / pairs)


COMPARISONS: dict[str, Callable[[Floats, Floats], float]] = {
    "spearman": _spearman,
    "kendall": _tau_a,
    "pearson": _pearson,
    "cosine": _cosine,
}


def compare_dissimilarities(one: ArrayLike, other: ArrayLike, measure: str = "spearman") -> float:
    """Similarity of two dissimilarity matrices (P,): Spearman's rho, Kendall's tau-a, Pearson's r or the cosine.

    tau-a is the one to rank models by where one of them predicts ties, which Spearman's rho favours (Nili et al. 2014,
    doi:10.1371/journal.pcbi.1003553). Equals `rsatoolbox.rdm.compare` with spearman, tau-a, corr and cosine.

    Raises:
        ValueError: another measure, or matrices of different size.
    """
    if measure not in COMPARISONS:
        raise ValueError(f"no comparison {measure!r}: it is one of {', '.join(COMPARISONS)}")
    a, b = (np.asarray(own, dtype=np.float64).reshape(-1) for own in (one, other))
    if a.shape != b.shape:
        raise ValueError(f"dissimilarities of {len(a):,} and {len(b):,} pairs cannot be compared: take the same items")
    both = np.isfinite(a) & np.isfinite(b)
    return COMPARISONS[measure](a[both], b[both]) if both.sum() >= FEWEST else np.nan


def pooled_dissimilarity(matrices: ArrayLike, measure: str = "spearman") -> Floats:
    """Mean (P,) of the matrices (S, P) of several subjects, each first brought to what the comparison sees of it.

    Ranks for spearman and kendall, standard scores for pearson, a mean square of one for the cosine.
    """
    return np.asarray(_mean([_seen(own, measure) for own in np.asarray(matrices, dtype=np.float64)]))


def dissimilarity_ceiling(matrices: ArrayLike, measure: str = "spearman") -> tuple[float, float]:
    """How well the best of all models could fit the matrices (S, P) of S subjects: a lower and an upper bound.

    Upper: the mean over subjects of the similarity to the pooled matrix of all, which holds the subject's own noise.
    Lower: to that of the others. A model within is as good as these data can tell. Source: Nili et al. 2014,
    doi:10.1371/journal.pcbi.1003553. Equals `rsatoolbox.inference.boot_noise_ceiling`.

    Raises:
        ValueError: fewer than two subjects, of which no lower bound can be told.
    """
    own = np.asarray(matrices, dtype=np.float64)
    if own.ndim != 2 or len(own) < 2:
        raise ValueError(f"a noise ceiling of matrices of shape {own.shape}: give subjects x pairs, of two or more")
    seen = [_seen(row, measure) for row in own]
    whole = _mean(seen)
    upper = [compare_dissimilarities(row, whole, measure) for row in own]
    others = [_mean([*seen[:k], *seen[k + 1 :]]) for k in range(len(seen))]
    lower = [compare_dissimilarities(row, rest, measure) for row, rest in zip(own, others, strict=True)]
    return float(np.mean(lower)), float(np.mean(upper))


def _seen(matrix: Floats, measure: str) -> Floats:
    """What a comparison sees of a matrix (P,)."""
    if measure not in COMPARISONS:
        raise ValueError(f"no comparison {measure!r}: it is one of {', '.join(COMPARISONS)}")
    known = np.isfinite(matrix)
    out = np.full(len(matrix), np.nan)
    own = matrix[known]
    if measure == "cosine":
        out[known] = own / (np.sqrt(np.mean(own**2)) or 1.0)
    elif measure == "pearson":
        out[known] = (own - own.mean()) / (own.std() or 1.0)
    else:
        out[known] = stats.rankdata(own)
    return out


def _mean(seen: Sequence[Floats]) -> Floats:
    """Mean over subjects of each pair, over those who have it; NaN where nobody has."""
    stacked = np.stack(seen)
    known = np.isfinite(stacked)
    return ratio(np.where(known, stacked, 0.0).sum(axis=0), known.sum(axis=0))


def finite_items(representation: ArrayLike) -> Floats:
    """Return a representation as float64 (n, V).

    Raises:
        ValueError: it is no finite matrix of two items or more.
    """
    items = np.asarray(representation, dtype=np.float64)
    if items.ndim != 2 or len(items) < 2 or not items.shape[1] or not np.isfinite(items).all():
        raise ValueError(
            f"a representation of shape {items.shape}: give items x channels, two items or more, all finite"
        )
    return items
