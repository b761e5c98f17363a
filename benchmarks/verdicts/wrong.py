"""Which verdicts are wrong, and which intervals hold the truth: what a row of the table counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chiasm.evaluation.verdict import DOES_NOT_PAY, MARGIN, PAYS, PREDICTS_MORE
from verdicts.cells import COMBINING, COVERAGE, QUANTITIES, TOTAL, Cell

Row = dict[str, Any]
Z = 1.959964


@dataclass(frozen=True)
class Share:
    """k of n, with its 95 % Wilson limits."""

    k: int
    n: int

    @property
    def limits(self) -> tuple[float, float]:
        if not self.n:
            return 0.0, 1.0
        p, z2 = self.k / self.n, Z**2 / self.n
        middle, half = p + z2 / 2, Z * math.sqrt(p * (1 - p) / self.n + z2 / (4 * self.n))
        return max(0.0, (middle - half) / (1 + z2)), min(1.0, (middle + half) / (1 + z2))

    @property
    def value(self) -> float:
        return self.k / self.n if self.n else math.nan

    def __str__(self) -> str:
        low, high = self.limits
        return f"{100 * self.value:.1f} ({100 * low:.1f}-{100 * high:.1f})" if self.n else "-"


@dataclass(frozen=True)
class Truth:
    """A quantity of a cell: the mean over its cohorts, and the standard error of that mean."""

    mean: float
    error: float


def truths(rows: Sequence[Row]) -> dict[str, Truth]:
    """Of each quantity, over the cohorts of a cell."""
    found = {}
    for name in QUANTITIES:
        values = np.array([row[name][-1] for row in rows if row[name][-1] is not None], dtype=float)
        error = float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
        found[name] = Truth(float(values.mean()) if len(values) else math.nan, error)
    return found


def above_zero(cell: Cell, name: str, true: dict[str, Truth]) -> bool:
    """Whether the true quantity is above zero: not where that is so by construction, else by its mean."""
    return name not in cell.nothing and true[name].mean > 0


def wrong(cell: Cell, row: Row, true: dict[str, Truth]) -> bool:
    """Whether the verdict of a cohort is wrong.

    "Pays" where the true total or the true combining is not above zero; "predicts more patients" where the true
    coverage is not; "does not pay" where the true total is .01 or more, and so is true combining or true coverage.
    """
    positive = {name: above_zero(cell, name, true) for name in QUANTITIES}
    large = {name: positive[name] and true[name].mean >= MARGIN for name in QUANTITIES}
    if row["outcome"] == PAYS:
        return not (positive[TOTAL] and positive[COMBINING])
    if row["outcome"] == PREDICTS_MORE:
        return not positive[COVERAGE]
    return bool(row["outcome"] == DOES_NOT_PAY and large[TOTAL] and (large[COMBINING] or large[COVERAGE]))


def interval(line: Sequence[float | None]) -> tuple[float, float] | None:
    """The wider of the corrected and the bootstrap interval of a line; None where there is none."""
    _, low, high, drawn_low, drawn_high, _ = line
    if drawn_low is None or drawn_high is None:
        return None
    if low is None or high is None or high - low <= drawn_high - drawn_low:
        return drawn_low, drawn_high
    return low, high


def covered(rows: Sequence[Row], name: str, true: dict[str, Truth]) -> Share:
    """How many intervals of a quantity hold the truth of the cell; those that are not printed do not count."""
    found = [own for row in rows if (own := interval(row[name])) is not None]
    return Share(sum(low <= true[name].mean <= high for low, high in found), len(found))


def missed_by(rows: Sequence[Row], name: str, true: dict[str, Truth]) -> float:
    """How far the truth lies outside those intervals that do not hold it, in the median."""
    found = [own for row in rows if (own := interval(row[name])) is not None]
    gaps = np.array([max(low - true[name].mean, true[name].mean - high) for low, high in found])
    return float(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 0.0


def widths(rows: Sequence[Row], name: str) -> tuple[float, float]:
    """Mean width of the interval that is printed, and of the corrected one."""
    printed = [own[1] - own[0] for row in rows if (own := interval(row[name])) is not None]
    corrected = [row[name][2] - row[name][1] for row in rows if row[name][1] is not None]
    return (float(np.mean(printed)) if printed else math.nan, float(np.mean(corrected)) if corrected else math.nan)


def metric_covered(rows: Sequence[Row]) -> tuple[Share, Share]:
    """Intervals of the primary metric that hold the mean of their own fitted models, and the mean over all cohorts.

    A recipe that says the same of everybody has no interval to speak of and does not count.
    """
    own = mean = n = 0
    for recipe in sorted({name for row in rows for name in row["metric"]}):
        lines = [row["metric"][recipe] for row in rows if recipe in row["metric"]]
        lines = [line for line in lines if None not in line and line[1] < line[2]]
        population = float(np.mean([line[3] for line in lines])) if lines else math.nan
        n += len(lines)
        own += sum(low <= true <= high for _, low, high, true in lines)
        mean += sum(low <= population <= high for _, low, high, _ in lines)
    return Share(own, n), Share(mean, n)


def old_test(rows: Sequence[Row]) -> Share:
    """How often the corrected interval of combining alone lies above zero."""
    return Share(sum(row[COMBINING][1] is not None and row[COMBINING][1] > 0 for row in rows), len(rows))
