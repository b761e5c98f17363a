"""Gradient-boosted trees: fitted by xgboost, stored and read as plain arrays, so that a prediction needs no xgboost.

Chen and Guestrin, KDD 2016, arXiv 1603.02754. A missing value takes the branch that training chose for it; nothing is
imputed or scaled. The objective is the loss of the kind of target: logistic, multinomial, squared error or Cox's
partial likelihood; each label has its own trees, fitted on the patients whose label is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.linear.losses import LOSSES
from chiasm.linear.tree_walk import AT_ONCE, LEAF, leaves, require_trees, single_precision
from chiasm.targets import Outcome

Array = NDArray[np.float64]
Ints = NDArray[np.int_]


@storable("boosted-trees")
@dataclass(frozen=True)
class BoostedTrees:
    """Ensemble of trees as arrays: each output is its base plus the sum of the leaves that a patient falls into.

    Args:
        columns: F, number of columns that the trees read.
        base: `(K,)` link before any tree.
        start: `(T,)` first node of each tree; children come after their parent, within the tree.
        output: `(T,)` index of the link that a tree adds to.
        feature: `(N,)` column that a node tests, -1 in a leaf.
        threshold: `(N,)` float32; a patient below it goes left.
        left, right: `(N,)` child nodes, -1 in a leaf.
        missing_left: `(N,)` bool, True where a missing value goes left.
        value: `(N,)` value that a leaf adds, zero elsewhere.
        paired: True if one link z stands for two classes, read as the logits (-z/2, +z/2).
    """

    columns: int
    base: np.ndarray
    start: np.ndarray
    output: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    missing_left: np.ndarray
    value: np.ndarray
    paired: bool = False

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"{count(int((self.feature >= 0).sum()), 'threshold')} of trees, each between two training values"

    def __post_init__(self) -> None:
        nodes, trees = len(self.feature), len(self.start)
        if not len(self.missing_left) == len(self.value) == nodes or len(self.output) != trees:
            raise ValueError("the arrays of its trees differ in length")
        if self.output.dtype.kind != "i":
            raise ValueError("its nodes are not whole numbers")
        if not all(np.isfinite(array).all() for array in (self.base, self.value)):
            raise ValueError("a threshold or a leaf is not finite")
        require_trees(self.columns, self.start, self.feature, self.threshold, self.left, self.right)
        if self.paired and self.base.shape != (1,):
            raise ValueError("two classes have one link")
        if (self.output < 0).any() or (self.output >= len(self.base)).any():
            raise ValueError("a tree adds to an output that there is not")

    @property
    def trained_parameters(self) -> int:
        """Number of thresholds, leaves and base values."""
        return int(len(self.feature) + self.base.size)

    def linear_predictor(self, x: Array) -> Array:
        """Link `(n, K)` of patients with columns x `(n, F)`, in which a missing value is NaN."""
        seen = single_precision(x)
        out = np.tile(np.asarray(self.base, np.float64), (len(seen), 1))
        nodes = self.feature, self.threshold, self.left, self.right, self.missing_left
        for start in range(0, len(self.start), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            said = self.value[leaves(seen, self.start[part], *nodes)]  # (n, T)
            for k in range(out.shape[1]):
                out[:, k] += said[:, self.output[part] == k].sum(1)
        return _of_two(out) if self.paired else out


@dataclass(frozen=True)
class Growth:
    """Settings of tree growth: depth, learning rate, minimum curvature of a leaf, share of columns, seed of xgboost.

    Args:
        share: of the columns, drawn for each node.
    """

    depth: int = 3
    rate: float = 0.2
    least: float = 1.0
    seed: int = 0
    share: float = 1.0


class Booster:
    """Trees grown on training rows, which can be read after any number of rounds.

    Args:
        kind: kind of target.
        x: `(n, F)` float, NaN where missing.
        outcome: outcomes of the n patients, all known except for cells of labels.
        rounds: number of trees per link.
        classes: K of a classification.
    """

    def __init__(
        self, kind: str, x: Array, outcome: Outcome, rounds: int, growth: Growth, classes: int | None = None
    ) -> None:
        self.columns = x.shape[1]
        self.parts: list[tuple[Any, Array]] = []  # a booster and its (k,) base, for one link or all
        self.paired = False
        for own in LOSSES[kind].boosting(outcome, classes):
            self.paired |= own.paired
            seen, label = (x, own.label) if own.rows is None else (x[own.rows], own.label[own.rows])
            grown = self._grown(own.objective, seen, label, own.base, rounds, growth) if own.objective else None
            self.parts.append((grown, own.base))

    def _grown(self, objective: str, x: Array, label: Array, base: Array, rounds: int, growth: Growth) -> Any:
        import xgboost

        options: dict[str, Any] = {
            "objective": objective, "max_depth": growth.depth, "eta": growth.rate, "min_child_weight": growth.least,
            "colsample_bynode": growth.share, "seed": growth.seed, "nthread": 1, "tree_method": "hist", "max_bin": 64,
            "verbosity": 0,
        }  # fmt: skip
        if len(base) > 1:
            options["num_class"] = len(base)
        return xgboost.train(options, self._matrix(x, base, label), rounds)

    def _matrix(self, x: Array, base: Array, label: Array | None = None) -> Any:
        import xgboost

        margin = np.tile(base, (len(x), 1)) if len(base) > 1 else np.full(len(x), base[0])
        return xgboost.DMatrix(single_precision(x), label, base_margin=margin, nthread=1)

    def links(self, x: Array, rounds: Sequence[int]) -> Array:
        """Link `(R, n, K)` after each number of rounds, as `trees(r).linear_predictor(x)` gives it."""
        stages: list[Array] = []
        for booster, base in self.parts:
            if booster is None or not len(x):
                stages.append(np.tile(base, (len(rounds), len(x), 1)))
                continue
            data = self._matrix(x, base)
            said = [booster.predict(data, output_margin=True, iteration_range=(0, r)) for r in rounds]
            stages.append(np.stack(said).reshape(len(rounds), len(x), len(base)).astype(np.float64))
        links: Array = np.concatenate(stages, axis=2)
        return _of_two(links) if self.paired else links

    def trees(self, rounds: int) -> BoostedTrees:
        """Convert the first rounds to plain arrays."""
        pieces: list[dict[str, Array | Ints]] = []
        starts, outputs, count = [], [], 0
        for link, (booster, base) in enumerate(self.parts):
            if booster is None:
                continue
            model = json.loads(bytes(booster.save_raw("json")))["learner"]["gradient_booster"]["model"]
            for tree, group in list(zip(model["trees"], model["tree_info"], strict=True))[: rounds * len(base)]:
                own = _nodes(tree, count)
                pieces.append(own)
                starts.append(count)
                outputs.append(link if len(base) == 1 else int(group))
                count += len(own["feature"])
        names = ("feature", "threshold", "left", "right", "missing_left", "value")
        empty = {"threshold": np.float32, "missing_left": bool, "value": np.float64}
        arrays = {
            name: np.concatenate([own[name] for own in pieces]) if pieces else np.zeros(0, empty.get(name, np.int64))
            for name in names
        }
        base = np.concatenate([base for _, base in self.parts])
        where = np.array(starts, np.int64), np.array(outputs, np.int64)
        return BoostedTrees(self.columns, base, *where, **arrays, paired=self.paired)


def _of_two(link: Array) -> Array:
    """Write the link z of two classes as a linear model does: the logits (-z/2, +z/2)."""
    return np.asarray(np.concatenate([-link / 2, link / 2], axis=-1))


def _nodes(tree: dict[str, Any], first: int) -> dict[str, Any]:
    """Read one tree from xgboost's JSON, its nodes numbered from `first`, children after their parent as stored."""
    left, right = np.array(tree["left_children"], np.int64), np.array(tree["right_children"], np.int64)
    leaf = left < 0
    condition = np.array(tree["split_conditions"], np.float32)
    return {
        "feature": np.where(leaf, LEAF, np.array(tree["split_indices"], np.int64)),
        "threshold": np.where(leaf, np.float32(0), condition),
        "left": np.where(leaf, LEAF, left + first),
        "right": np.where(leaf, LEAF, right + first),
        "missing_left": np.array(tree["default_left"], bool),
        "value": np.where(leaf, condition.astype(np.float64), 0.0),
    }
