"""Nested, stratified parts of a training set, by which a curve of learning is drawn."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, holdout
from chiasm.compute.isolation import seeded
from chiasm.errors import count
from chiasm.fitting.embedded.learned import Pupils, TooFew

Ints = NDArray[np.int_]
SHARES = (1.0, 5.0, 10.0, 100.0)
DRAWS = 5
TRIES = 20


def require_shares(shares: Sequence[float]) -> tuple[float, ...]:
    """Return shares of the training patients in percent, ascending.

    Raises:
        ValueError: none, one twice, or one that is not above 0 and at most 100.
    """
    found = sorted(float(own) for own in shares)
    if not found or not found[0] > 0 or found[-1] > 100 or len(set(found)) < len(found):
        raise ValueError("shares are percentages of the training patients, above 0 and at most 100, each named once")
    return tuple(found)


def nested_parts(training: Cohort, shares: Sequence[float], seed: int) -> dict[float, tuple[Ints, str]]:
    """Draw a part of a training set for each share, every smaller one within the next larger.

    Parts are stratified as folds are, and keep groups whole (`cohort.holdout`). A part that cannot be learned from,
    for want of patients or of one class, is drawn again up to 20 times.

    Args:
        shares: percentages, ascending; 100 is the whole set.

    Returns:
        Of each share its rows in `training`, sorted, and "", or why nothing can be learned from them.
    """
    found: dict[float, tuple[Ints, str]] = {}
    whole, size = np.arange(len(training)), 100.0
    for share in sorted(shares, reverse=True):
        rows, why = whole, ""
        for attempt in range(1 if share == size else TRIES):
            own = seeded(seed, f"{share:g}:{attempt}")
            if share < size:
                rows = whole[holdout(training.subset(whole), share / size, seed=own)]
            why = why_not(training, rows, own)
            if not why:
                break
        found[share] = rows, why
        whole, size = rows, share
    return found


def why_not(training: Cohort, rows: Ints, seed: int) -> str:
    """Say why nothing can be learned from these rows; "" where something can."""
    if not len(rows):
        return "no patient"
    try:
        Pupils.of(training.subset(rows), seed)
    except TooFew as error:
        return f"{count(len(rows), 'patient')}: {error}"
    return ""
