"""Classification by similar patients: a vote of the k nearest, an operating point, and the voters as evidence."""

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
    """Classifier by the share of each class among the k nearest training patients, with a threshold for two classes.

    The threshold has the largest sensitivity + specificity - 1 (Youden) on training patients, each classified by the
    votes of the others, never by its own: no test patient is looked at. After the evidence-based classification of
    MedImageInsight (arXiv 2410.06542), where the operating point of a similarity search is read off an ROC curve.

    Args:
        neighbours: the training patients' embeddings.
        codes: `(n,)` class of each training patient.
        classes: number of classes, K.
        k: number of voters.
        threshold: threshold on the probability of class 1; .5 where there are more than two classes.
    """

    neighbours: Neighbours
    codes: NDArray[np.int_]
    classes: int
    k: int
    threshold: float

    @classmethod
    def fit(cls, embeddings: NDArray[np.float32], codes: NDArray[np.int_], classes: int, k: int = 20) -> Self:
        """Fit the vote on training patients' embeddings `(n, D)` and classes `(n,)`.

        Raises:
            ValueError: k is below 1, or not below the number of patients.
        """
        if not 1 <= k < len(codes):
            raise ValueError(f"k = {k} voters need more than {k} training patients, and there are {len(codes)}")
        neighbours = Neighbours(embeddings)
        vote = cls(neighbours, np.asarray(codes, int), classes, k, 0.5)
        if classes != 2:
            return vote
        found, _ = neighbours.nearest(embeddings, k + 1)
        own = found == np.arange(len(codes))[:, None]
        own[~own.any(1), -1] = True  # more than k others at distance zero: drop the last of them
        others = found[~own].reshape(len(codes), k)
        score = vote.shares(others)[:, 1]
        false_rate, true_rate, thresholds = roc_curve(vote.codes, score)
        best = int(np.argmax(true_rate - false_rate))
        threshold = float(thresholds[best]) if np.isfinite(thresholds[best]) else 0.5
        return cls(neighbours, vote.codes, classes, k, threshold)

    def shares(self, found: NDArray[np.int_]) -> Array:
        """Share of each class among the voters `(n, k)`, as `(n, K)`."""
        return np.stack([(self.codes[found] == code).mean(1) for code in range(self.classes)], axis=1)

    def probabilities(self, embeddings: NDArray[np.float32]) -> Array:
        """Share of the votes for each class, `(n, K)`."""
        return self.shares(self.evidence(embeddings)[0])

    def decide(self, embeddings: NDArray[np.float32]) -> NDArray[np.int_]:
        """Decide the class of each patient, `(n,)`: by the threshold for two classes, else by most votes."""
        shares = self.probabilities(embeddings)
        return (shares[:, 1] >= self.threshold).astype(int) if self.classes == 2 else shares.argmax(1)

    def evidence(self, embeddings: NDArray[np.float32]) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
        """Training rows that voted on each patient, nearest first, and their distances, `(n, k)` each."""
        return self.neighbours.nearest(embeddings, self.k)
