"""Pairs that one encoder takes for alike and another does not: what the first cannot see, or the second makes up.

After the pairs of MMVP (Tong et al., CVPR 2024, arXiv:2401.06209) and MediConfusion (arXiv:2409.15477), where images
that a vision-language encoder confuses and a vision encoder tells apart make questions that confuse models.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from chiasm.errors import count
from chiasm.evaluation.embeddings.spread import finite_rows

Floats = NDArray[np.float64]
Ints = NDArray[np.int_]
ALIKE, UNLIKE, MOST, BLOCK = 0.9, 0.75, 100, 512
DRAWN = 200_000
"""Pairs of items by whose cosines a share of all pairs is turned into a bound."""
COLUMNS = ("first", "second", "similarity_a", "similarity_b")


def bounds_by_share(a: ArrayLike, b: ArrayLike, alike: float, unlike: float, *, seed: int = 0) -> tuple[float, float]:
    """Return the cosines by which a share `alike` of all pairs are less alike in `a`, and a share `unlike` in `b`.

    Cosines of two encoders have no common scale: those of rectified features are all near 1. The shares, 0.999 and 0.5
    say, ask for the pairs that are among the most alike thousandth to one, and in the less alike half to the other.

    Args:
        a, b: as in `mine_confusing_pairs`.
        alike, unlike: shares of the pairs, from 0 to 1.
        seed: of up to 200,000 drawn pairs, whose quantiles stand for those of all; fewer pairs are all looked at.

    Raises:
        ValueError: shares out of their range, or vectors that `mine_confusing_pairs` refuses.
    """
    one, two = _both(a, b)
    if not (0 <= alike <= 1 and 0 <= unlike <= 1):
        raise ValueError("shares of all pairs lie between 0 and 1: write 0.999 for the most alike thousandth")
    n = len(one)
    if n * (n - 1) // 2 <= DRAWN:
        i, j = np.triu_indices(n, 1)
    else:
        i, j = np.random.default_rng(seed).integers(0, n, size=(2, DRAWN))
        i, j = i[i != j], j[i != j]
    return (
        float(np.quantile(_cosines(one, i, j), alike)),
        float(np.quantile(_cosines(two, i, j), unlike)),
    )


def _cosines(vectors: Floats, i: Ints, j: Ints) -> Floats:
    """(P,) cosines of pairs of unit vectors, some at a time."""
    step = max(1, 4_000_000 // vectors.shape[1])
    parts = [
        np.einsum("pd,pd->p", vectors[i[start : start + step]], vectors[j[start : start + step]])
        for start in range(0, len(i), step)
    ]
    return np.asarray(np.concatenate(parts), dtype=np.float64)


def mine_confusing_pairs(
    a: ArrayLike,
    b: ArrayLike,
    *,
    alike: float = ALIKE,
    unlike: float = UNLIKE,
    most: int = MOST,
    apart: Sequence[object] | None = None,
    block: int = BLOCK,
) -> pd.DataFrame:
    """Return pairs of rows with a cosine of `alike` or more in `a`, and of `unlike` or less in `b`.

    The pairs come by the gap between the two cosines, the largest first; among equal ones by row. The cosines are
    computed a block of rows at a time, so that memory grows with the rows and not with their square.

    Args:
        a, b: `(n, D)` and `(n, E)` vectors of the same n items in the same order, from two encoders.
        alike, unlike: the bounds, from -1 to 1.
        most: how many pairs at most.
        apart: `(n,)` labels; only pairs of different labels count, e.g. of different diagnoses. None takes all pairs.
        block: rows whose cosines are held at once.

    Returns:
        A frame with the columns `first`, `second` (row numbers, first < second), `similarity_a`, `similarity_b`.

    Raises:
        ValueError: vectors that are not finite or of different items, labels that are not one for each, or bounds out
            of their range.
    """
    one, two = _both(a, b)
    if not (-1 <= alike <= 1 and -1 <= unlike <= 1) or most < 1 or block < 1:
        raise ValueError("cosines lie between -1 and 1, and one pair and one row at least are asked for")
    labels = None if apart is None else np.unique(np.asarray(apart).astype(str), return_inverse=True)[1]
    if labels is not None and len(labels) != len(one):
        raise ValueError(f"{count(len(labels), 'label')} of {count(len(one), 'item')}: give one for each")
    kept = np.zeros((0, 4))
    for start in range(0, len(one), block):
        rows = np.arange(start, min(start + block, len(one)))
        for other in range(start, len(one), block):
            columns = np.arange(other, min(other + block, len(one)))
            near, far = one[rows] @ one[columns].T, two[rows] @ two[columns].T
            chosen = (near >= alike) & (far <= unlike) & (rows[:, None] < columns[None, :])
            if labels is not None:
                chosen &= labels[rows][:, None] != labels[columns][None, :]
            i, j = np.nonzero(chosen)
            new = np.column_stack([rows[i], columns[j], near[i, j], far[i, j]])
            kept = _first(np.concatenate([kept, new]), most)
    found = pd.DataFrame(kept, columns=list(COLUMNS))
    return found.astype({"first": np.int64, "second": np.int64})


def _first(pairs: Floats, most: int) -> Floats:
    """The pairs of the largest gaps, in their order."""
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -(pairs[:, 2] - pairs[:, 3])))
    return np.asarray(pairs[order[:most]])


def _both(a: ArrayLike, b: ArrayLike) -> tuple[Floats, Floats]:
    """Both encoders' vectors of the same items, each of length 1."""
    one, two = finite_rows(a), finite_rows(b)
    if len(one) != len(two):
        raise ValueError(f"vectors of {count(len(one), 'item')} and of {count(len(two), 'item')}: give the same items")
    return _directions(one), _directions(two)


def _directions(vectors: Floats) -> Floats:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
