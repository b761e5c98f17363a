"""Ranking metrics of retrieval, recall at k and mean average precision, and two of alignment between modalities."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.retrieval.neighbours import Neighbours

Bools = NDArray[np.bool_]
Ints = NDArray[np.int_]
Vectors = NDArray[np.float32]
BLOCK = 1_024


def recall_at(relevant: Bools, total: NDArray[np.int_], k: int) -> float:
    """Mean share of a query's relevant items that stand among its first k: `|relevant in first k| / min(k, total)`.

    With one relevant item per query it is the usual recall@k of retrieval (hit rate). The denominator is the number
    that can be found, so that a perfect ranking scores 1 at every k.

    Args:
        relevant: `(Q, N)` bool, in each query's ranking, nearest first; N >= k.
        total: `(Q,)` relevant items of each query in the whole collection; queries without any are left out.

    Raises:
        ValueError: k is below 1 or beyond the ranking, or no query has a relevant item.
    """
    if not 1 <= k <= relevant.shape[1]:
        raise ValueError(f"k = {k} lies outside the ranking of {relevant.shape[1]} items")
    some = total > 0
    if not some.any():
        raise ValueError("no query has a relevant item: there is no recall")
    return float(np.mean(relevant[some, :k].sum(1) / np.minimum(k, total[some])))


def mean_average_precision(relevant: Bools, total: NDArray[np.int_]) -> float:
    """Mean over queries of `1 / total * sum over ranks r of precision@r * relevant_r`.

    Where the ranking is complete it equals the mean of `sklearn.metrics.average_precision_score` over the queries; in a
    ranking cut at N, items beyond it count as not found.

    Args:
        relevant: `(Q, N)` bool, nearest first.
        total: `(Q,)` relevant items of each query in the whole collection; queries without any are left out.

    Raises:
        ValueError: no query has a relevant item.
    """
    some = total > 0
    if not some.any():
        raise ValueError("no query has a relevant item: there is no precision")
    found = relevant[some]
    precision = np.cumsum(found, axis=1) / np.arange(1, found.shape[1] + 1)
    return float(np.mean((precision * found).sum(1) / total[some]))


def foscttm(one: Vectors, other: Vectors) -> float:
    """Mean fraction of samples closer than the true match, of both directions: 0 is perfect, .5 is chance.

    For each row the share of the n - 1 rows of the other modality whose Euclidean distance is below that of its own,
    ties counted half, so that vectors that are all one give .5 (Liu et al., WABI 2019; SCOT, arXiv 2009.06107; theirs
    leave ties to the order of sorting).

    Args:
        one, other: `(n, D)` vectors of the same samples in the same order, n of 2 or more.

    Raises:
        ValueError: the shapes differ, or there is one sample.
    """
    if one.shape != other.shape or one.ndim != 2 or len(one) < 2:
        raise ValueError(f"vectors {one.shape} and {other.shape}: both are (n, D), of two samples or more")
    shares = []
    for asking, asked in ((one.astype(float), other.astype(float)), (other.astype(float), one.astype(float))):
        squares = (asked**2).sum(1)
        for start in range(0, len(asking), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(asking)))
            distance = squares - 2 * asking[rows] @ asked.T  # less what is the same for all of a row
            own = distance[np.arange(len(rows)), rows][:, None]
            closer = (distance < own).sum(1) + 0.5 * ((distance == own).sum(1) - 1)
            shares.append(closer / (len(asked) - 1))
    return float(np.concatenate(shares).mean())


def label_transfer(known: Vectors, codes: Ints, asked: Vectors, truth: Ints, k: int = 5) -> float:
    """Accuracy of the classes that samples of one modality take over from the k nearest of the other, by cosine.

    Each takes the class of most votes, on ties the one with the lower code (as in SCOT, arXiv 2009.06107, k = 5).

    Args:
        known, codes: `(n, D)` vectors and `(n,)` classes, from 0, of the modality whose classes are known.
        asked, truth: `(q, D)` vectors of the other modality, and their `(q,)` classes.
        k: number of votes.

    Raises:
        ValueError: k is not between 1 and n.
    """
    found, _ = Neighbours(known).nearest(asked, k)
    votes = np.stack([(codes[found] == code).sum(1) for code in range(int(codes.max()) + 1)], axis=1)
    return float(np.mean(votes.argmax(1) == truth))
