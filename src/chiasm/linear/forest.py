"""A forest as plain arrays, in which not every tree votes for every patient; a prediction needs no scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.linear.tree_walk import AT_ONCE, leaves, require_trees

Array = NDArray[np.float64]
PATIENTS_AT_ONCE = 4_096


@storable("forest")
@dataclass(frozen=True)
class Forest:
    """Trees whose leaves hold votes.

    Args:
        columns: F, number of columns that the trees read.
        votes: V, number of votes that a patient gets.
        start: `(T,)` first node of each tree; children come after their parent, within the tree.
        output: `(T,)` the vote of each tree, or the first of the Q that it casts.
        feature: `(N,)` column that a node tests, -1 in a leaf.
        threshold: `(N,)` float32; a patient below it goes left.
        left, right: `(N,)` child nodes, -1 in a leaf.
        value: `(N, Q)` votes of a leaf, zero elsewhere.
    """

    columns: int
    votes: int
    start: np.ndarray
    output: np.ndarray
    feature: np.ndarray
    threshold: np.ndarray
    left: np.ndarray
    right: np.ndarray
    value: np.ndarray

    def of_training(self) -> str:
        """Say what a model folder holds of training patients by this part."""
        return f"{count(int((self.feature >= 0).sum()), 'threshold')} of trees, each between two training values"

    def __post_init__(self) -> None:
        if self.value.ndim != 2 or len(self.value) != len(self.feature) or len(self.output) != len(self.start):
            raise ValueError("the arrays of its trees differ in length")
        if self.output.dtype.kind != "i":
            raise ValueError("its nodes are not whole numbers")
        if not np.isfinite(self.value).all():
            raise ValueError("a threshold or a leaf is not finite")
        require_trees(self.columns, self.start, self.feature, self.threshold, self.left, self.right)
        if (self.output < 0).any() or (self.output + self.value.shape[1] > self.votes).any():
            raise ValueError("a tree casts a vote that there is not")

    @property
    def trained_parameters(self) -> int:
        """Number of thresholds and of votes in leaves."""
        leaf = self.feature < 0
        return int((~leaf).sum() + leaf.sum() * self.value.shape[1])

    def polled(self, x: NDArray[np.float32], serves: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Add up the votes of the trees that serve each patient; return sums and numbers of votes, both `(n, V)`.

        Trees are added one after another, so that one which does not serve a patient leaves no trace, not in the last
        bit of a sum either.

        Args:
            x: `(n, F)` columns without missing values, float32.
            serves: `(n, T)` True where a tree votes for a patient.
        """
        sums, numbers = np.zeros((len(x), self.votes)), np.zeros((len(x), self.votes))
        nodes, cast = (self.feature, self.threshold, self.left, self.right), self.value.shape[1]
        for first in range(0, len(x), PATIENTS_AT_ONCE):
            rows = slice(first, first + PATIENTS_AT_ONCE)
            for tree in range(0, len(self.start), AT_ONCE):
                part = slice(tree, tree + AT_ONCE)
                here, output = serves[rows, part], self.output[part]
                said = self.value[leaves(x[rows], self.start[part], *nodes)]  # (n, T, Q)
                said = np.where(here[..., None], said, 0.0)
                for vote in np.unique(output):
                    own, to = output == vote, slice(vote, vote + cast)
                    running = np.concatenate([sums[rows, None, to], said[:, own]], axis=1)
                    sums[rows, to] = np.cumsum(running, axis=1)[:, -1]
                    numbers[rows, to] += here[:, own].sum(1)[:, None]
        return sums, numbers
