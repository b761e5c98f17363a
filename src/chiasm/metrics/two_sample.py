"""Two-sample tests of new patients against a summary of earlier ones: exact or conservative, and without the rows.

A column of numbers is summarised by edges that cut n earlier values into bins, each edge halfway between two of them,
with k of the n below. If m new values come from the same distribution, the number of them below the edge is

    Beta-binomial(m; k + 1/2, n - k + 1/2)

since the share of a distribution below the j-th smallest of n values is Beta(j, n + 1 - j), whatever it is. An equal
value on both sides of an edge is split by lot, so that ties do not matter. Each edge is a test, as is each level of a
category (Fisher's exact test of its share), and a column's p is the smallest times their number.

Source: Wilks 1942, doi:10.1214/aoms/1177731537, and David and Nagaraja 2003, Order Statistics, section 7.2; Holm 1979,
Scandinavian Journal of Statistics 6:65. We deviate by placing edges between two values, so that no value of a patient
is kept; the middle of a gap stands for a half of its share.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def edges_of(values: Floats, most: int, least: int, lots: Floats) -> tuple[Floats, Floats, Ints]:
    """Cut values into bins of `least` or more, `most` bins at most, of about equal size.

    Args:
        values: (n,) finite.
        lots: (n,) uniform numbers by which equal values are ordered.

    Returns:
        edges (E,), where among values equal to an edge it lies (E,), and the number of values below it (E,).
    """
    n = len(values)
    bins = min(most, n // max(least, 1))
    order = np.lexsort((lots, values))
    below = np.unique(np.round(np.arange(1, bins) * n / bins).astype(np.int64)) if bins > 1 else np.zeros(0, np.int64)
    left, right = values[order[below - 1]], values[order[below]]
    tied = left == right
    middle = np.where(tied, left, left / 2 + right / 2)
    lot = np.where(tied, (lots[order[below - 1]] + lots[order[below]]) / 2, 0.5)
    return middle, lot, below


def below_edges(values: Floats, edges: Floats, places: Floats, lots: Floats) -> Ints:
    """Number (E,) of values (m,) below each edge; one equal to it is below where its lot is smaller than the place."""
    less = values[:, None] < edges
    tied = (values[:, None] == edges) & (lots[:, None] < places)
    return np.asarray((less | tied).sum(axis=0), dtype=np.int64)


def edge_p(below: Ints, n: int, new_below: Ints, m: int) -> Floats:
    """Two-sided p (E,) that `new_below` of m new values lie below edges with `below` of n earlier ones below them."""
    a, b = below + 0.5, n - below + 0.5
    low = stats.betabinom.cdf(new_below, m, a, b)
    high = stats.betabinom.sf(new_below - 1, m, a, b)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(low, high)), dtype=np.float64)


def share_p(count: Ints, n: int, new_count: Ints, m: int) -> Floats:
    """Two-sided p (L,) of Fisher's exact test, by doubling, that m new patients have the shares of n earlier ones."""
    whole = count + new_count
    low = stats.hypergeom.cdf(new_count, n + m, whole, m)
    high = stats.hypergeom.sf(new_count - 1, n + m, whole, m)
    return np.asarray(np.minimum(1.0, 2 * np.minimum(low, high)), dtype=np.float64)


def bonferroni(p: Floats) -> float:
    """Smallest p times their number, 1 at most; NaN without any."""
    return float(min(1.0, p.min() * p.size)) if p.size else float("nan")


def holm(p: Floats) -> Floats:
    """Adjusted p (T,) by which the chance of any false alarm is held over all tests; NaN stays, and is not counted."""
    out = np.full(len(p), np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(1.0, np.maximum.accumulate(steps)) if len(order) else steps
    return out
