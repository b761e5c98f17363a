"""Trees of one set of blocks, grown by scikit-learn on samples of the patients who have all of its blocks.

No patient is in a sample twice: of a class that is drawn more often than it occurs there would be more repetitions, and
regions of fewer new patients would vote for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.forest import Forest
from chiasm.linear.loss import Growing
from chiasm.linear.tree_walk import LEAF

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
IN_A_LEAF = 5.0  # patients in a leaf; of times, events that are expected there
MOST_LEAVES = 500  # of a tree, so that a model of very many patients stays small
SHARE = 0.632  # of the patients that a tree is grown on: as many as a bootstrap sample has, none of them twice


@dataclass(frozen=True)
class _Tree:
    """A tree of scikit-learn, the vote that it casts or the first of them, and whom it was not grown on, `(R,)`."""

    grown: Any
    vote: int
    aside: NDArray[np.bool_]


class Grove:
    """Trees of a set of blocks; what the k-th tree is depends on the seed alone, not on how many are grown.

    At each split a tree tries as many columns as `sqrt(width)` of each block add up to, drawn so that each block has
    its share. A sample draws units, so that whoever is left out has nobody of his unit in it.

    Args:
        x: `(n, F)` float32 columns of all blocks, of all patients.
        rows: the patients who have all of the set's blocks.
        blocks: `(first, last)` columns of each of its blocks.
        growing: what the trees learn, of these patients.
        units: `(R,)` unit of each of these patients.
        seed: numbers from which the samples are drawn.
    """

    def __init__(
        self,
        x: NDArray[np.float32],
        rows: Ints,
        blocks: Sequence[tuple[int, int]],
        growing: Sequence[Growing],
        units: Ints,
        seed: Sequence[int],
    ) -> None:
        self.x, self.rows, self.growing, self.units, self.seed = x, rows, growing, units, tuple(seed)
        widths = np.array([last - first for first, last in blocks])
        times = np.maximum(1, np.round(np.sqrt(widths.max() / widths))).astype(int)
        parts = [np.tile(np.arange(*block), often) for block, often in zip(blocks, times, strict=True)]
        self.columns = np.concatenate(parts)
        self.tried = max(1, round(float(np.sqrt(widths).sum())))
        self.first = np.cumsum([0, *(own.target.shape[1] for own in growing)]).tolist()
        self.trees: list[list[_Tree]] = []

    def grow(self, number: int) -> None:
        """Grow trees until there are so many of each group of votes."""
        if number > len(self.trees):
            x = self._columns()
            self.trees += [self._round(x, k) for k in range(len(self.trees), number)]

    def left_out(self, number: int) -> tuple[Array, Array]:
        """Poll the first trees, each on whom it was not grown on; return sums and numbers of votes, both `(R, V)`."""
        x = self._columns()
        sums, numbers = np.zeros((len(x), self.first[-1])), np.zeros((len(x), self.first[-1]))
        for tree in chain(*self.trees[:number]):
            if not tree.aside.any():  # of a few patients a sample may hold all
                continue
            said = tree.grown.predict(x[tree.aside]).reshape(int(tree.aside.sum()), -1)
            cast = slice(tree.vote, tree.vote + said.shape[1])
            sums[tree.aside, cast] += said
            numbers[tree.aside, cast] += 1
        return sums, numbers

    def nodes(self, number: int) -> list[tuple[int, dict[str, Any]]]:
        """Arrays of the first trees, each with the vote that it casts, or the first of them."""
        return [(tree.vote, _nodes(tree.grown, self.columns)) for tree in chain(*self.trees[:number])]

    def _columns(self) -> NDArray[np.float32]:
        return np.asfortranarray(self.x[self.rows][:, self.columns])

    def _round(self, x: NDArray[np.float32], k: int) -> list[_Tree]:
        """Grow the k-th tree of each group of votes that there is something to learn about."""
        return [
            self._tree(x, own, self.first[group], np.random.default_rng([*self.seed, group, k]))
            for group, own in enumerate(self.growing)
            if (own.weight > 0).any() and (own.criterion != "poisson" or own.target.any())
        ]

    def _tree(self, x: NDArray[np.float32], own: Growing, vote: int, rng: np.random.Generator) -> _Tree:
        from sklearn.tree import DecisionTreeRegressor  # type: ignore[import-untyped]

        learned = own.weight > 0
        units, place = np.unique(self.units[learned], return_inverse=True)
        chance = np.bincount(place, own.chance[learned]) / np.bincount(place)
        while True:  # until anybody is drawn, and of times one with an event
            drawn = rng.random(len(units)) < SHARE * chance / chance.max()
            weight = np.zeros(len(x))
            weight[learned] = own.weight[learned] * drawn[place]
            if drawn.any() and (own.criterion != "poisson" or own.target[weight > 0].any()):
                break
        tree = DecisionTreeRegressor(
            criterion=own.criterion,
            max_features=min(self.tried, x.shape[1]),
            min_weight_fraction_leaf=min(0.5, max(IN_A_LEAF / float(weight.sum()), 1 / MOST_LEAVES)),
            random_state=int(rng.integers(1 << 31)),
        )
        tree.fit(x, own.target, sample_weight=weight, check_input=False)
        return _Tree(tree.tree_, vote, ~np.isin(self.units, units[drawn]))


def forest_of(columns: int, votes: int, trees: Sequence[tuple[int, dict[str, Any]]]) -> Forest:
    """Put trees after each other as one forest."""
    sizes = [len(own["feature"]) for _, own in trees]
    start = np.cumsum([0, *sizes])[:-1].astype(np.int64)
    parts = {name: np.concatenate([own[name] for _, own in trees]) for name in trees[0][1]}
    for name in ("left", "right"):
        parts[name] = np.where(parts["feature"] == LEAF, LEAF, parts[name] + np.repeat(start, sizes))
    return Forest(columns, votes, start, np.array([vote for vote, _ in trees], np.int64), **parts)


def _nodes(tree: Any, columns: Ints) -> dict[str, Any]:
    """Read a tree of scikit-learn, in which a patient not above the threshold goes left."""
    leaf = tree.children_left < 0
    at_most = tree.threshold.astype(np.float32)
    at_most = np.where(at_most > tree.threshold, np.nextafter(at_most, np.float32(-np.inf)), at_most)
    return {
        "feature": np.where(leaf, LEAF, columns[np.maximum(tree.feature, 0)]).astype(np.int64),
        "threshold": np.where(leaf, np.float32(0), np.nextafter(at_most, np.float32(np.inf))).astype(np.float32),
        "left": np.where(leaf, LEAF, tree.children_left).astype(np.int64),
        "right": np.where(leaf, LEAF, tree.children_right).astype(np.int64),
        "value": np.where(leaf[:, None], tree.value[:, :, 0], 0.0),
    }
