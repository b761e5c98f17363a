"""Patterns of present modalities for which something of their own is fitted, and the patients to fit it on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Outcome
from chiasm.fitting.base import Training

MAX_EXACT = 6  # up to this many modalities every subset is fitted
MIN_PATIENTS = 20


def patterns(cohort: Cohort) -> list[list[int]]:
    """List the patterns to fit: every subset of up to six modalities, else the observed patterns and the full one."""
    count = len(cohort.modalities)
    if count <= MAX_EXACT:
        return [list(part) for size in range(1, count + 1) for part in combinations(range(count), size)]
    seen = {tuple(np.flatnonzero(row).tolist()) for row in np.unique(cohort.present, axis=0)}
    return [list(part) for part in sorted(seen | {tuple(range(count))}) if part]


def learnable_patterns(training: Training) -> Iterator[tuple[list[int], NDArray[np.int_], Outcome]]:
    """Yield each pattern that twenty patients of differing outcomes have all of, with their rows and outcomes."""
    for pattern in patterns(training.cohort):
        rows = np.flatnonzero(training.cohort.present[:, pattern].all(1))
        known = training.outcome.take(rows)
        if len(rows) >= MIN_PATIENTS and training.target.learnable(known):
            yield pattern, rows, known
