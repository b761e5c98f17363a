"""The k nearest training patients by cosine as a predictor of any kind of target, with k chosen on inner folds.

    votes(x) = sum_i w_i t_i / sum_i w_i        over the k training patients i with the largest cosine to x

`t` and `w` are what a leaf of a forest votes with (`linear.loss.Growing`): the indicator of a class or label, a number,
or of survival the event divided by the cumulative hazard at the patient's time, weighted by that hazard, so that the
vote is observed over expected events (LeBlanc and Crowley 1992). For classes, labels and numbers it equals
scikit-learn's `KNeighborsClassifier` and `KNeighborsRegressor` with `metric="cosine"`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.linear.losses import LOSSES
from chiasm.linear.target_units import TargetUnits
from chiasm.retrieval.neighbours import Neighbours
from chiasm.targets import Outcome

Array = NDArray[np.float64]
Ints = NDArray[np.int_]
KS = (1, 3, 5, 10, 20, 50, 100)
HARDLY = 1e-6  # of one neighbour, which the prior counts: votes of zero have a logarithm, and change in nothing else


def nearest_links(
    kind: str, known: Array, outcome: Outcome, asked: Array, ks: Sequence[int], classes: int | None
) -> Array:
    """Return the link `(len(ks), q, K)` of patients by the votes of their k nearest training patients.

    Args:
        known: `(n, D)` vectors of training patients, all of known outcome.
        outcome: theirs.
        asked: `(q, D)` vectors.
        ks: numbers of neighbours, of which those above n count as n.
        classes: number of classes or labels.
    """
    found, _ = Neighbours(_directions(known)).nearest(_directions(asked), min(max(ks), len(known)))
    units = TargetUnits.of(kind, outcome)
    inside = units.inside(outcome)
    loss = LOSSES[kind]
    prior = loss.prior_votes(inside, classes)
    votes = np.zeros((len(ks), len(asked), len(prior)))
    column = 0
    for growing in loss.growing(inside, inside, classes):
        width = growing.target.shape[1]
        own = prior[column : column + width]
        weight = growing.weight[found]  # (q, k)
        counted = np.cumsum(weight, axis=1)[..., None]
        total = np.cumsum(weight[..., None] * growing.target[found], axis=1)  # (q, k, width)
        for place, k in enumerate(ks):
            last = min(k, found.shape[1]) - 1
            votes[place, :, column : column + width] = (total[:, last] + HARDLY * own) / (counted[:, last] + HARDLY)
        column += width
    links = [units.outside(loss.link_of(own)) for own in votes]
    return np.stack(links)


def _directions(vectors: Array) -> NDArray[np.float32]:
    """Vectors of length one, in single precision, whatever their unit; zeros stay zeros."""
    largest = np.abs(vectors).max(axis=1, keepdims=True, initial=0.0)
    scaled = vectors / np.where(largest > 0, largest, 1.0)
    size = np.linalg.norm(scaled, axis=1, keepdims=True)
    return np.asarray(scaled / np.where(size > 0, size, 1.0), np.float32)
