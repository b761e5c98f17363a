"""Similarity of two representations of the same items: CKA, Procrustes, and 2V2 accuracy of predicted responses.

A representation is (n, V): n items, in the same order on both sides, by V channels or features. Dissimilarity matrices
and their comparison (RSA) are in `metrics/dissimilarity.py`, and are handed on here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy import linalg  # type: ignore[import-untyped]
from scipy.spatial.distance import pdist, squareform  # type: ignore[import-untyped]

from chiasm.metrics.dissimilarity import (
    COMPARISONS,
    DISSIMILARITIES,
    compare_dissimilarities,
    dissimilarity_ceiling,
    dissimilarity_matrix,
    finite_items,
    pooled_dissimilarity,
    square_matrix,
    upper_triangle,
)
from chiasm.metrics.weighted import Floats, as_weights, ratio

__all__ = [
    "COMPARISONS",
    "DISSIMILARITIES",
    "cka",
    "compare_dissimilarities",
    "dissimilarity_ceiling",
    "dissimilarity_matrix",
    "pooled_dissimilarity",
    "procrustes_similarity",
    "square_matrix",
    "two_versus_two",
    "upper_triangle",
]

BLOCK = 512  # rows of the matrix of pairs that are held at once


def cka(
    one: ArrayLike, other: ArrayLike, *, kernel: str = "linear", width: float = 1.0, debiased: bool = False
) -> float:
    """Centred kernel alignment of two representations (n, V) and (n, W) of the same items, 1 for one that is the other.

    HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with K and L the kernels between items. The linear one is the same after a
    rotation and a common scale of either side, and not after another linear map (Kornblith et al., ICML 2019,
    arXiv:1905.00414). With more channels than items it is near one for noise: `debiased` takes the unbiased HSIC (Song
    et al., JMLR 2012), of which noise has zero on average, and which may be negative.

    Args:
        kernel: "linear", or "rbf" with a standard deviation of `width` times the median distance between two items.

    Raises:
        ValueError: different items, another kernel, or a width that is not above zero.
    """
    if kernel not in ("linear", "rbf"):
        raise ValueError(f"no kernel {kernel!r}: it is linear or rbf")
    if not width > 0:
        raise ValueError(f"the width of a kernel is {width}: give a number above zero")
    a, b = _both(one, other)
    if kernel == "linear" and not debiased and max(a.shape[1], b.shape[1]) < len(a):
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        above = float(np.sum((a.T @ b) ** 2))
        return _share(above, float(linalg.norm(a.T @ a)) * float(linalg.norm(b.T @ b)))
    k, m = _kernel(a, kernel, width), _kernel(b, kernel, width)
    hsic = _unbiased_hsic if debiased else _hsic
    if debiased and len(a) < 4:
        return np.nan
    own = hsic(k, k) * hsic(m, m)
    return _share(hsic(k, m), float(np.sqrt(own)) if own > 0 else 0.0)


def _kernel(items: Floats, kernel: str, width: float) -> Floats:
    if kernel == "linear":
        items = items - items.mean(axis=0)
        return np.asarray(items @ items.T)
    square = squareform(pdist(items, "sqeuclidean"))
    apart = square[np.triu_indices(len(square), 1)]
    median = float(np.sqrt(np.median(apart))) if len(apart) else 0.0
    return np.asarray(np.exp(-square / (2 * (width * median) ** 2))) if median > 0 else np.ones_like(square)


def _hsic(k: Floats, m: Floats) -> float:
    centred = k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean()
    return float(np.sum(centred * m))


def _unbiased_hsic(k: Floats, m: Floats) -> float:
    """HSIC_1 of Song et al. 2012, without its factor 1 / (n (n - 3)), which a ratio does not see."""
    n, k, m = len(k), k.copy(), m.copy()
    np.fill_diagonal(k, 0.0)
    np.fill_diagonal(m, 0.0)
    rows = float(k.sum(axis=0) @ m.sum(axis=0))
    both = float(k.sum()) * float(m.sum()) / ((n - 1) * (n - 2))
    return float(np.sum(k * m)) + both - 2 * rows / (n - 2)


def procrustes_similarity(one: ArrayLike, other: ArrayLike) -> float:
    """How much of one representation a rotation and a scale make of the other: the nuclear norm |A^T B|_* / (|A| |B|).

    A (n, V) and B (n, W) are centred; 1 where one is a rotation of the other, and 1 less it, twice, is the orthogonal
    Procrustes distance of matrices of unit norm (Ding, Denain, Steinhardt, NeurIPS 2021, arXiv:2108.01661). Equals
    `sqrt(1 - disparity)` of `scipy.spatial.procrustes`.

    Raises:
        ValueError: different items.
    """
    a, b = (own - own.mean(axis=0) for own in _both(one, other))
    return _share(float(linalg.svdvals(a.T @ b).sum()), float(linalg.norm(a) * linalg.norm(b)))


def two_versus_two(prediction: ArrayLike, value: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """2V2 accuracy: of all pairs of items, the share in which the two predictions are nearer to their own responses.

    Of items i and j: d(p_i, y_i) + d(p_j, y_j) < d(p_i, y_j) + d(p_j, y_i), with d = 1 - cosine over channels, a tie
    counting one half; chance is one half. A row of zeros has no direction, and is equally far from everything. Source:
    Mitchell et al., Science 2008, doi:10.1126/science.1152876, who take all pairs as we do.

    Args:
        prediction, value: (n, V), in units in which channels may be added: standardised ones.
        weights: (R, n) or None, see `weighted.as_weights`.

    Returns:
        (R,) float64, NaN where no two items are drawn.

    Raises:
        ValueError: different shapes.
    """
    p, y = (_directions(np.asarray(own, dtype=np.float64)) for own in (prediction, value))
    if p.shape != y.shape:
        raise ValueError(f"predictions have shape {p.shape} and responses {y.shape}: give items x channels of both")
    w = as_weights(weights, len(p))
    own = np.einsum("nv,nv->n", p, y)
    right = np.zeros(len(w))
    for start in range(0, len(p), BLOCK):
        rows = slice(start, start + BLOCK)
        crossed = p[rows] @ y.T + y[rows] @ p.T  # (b, n): two cosines less the other way round
        ahead = own[rows, None] + own[None, :] - crossed
        won = np.where(np.abs(ahead) <= 1e-12, 0.5, ahead > 0)
        won[np.arange(len(won)), np.arange(start, start + len(won))] = 0.0
        right += np.einsum("rb,rb->r", w[:, rows], w @ won.T)
    return ratio(right, w.sum(axis=1) ** 2 - (w**2).sum(axis=1))


def _directions(rows: Floats) -> Floats:
    if rows.ndim != 2:
        raise ValueError(f"a response of shape {rows.shape}: give items x channels")
    size = np.sqrt(np.einsum("nv,nv->n", rows, rows))[:, None]
    return np.asarray(np.divide(rows, size, out=np.zeros_like(rows), where=size > 0))


def _share(above: float, below: float) -> float:
    return above / below if below > 0 else np.nan


def _both(one: ArrayLike, other: ArrayLike) -> tuple[Floats, Floats]:
    a, b = finite_items(one), finite_items(other)
    if len(a) != len(b):
        raise ValueError(f"representations of {len(a):,} and {len(b):,} items: give the same items in the same order")
    return a, b
