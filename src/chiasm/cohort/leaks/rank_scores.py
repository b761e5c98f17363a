"""Score how well each column alone orders an outcome: rank statistics within folds, all columns at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import gammaln  # type: ignore[import-untyped]

FOLDS = 5
FEWEST_IN_FOLDS = 15
MOST_IN_FOLD = 1_000
MOST_PAIRS = 10_000
COLUMNS_AT_ONCE = 1_000

Array = NDArray[np.float64]
Statistic = Callable[[Array, Array, NDArray[np.bool_] | None, np.random.Generator], Array]


@dataclass(frozen=True)
class Question:
    """Contrast that a column may give away: members against others, or who is earlier.

    `rows` (n,) index the rows handed in; `label` (n,) 0 or 1, or the time or number; `event` (n,) for times, else None.
    """

    rows: NDArray[np.int_]
    label: Array
    event: NDArray[np.bool_] | None = None

    @property
    def statistic(self) -> Statistic:
        return auroc if self.event is None else concordance


def order_scores(values: Array, question: Question, seed: int = 0) -> Array:
    """(C,) statistic of each column within folds, averaged: 1 and 0 order perfectly, NaN is undetermined.

    `values` is (n, C), NaN where missing. There are five folds if the smaller class (or the events) has 15 patients or
    more, else one; a fold in which a column has no pair is left out of its mean. Time grows with n x C.
    """
    label, event = question.label, question.event
    stratum = label if event is None else event.astype(float)
    n = len(label)
    fewest = int(min(stratum.sum(), (n - stratum.sum()) if event is None else stratum.sum()))
    folds = FOLDS if fewest >= FEWEST_IN_FOLDS else 1
    rng = np.random.default_rng(seed)
    fold = np.empty(n, dtype=int)
    fold[np.lexsort((rng.random(n), stratum))] = np.arange(n) % folds
    found = np.full((folds, values.shape[1]), np.nan)
    for k in range(folds):
        rows = np.flatnonzero(fold == k)
        if len(rows) > MOST_IN_FOLD:
            rows = np.sort(rng.choice(rows, MOST_IN_FOLD, replace=False))
        happened = None if event is None else event[rows]
        draws = int(rng.integers(2**31))
        for start in range(0, values.shape[1], COLUMNS_AT_ONCE):
            part = slice(start, start + COLUMNS_AT_ONCE)
            ranks = pd.DataFrame(values[rows, part]).rank(method="average").to_numpy()  # NaN stays NaN
            found[k, part] = question.statistic(ranks, label[rows], happened, np.random.default_rng(draws))
    some = np.isfinite(found)
    total = np.where(some, found, 0.0).sum(axis=0)
    return np.where(some.any(axis=0), total / np.maximum(some.sum(axis=0), 1), np.nan)


def chance_of_order(filled: NDArray[np.bool_], question: Question) -> Array:
    """(C,) probability that a column without signal orders perfectly, in either direction, in every fold.

    With m members among n filled rows of each of F folds it is 2 / binomial(n, m) ** F; with e events, 2 / e! ** F.
    """
    stratum = question.label == 1 if question.event is None else question.event
    members = (filled & stratum[:, None]).sum(axis=0).astype(float)
    everybody = filled.sum(axis=0).astype(float)
    smaller = np.minimum(members, everybody - members) if question.event is None else members
    folds = np.where(smaller >= FEWEST_IN_FOLDS, FOLDS, 1)
    m, n = members / folds, everybody / folds
    orders = gammaln(m + 1) if question.event is not None else gammaln(n + 1) - gammaln(m + 1) - gammaln(n - m + 1)
    return np.asarray(np.minimum(1.0, 2 * np.exp(-folds * orders)))


def auroc(ranks: Array, label: Array, event: NDArray[np.bool_] | None, rng: np.random.Generator) -> Array:
    """(C,) AUROC, P(x of a member > x of a non-member) + half of the ties, from the Mann-Whitney rank sum."""
    member = (label == 1)[:, None] & ~np.isnan(ranks)
    members = member.sum(axis=0)
    others = (~np.isnan(ranks)).sum(axis=0) - members
    total = np.where(member, ranks, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((total - members * (members + 1) / 2) / (members * others))


def concordance(ranks: Array, time: Array, event: NDArray[np.bool_] | None, rng: np.random.Generator) -> Array:
    """(C,) Harrell's C of each column as a risk, over all comparable pairs or 10,000 of them drawn at random."""
    happened = np.ones(len(time), dtype=bool) if event is None else event
    first, second = np.nonzero(happened[:, None] & (time[:, None] < time[None, :]))
    if len(first) > MOST_PAIRS:
        drawn = rng.choice(len(first), MOST_PAIRS, replace=False)
        first, second = first[drawn], second[drawn]
    small = ranks.astype(np.float32)  # ranks up to 1,000 are exact in it
    difference = small[first] - small[second]  # (pairs, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        concordant = (difference > 0).sum(axis=0) + 0.5 * (difference == 0).sum(axis=0)
        return np.asarray(concordant / (~np.isnan(difference)).sum(axis=0))
