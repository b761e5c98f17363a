"""Columns that know the outcome: a rank statistic of each column alone, all columns at once."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.errors import CohortError
from chiasm.cohort.sources import ColumnSource
from chiasm.cohort.targets import Classification, Multilabel

ALMOST_PERFECT = 0.99
FOLDS = 5
FEWEST = 8  # of a class, or events: with fewer, one column in many is perfect by chance
FEWEST_IN_FOLDS = 15
MOST_IN_FOLD = 1_000
MOST_PAIRS = 10_000
MOST_CLASSES = 8
MOST_LEVELS = 20

Array = NDArray[np.float64]
Statistic = Callable[[Array, Array, NDArray[np.bool_] | None, np.random.Generator], Array]


def leaking_columns(cohort: Cohort, modality: str) -> list[str]:
    """The columns of a table or an omics block that alone order the outcome with AUROC or Harrell's C >= .99.

    The statistic is computed within each of 5 folds and averaged, in whichever direction is better; of several classes
    it is averaged over their pairs; of several labels the one ordered best counts; a regression counts as survival
    without censoring. Of survival a column leaks too that tells the events from the censored with AUROC >= .99, as the
    column of the events itself does, of which Harrell's C is far from 1. A text column counts by its levels, and every
    column also by whether it is filled. Empty for other kinds and for too few patients to tell.
    """
    source = cohort.sources[modality]
    if cohort.outcome is None or not isinstance(source, ColumnSource) or source.kind not in ("table", "omics"):
        return []
    rows = cohort.rows_of(modality)
    rows = rows[cohort.outcome.known[rows]]
    try:
        values, names = _numeric(source.frame.iloc[cohort.source_rows[modality][rows]])
    except CohortError:
        return []  # a table that cannot be read is reported where it is read
    value = cohort.outcome.value[rows]
    rng = np.random.default_rng(0)
    if isinstance(cohort.target, Classification):
        codes = value.astype(int)
        present = [code for code in np.unique(codes) if (codes == code).sum() >= FEWEST]
        if not 2 <= len(present) <= MOST_CLASSES:
            return []
        scores = []
        for first, second in itertools.combinations(present, 2):
            members = np.flatnonzero((codes == first) | (codes == second))
            scores.append(_averaged(_auroc, values[members], (codes[members] == second).astype(float), None, rng))
    elif isinstance(cohort.target, Multilabel):
        scores = []
        for column in value.T:
            members = np.flatnonzero(~np.isnan(column))
            if min((column == 1).sum(), (column == 0).sum()) >= FEWEST:
                scores.append(_averaged(_auroc, values[members], column[members], None, rng))
        if not scores:
            return []
        scores = [np.max(scores, axis=0)]
    else:
        event = np.ones(len(rows), dtype=bool) if cohort.outcome.event is None else cohort.outcome.event[rows]
        if event.sum() < FEWEST or len(rows) < 2 * FEWEST:
            return []
        scores = [_averaged(_concordance, values, value, event, rng)]
        if min(event.sum(), (~event).sum()) >= FEWEST:
            scores = [np.maximum(scores[0], _averaged(_auroc, values, event.astype(float), None, rng))]
    score = np.mean(scores, axis=0)
    return list(dict.fromkeys(name for name, found in zip(names, score, strict=True) if found >= ALMOST_PERFECT))


def _numeric(frame: pd.DataFrame) -> tuple[Array, list[str]]:
    """(n, C) numbers, an indicator for each level of a text column, one for being filled; and each one's column."""
    numbers = frame.select_dtypes(exclude="object")
    blocks = [numbers.to_numpy(dtype=np.float64)]
    names = [str(name) for name in numbers.columns]
    for name in frame.select_dtypes(include="object"):
        levels = frame[name].dropna().unique()
        if 1 < len(levels) <= MOST_LEVELS:
            blocks.append(np.stack([(frame[name] == level).to_numpy(dtype=np.float64) for level in levels], axis=1))
            names += [str(name)] * len(levels)
    filled = frame.notna()
    partly = filled.loc[:, filled.any(axis=0) & ~filled.all(axis=0)]
    blocks.append(partly.to_numpy(dtype=np.float64))
    names += [str(name) for name in partly.columns]
    return np.concatenate(blocks, axis=1), names


def _averaged(
    statistic: Statistic, values: Array, outcome: Array, event: NDArray[np.bool_] | None, rng: np.random.Generator
) -> Array:
    """(C,) the statistic within folds, averaged, in the better direction; 0 where too few values are filled."""
    label = outcome if event is None else event.astype(float)
    n = len(label)
    fewest = int(min(label.sum(), (n - label.sum()) if event is None else label.sum()))
    folds = FOLDS if fewest >= FEWEST_IN_FOLDS else 1
    fold = np.empty(n, dtype=int)
    fold[np.lexsort((rng.random(n), label))] = np.arange(n) % folds
    found = []
    for k in range(folds):
        rows = np.flatnonzero(fold == k)
        if len(rows) > MOST_IN_FOLD:
            rows = np.sort(rng.choice(rows, MOST_IN_FOLD, replace=False))
        ranks = pd.DataFrame(values[rows]).rank(method="average").to_numpy()  # NaN stays NaN
        found.append(statistic(ranks, outcome[rows], None if event is None else event[rows], rng))
    mean = np.mean(found, axis=0)  # NaN where a fold has no pair
    filled = np.isfinite(values).mean(axis=0) >= 0.5
    return np.where(filled & np.isfinite(mean), np.maximum(mean, 1 - mean), 0.0)


def _auroc(ranks: Array, label: Array, event: NDArray[np.bool_] | None, rng: np.random.Generator) -> Array:
    """(C,) P(x of a member > x of a non-member) + half of the ties: the rank sum of Mann and Whitney."""
    member = (label == 1)[:, None] & ~np.isnan(ranks)
    members = member.sum(axis=0)
    others = (~np.isnan(ranks)).sum(axis=0) - members
    total = np.where(member, ranks, 0.0).sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((total - members * (members + 1) / 2) / (members * others))


def _concordance(ranks: Array, time: Array, event: NDArray[np.bool_] | None, rng: np.random.Generator) -> Array:
    """(C,) Harrell's C of each column as a risk, over all comparable pairs or 10,000 of them drawn at random."""
    happened = np.ones(len(time), dtype=bool) if event is None else event
    first, second = np.nonzero(happened[:, None] & (time[:, None] < time[None, :]))
    if len(first) > MOST_PAIRS:
        drawn = rng.choice(len(first), MOST_PAIRS, replace=False)
        first, second = first[drawn], second[drawn]
    small = ranks.astype(np.float32)  # ranks to 1,000 are exact in it
    difference = small[first] - small[second]  # (pairs, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        concordant = (difference > 0).sum(axis=0) + 0.5 * (difference == 0).sum(axis=0)
        return np.asarray(concordant / (~np.isnan(difference)).sum(axis=0))
