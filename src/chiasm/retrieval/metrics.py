"""Ranking metrics of retrieval: recall at k and mean average precision."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]


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
