"""Trees as flat arrays: what these must be, and the leaf of each tree that a patient falls into."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
LEAF = -1
LARGEST = 1e30
AT_ONCE = 256  # trees that are walked side by side


def require_trees(
    columns: int, start: Ints, feature: Ints, threshold: NDArray[np.float32], left: Ints, right: Ints
) -> None:
    """Refuse arrays that are no trees, so that every walk ends in a leaf.

    Args:
        columns: F, number of columns that the trees read.
        start: `(T,)` first node of each tree; children come after their parent, within the tree.
        feature: `(N,)` column that a node tests, -1 in a leaf.
        threshold: `(N,)` a patient below it goes left.
        left, right: `(N,)` child nodes, -1 in a leaf.

    Raises:
        ValueError: arrays of different length, or a node that leads out of its tree, back, or to no column.
    """
    nodes, own = len(feature), np.arange(len(feature))
    if any(len(array) != nodes for array in (threshold, left, right)) or columns < 0:
        raise ValueError("the arrays of its trees differ in length")
    if any(array.dtype.kind != "i" for array in (start, feature, left, right)):
        raise ValueError("its nodes are not whole numbers")
    if not np.isfinite(threshold).all():
        raise ValueError("a threshold or a leaf is not finite")
    ends = np.append(start[1:], nodes)
    if len(start) and (start[0] != 0 or (ends <= start).any()):
        raise ValueError("its trees do not follow each other")
    end = np.repeat(ends, ends - start) if len(start) else np.zeros(0, int)
    inner = feature != LEAF
    if len(end) != nodes or (feature < LEAF).any() or (feature >= columns).any():
        raise ValueError("a node asks for a column that there is not")
    for child in (left[inner], right[inner]):
        if (child <= own[inner]).any() or (child >= end[inner]).any():  # forward only, so that every walk ends
            raise ValueError("a node leads out of its tree or back")


def leaves(
    seen: NDArray[np.float32],
    start: Ints,
    feature: Ints,
    threshold: NDArray[np.float32],
    left: Ints,
    right: Ints,
    missing_left: NDArray[np.bool_] | None = None,
) -> Ints:
    """Walk patients with columns `seen` (n, F) down trees that start at `start` (T,); return their leaves `(n, T)`.

    Args:
        missing_left: `(N,)` True where a missing value goes left; None where no value is missing.
    """
    rows = np.arange(len(seen))[:, None]
    node = np.tile(start, (len(seen), 1))  # (n, T)
    asked_for = feature[node]
    while (asked_for != LEAF).any():
        asked = seen[rows, np.maximum(asked_for, 0)]
        goes_left = asked < threshold[node]
        if missing_left is not None:
            goes_left = np.where(np.isnan(asked), missing_left[node], goes_left)
        node = np.where(asked_for == LEAF, node, np.where(goes_left, left[node], right[node]))
        asked_for = feature[node]
    return node


def single_precision(x: Array) -> NDArray[np.float32]:
    """Convert columns to float32, as the trees compare them, clipped so that every threshold stays finite."""
    return np.clip(np.asarray(x, np.float64), -LARGEST, LARGEST).astype(np.float32)
