"""Looks at patients who come in one after another, with one false-alarm rate for all looks of a year.

A look has the level `rate / looks`. The first compares its batch; each later one spends half of its level on its own
batch and half on all patients so far, by which a slow drift is found. The chance of any false alarm in a year is `rate`
at most by the union bound, however the looks hang together, as they do by their common reference.

Source: Bonferroni's form of alpha spending, Lan and DeMets 1983, doi:10.1093/biomet/70.3.659.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chiasm.metrics.two_sample import holm
from chiasm.models.monitoring import Test

LATEST, SO_FAR = "these patients", "all so far"
Rows = NDArray[np.int_]


@dataclass(frozen=True)
class Judged:
    """A test of a look: of which patients, p adjusted over the look's tests, its level, and whether it is an alarm."""

    test: Test
    scope: str
    adjusted: float
    level: float

    @property
    def alarm(self) -> bool:
        """True where the adjusted p is at or below the level."""
        return bool(self.adjusted <= self.level)


@dataclass(frozen=True)
class Look:
    """A batch of patients by its `label`, how many these are, and the tests."""

    label: str
    patients: int
    tests: tuple[Judged, ...]

    @property
    def alarm(self) -> bool:
        """True where a test is an alarm."""
        return any(own.alarm for own in self.tests)

    @property
    def smallest(self) -> float:
        """Smallest adjusted p over its level: 1 or below is an alarm; infinite without a test."""
        ratios = [own.adjusted / own.level for own in self.tests if own.adjusted == own.adjusted]
        return min(ratios, default=np.inf)


def looked(
    batches: Sequence[tuple[str, Rows]], tests: Callable[[Rows], list[Test]], *, rate: float, looks: int
) -> list[Look]:
    """Look at each batch, and at all patients so far.

    Args:
        batches: label and rows of each batch, in order.
        tests: tests of some rows.
        rate: chance of any false alarm in all looks.
        looks: how many looks the rate is for.

    Raises:
        ValueError: more batches than looks, or a rate that is not between 0 and 1.
    """
    if not 0 < rate < 1:
        raise ValueError(f"the false-alarm rate is {rate:g}: it lies between 0 and 1, as .05 does")
    if len(batches) > looks:
        raise ValueError(f"there are {len(batches):,} batches and the rate is for {looks:,} looks: allow as many looks")
    found, before = [], np.zeros(0, dtype=np.intp)
    for label, rows in batches:
        level = rate / looks
        scopes = [(LATEST, rows)] if not len(before) else [(LATEST, rows), (SO_FAR, np.r_[before, rows])]
        judged: list[Judged] = []
        for scope, own in scopes:
            made = tests(own) if len(own) else []
            adjusted = holm(np.array([test.p for test in made], dtype=np.float64))
            each = zip(made, adjusted.tolist(), strict=True)
            judged += [Judged(test, scope, value, level / len(scopes)) for test, value in each]
        found.append(Look(label, len(rows), tuple(judged)))
        before = np.r_[before, rows]
    return found
