"""Boosted trees and forests as the operator TreeEnsemble of `ai.onnx.ml`, in double precision as they are added up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.boosted_trees import BoostedTrees
from chiasm.linear.forest import Forest
from chiasm.linear.tree_walk import LARGEST, LEAF
from chiasm.models.export.graph import TREES, Value

SUM, BELOW = 1, 1  # leaves are added up; a patient below the threshold goes where the test is true
Ints = NDArray[Any]


def leaf_sums(x: Value, trees: BoostedTrees | Forest, chosen: NDArray[np.int_], outputs: int) -> Value:
    """Add up the leaves of some trees that each patient falls into, `(B, outputs)` float64.

    Columns and thresholds are compared in single precision, in which the trees were grown. A tree without a split adds
    the same to everybody, and one whose leaves cast Q votes stands there Q times.

    Args:
        x: `(B, F)` float64, NaN where missing.
        chosen: places of the trees that are added up.
    """
    value = trees.value.reshape(len(trees.feature), -1)
    split = trees.feature[trees.start[chosen]] != LEAF
    constant = np.zeros(outputs)
    for tree in chosen[~split]:
        first = int(trees.output[tree])
        constant[first : first + value.shape[1]] += value[trees.start[tree]]
    seen = x.op("IsNaN").where(np.nan, x.clip(-LARGEST, LARGEST)).cast(np.float32).cast(np.float64)
    if not split.any():
        return seen.take([0]).op("IsNaN").cast(np.float64) * 0.0 + constant[None]
    return _grown(seen, trees, chosen[split], value, outputs) + constant[None]


def _grown(
    seen: Value, trees: BoostedTrees | Forest, chosen: NDArray[np.int_], value: NDArray[Any], outputs: int
) -> Value:
    ends = np.append(trees.start[1:], len(trees.feature))
    nodes = np.concatenate([np.arange(trees.start[tree], ends[tree]) for tree in chosen])
    owner = np.repeat(chosen, ends[chosen] - trees.start[chosen])
    inner = trees.feature[nodes] != LEAF
    tests, leaves = nodes[inner], nodes[~inner]
    place = np.full(len(trees.feature), -1)
    place[tests], place[leaves] = np.arange(len(tests)), np.arange(len(leaves))
    left, right, votes = trees.left[tests], trees.right[tests], range(value.shape[1])
    missing = trees.missing_left[tests] if isinstance(trees, BoostedTrees) else np.zeros(len(tests), bool)

    def again(places: Ints, leaf: Ints) -> list[int]:
        """The same trees once for each vote that their leaves cast."""
        return [int(k) for vote in votes for k in places + vote * np.where(leaf, len(leaves), len(tests))]

    def repeated(own: Ints) -> Ints:
        return np.tile(own, len(votes))

    into_left, into_right = trees.feature[left] == LEAF, trees.feature[right] == LEAF
    return seen.graph.op(
        "TreeEnsemble",
        seen,
        domain=TREES,
        aggregate_function=SUM,
        n_targets=outputs,
        tree_roots=again(place[trees.start[chosen]], np.zeros(len(chosen), bool)),
        nodes_modes=_tensor(repeated(np.full(len(tests), BELOW)), np.uint8),
        nodes_featureids=repeated(trees.feature[tests]).tolist(),
        nodes_splits=_tensor(repeated(trees.threshold[tests]), np.float64),
        nodes_missing_value_tracks_true=repeated(missing).astype(int).tolist(),
        nodes_truenodeids=again(place[left], into_left),
        nodes_falsenodeids=again(place[right], into_right),
        nodes_trueleafs=repeated(into_left).astype(int).tolist(),
        nodes_falseleafs=repeated(into_right).astype(int).tolist(),
        leaf_targetids=[int(k) for vote in votes for k in trees.output[owner[~inner]] + vote],
        leaf_weights=_tensor(value[leaves].T.reshape(-1), np.float64),
    )


def _tensor(values: Any, dtype: Any) -> Any:
    from onnx import numpy_helper

    return numpy_helper.from_array(np.ascontiguousarray(np.asarray(values, dtype)))


def boosted(x: Value, trees: BoostedTrees) -> Value:
    """Return the link `(B, K)` of boosted trees on columns `(B, F)`."""
    link = leaf_sums(x, trees, np.arange(len(trees.start)), len(trees.base)) + np.asarray(trees.base, np.float64)[None]
    return link.graph.concat([link / -2.0, link / 2.0]) if trees.paired else link
