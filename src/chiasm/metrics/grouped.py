"""Classes told item by item, counted patient by patient: who has every item right, or most of them.

A system that finds things in an image and classifies each is reported by crops, of which a patient with many has many
votes; whether a patient is told rightly is another question. Work on brain tumours (YOLOv8 and DeiT) reports a metric
"patient to patient" without code or a formula that we found, so that these definitions are ours.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.weighted import Floats

MEASURES = ("all_right", "most_right", "share_right")
"""Shares of patients with every item right, and with more than half of them; and the mean of their share."""


def right_of(probabilities: Floats, codes: Floats) -> Floats:
    """(n,) 1 where the class of the largest probability `(n, K)` is the item's own, shared among equal ones."""
    largest = probabilities >= probabilities.max(axis=1, keepdims=True) - 1e-12
    return np.asarray(largest[np.arange(len(codes)), codes.astype(int)] / largest.sum(axis=1))


def of_groups(right: Floats, groups: NDArray[np.int_]) -> Floats:
    """`(3, G)` for each group, by its code from 0, whether all and whether most of its items are right, their share.

    Args:
        right: (n,) 1 for an item that is told rightly, 0 else, between where classes are tied.
        groups: (n,) code of each item's group, 0 to G - 1, each of which has an item.
    """
    many = np.bincount(groups)
    share = np.bincount(groups, right) / many
    return np.stack([(share >= 1 - 1e-12).astype(np.float64), (share > 0.5).astype(np.float64), share])
