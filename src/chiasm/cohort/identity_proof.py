"""The proof of a split by identity that shares nothing with what made it: pairs across parts, aligned one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.identity import identity, turned

Ints = NDArray[np.int_]
MOST_APART = 20_000
"""Pairs of different parts that are aligned once more, one by one."""
LEAST_APART, MOST_CELLS = 100, 20_000_000_000
"""Pairs that are aligned however long they are; the most that products of two lengths may sum to: about a minute."""


def highest_apart(
    sequences: Sequence[str],
    parts: Sequence[str] | NDArray[np.str_],
    *,
    over: str = "shorter",
    both_strands: bool = False,
    most: int = MOST_APART,
    seed: int = 0,
) -> tuple[int, int, float]:
    """Align pairs of different parts one by one, as a proof of a split that shares nothing with what made it.

    Args:
        parts: (n,) name of the part of each sequence.
        most: how many pairs are aligned, drawn by `seed` with replacement where there are more; fewer of long ones, as
            far as `MOST_CELLS` go.

    Returns:
        How many pairs were aligned, how many there are, and the highest identity; NaN of none.
    """
    _, own = np.unique(np.asarray(parts), return_inverse=True)
    sizes = np.bincount(own).astype(np.int64)
    everything = int(len(own) ** 2 - (sizes**2).sum()) // 2
    if everything <= most:
        pairs = _all_apart(own, int(sizes.argmax()))
    else:
        drawn = np.random.default_rng(seed).integers(0, len(own), size=(8 * most, 2))
        pairs = drawn[own[drawn[:, 0]] != own[drawn[:, 1]]][:most]
    pairs = _affordable(pairs, sequences, 1 + both_strands, seed)
    highest = -1.0
    for a, b in pairs.tolist():
        for other in (sequences[b], turned(sequences[b])) if both_strands else (sequences[b],):
            highest = max(highest, identity(sequences[a], other, over))
    return len(pairs), everything, highest if len(pairs) else float("nan")


def _affordable(pairs: Ints, sequences: Sequence[str], strands: int, seed: int) -> Ints:
    """Draw as many of the pairs as can be aligned in a minute or so; all where they are short."""
    lengths = np.array([len(own) for own in sequences], dtype=np.float64)
    cells = strands * lengths[pairs[:, 0]] * lengths[pairs[:, 1]]
    if cells.sum() <= MOST_CELLS or len(pairs) <= LEAST_APART:
        return pairs
    order = np.random.default_rng(seed).permutation(len(pairs))
    enough = int(np.searchsorted(np.cumsum(cells[order]), MOST_CELLS, side="right"))
    return pairs[np.sort(order[: max(LEAST_APART, enough)])]


def _all_apart(own: Ints, largest: int) -> Ints:
    """(P, 2) every pair of different parts, once; of the largest part alone no pair is ever made."""
    rows, found = np.arange(len(own)), []
    for row in np.flatnonzero(own != largest):
        others = rows[(own != own[row]) & ((own == largest) | (rows > row))]
        found.append(np.column_stack([np.full(len(others), row), others]))
    return np.concatenate(found) if found else np.zeros((0, 2), dtype=int)
