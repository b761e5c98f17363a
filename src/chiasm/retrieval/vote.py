"""Classification by similar patients: the vote of the k nearest, an operating point, and who they are as evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve  # type: ignore[import-untyped]

from chiasm.retrieval.neighbours import Neighbours

Array = NDArray[np.float64]


@dataclass(frozen=True)
class NeighbourVote:
    """The share of each class among the k nearest training patients; for two classes a threshold on the second.

    The threshold is the one of largest sensitivity + specificity - 1 (Youden) on training patients, each voted on by
    the others, never by itself: no test patient is looked at. After the evidence-based classification of
    MedImageInsight (arXiv 2410.06542), where the operating point of a similarity search is read off an ROC curve.

    Args:
        neighbours: the training patients' embeddings.
        codes: `(n,)` class of each.
        classes: K.
        k: voters.
        threshold: of the probability of class 1; .5 where there are more than two classes.
    """

    neighbours: Neighbours
    codes: NDArray[np.int_]
    classes: int
    k: int
    threshold: float

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], codes: NDArray[np.int_], classes: int, k: int = 20) -> Self:
        """From training patients, `(n, D)` and `(n,)`.

        Raises:
            ValueError: k is not below the number of patients.
        """
        if not 1 <= k < len(codes):
            raise ValueError(f"k = {k} voters need more than {k} training patients, and there are {len(codes)}")
        neighbours = Neighbours(embeddings)
        vote = cls(neighbours, np.asarray(codes, int), classes, k, 0.5)
        if classes != 2:
            return vote
        found, _ = neighbours.nearest(embeddings, k + 1)
        own = found == np.arange(len(codes))[:, None]
        own[~own.any(1), -1] = True  # more than k others at distance zero: the last of them makes room
        others = found[~own].reshape(len(codes), k)
        score = vote.shares(others)[:, 1]
        false_rate, true_rate, thresholds = roc_curve(vote.codes, score)
        best = int(np.argmax(true_rate - false_rate))
        threshold = float(thresholds[best]) if np.isfinite(thresholds[best]) else 0.5
        return cls(neighbours, vote.codes, classes, k, threshold)

    def shares(self, found: NDArray[np.int_]) -> Array:
        """`(n, K)` the share of each class among the voters `(n, k)`."""
        return np.stack([(self.codes[found] == code).mean(1) for code in range(self.classes)], axis=1)

    def probabilities(self, embeddings: NDArray[np.float32]) -> Array:
        """`(n, K)`."""
        return self.shares(self.evidence(embeddings)[0])

    def decide(self, embeddings: NDArray[np.float32]) -> NDArray[np.int_]:
        """`(n,)` the class: by the threshold for two classes, else the one of most votes."""
        shares = self.probabilities(embeddings)
        return (shares[:, 1] >= self.threshold).astype(int) if self.classes == 2 else shares.argmax(1)

    def evidence(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """The training rows that voted on each patient, nearest first, and their distances, `(n, k)` each."""
        return self.neighbours.nearest(embeddings, self.k)
