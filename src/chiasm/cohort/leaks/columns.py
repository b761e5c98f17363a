"""Find columns that alone give the outcome away, for all columns of a block at once."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.leaks.disguise import follows_time
from chiasm.cohort.leaks.levels import level_columns, of_the_others
from chiasm.cohort.leaks.questions import FEWEST, event_question, happened, questions_of
from chiasm.cohort.leaks.rank_scores import Question, chance_of_order, order_scores
from chiasm.cohort.sources import ColumnSource
from chiasm.errors import CohortError
from chiasm.targets import Outcome, Target

ALMOST_PERFECT = 0.99
ALMOST_THE_TIME = 0.95  # Harrell's C with the times of a survival target, which nothing predicts so well in advance
ALMOST_A_COPY = 0.95  # AUROC of a column of two values, or with the event of a survival target
MANY = 15  # filled rows of each group needed in a column that is mostly empty or a copy with flips
BY_CHANCE = 0.01  # expected number of columns without signal that order the outcome so well

Array = NDArray[np.float64]
Bools = NDArray[np.bool_]


def leaking_columns(cohort: Cohort, modality: str) -> list[str]:
    """List the columns of a table or omics block that alone order the outcome with AUROC or Harrell's C >= .99.

    See `knowing`. A text column counts by its levels, as do whole numbers in a table of 200 columns or fewer, and every
    column also by whether it is filled. Empty for other kinds and for too few patients to tell.
    """
    source = cohort.sources[modality]
    if cohort.outcome is None or cohort.target is None:
        return []
    if not isinstance(source, ColumnSource) or source.kind not in ("table", "omics"):
        return []
    rows = cohort.rows_of(modality)
    rows = rows[cohort.outcome.known[rows]]
    try:
        frame = source.frame.iloc[cohort.source_rows[modality][rows]]
    except CohortError:
        return []  # a table that cannot be read is reported where it is read
    return leaking_names(frame, cohort.target, cohort.outcome.take(rows))


def leaking_names(frame: pd.DataFrame, target: Target, outcome: Outcome) -> list[str]:
    """List the columns of a frame that alone order the outcome of its rows, all of which are known."""
    values, names = _numeric(frame)
    levels, of_levels = level_columns(frame)
    alone = knowing(values, target, outcome)
    by_level = knowing_levels(levels, target, outcome)
    found = [name for name, knows in zip([*names, *of_levels], [*alone, *by_level], strict=True) if knows]
    return list(dict.fromkeys(found))


def knowing(values: Array, target: Target, outcome: Outcome) -> Bools:
    """(C,) True for columns that alone give the outcome away; every row of `outcome` must be known.

    The statistic is computed within each of 5 folds and averaged, in whichever direction is better; for several classes
    it is averaged over their pairs, of several labels or channels the best counts, and a regression counts as survival
    without censoring. A leak is .99 or more, or .95 for times with 30 events or more. A column of two values that
    splits two groups with an AUROC of .95 or more is a copy with some flips. For survival, a column also leaks if it
    separates events from censored patients with .95, as the event column itself does, whose Harrell's C is far from 1;
    or if it follows the time of the censored as it does that of the others (`follows_time`). A column filled in less
    than half of the patients needs 15 filled in each group; and none counts if so many columns would include such a
    one by chance.
    """
    nothing = np.zeros(values.shape[1], dtype=bool)
    questions = questions_of(target, outcome)
    if not questions or not values.shape[1]:
        return nothing
    two = _two_valued(values)
    scores = np.stack([_told(values[own.rows], own, two) for own in questions])  # (Q, C)
    score = scores.max(axis=0) if target.has_labels or target.has_channels else scores.mean(axis=0)
    certain = target.has_times and happened(target, outcome).sum() >= 2 * MANY
    found = score >= (ALMOST_THE_TIME if certain else ALMOST_PERFECT)
    if target.has_times:
        found |= follows_time(values, outcome.value, happened(target, outcome))
        events = event_question(target, outcome)
        if events is not None:
            found |= _told(values, events, np.ones_like(two)) >= ALMOST_PERFECT
    return np.asarray(found)


def knowing_levels(levels: NDArray[np.int_], target: Target, outcome: Outcome) -> Bools:
    """(L,) True for columns of levels that give the outcome away, judged by the other patients with the same level."""
    questions = questions_of(target, outcome)
    if not questions or not levels.shape[1]:
        return np.zeros(levels.shape[1], dtype=bool)
    events = event_question(target, outcome)
    scores = [_told_by_level(levels[own.rows], own) for own in questions]
    several = target.has_labels or target.has_channels
    found = (np.max(scores, axis=0) if several else np.mean(scores, axis=0)) >= ALMOST_PERFECT
    if events is not None:
        found |= _told_by_level(levels, events) >= ALMOST_PERFECT
    return np.asarray(found)


def _told(values: Array, question: Question, copies: Bools) -> Array:
    """(C,) score in the better direction; 0 if it may be chance, 1 for a copy with at most some flips."""
    score = order_scores(values, question)
    score = np.maximum(score, 1 - score)
    filled = np.isfinite(values)
    enough, many = _enough(filled, question)
    sure = chance_of_order(filled, question) * values.shape[1] < BY_CHANCE
    if question.event is None:
        score = np.where(copies & many & (score >= ALMOST_A_COPY), 1.0, score)
    return np.where(enough & sure & np.isfinite(score), score, 0.0)


def _told_by_level(levels: NDArray[np.int_], question: Question) -> Array:
    values = of_the_others(levels, question)
    score = order_scores(values, question)
    score = score if question.event is None else 1 - score  # earlier times have lower ranks
    enough, _ = _enough(np.isfinite(values), question)
    return np.where(enough & np.isfinite(score), score, 0.0)


def _enough(filled: Bools, question: Question) -> tuple[Bools, Bools]:
    """(C,) True if enough rows of each group are filled to judge the column, and (C,) True if 15 of each are."""
    stratum = question.label == 1 if question.event is None else question.event
    members = (filled & stratum[:, None]).sum(axis=0)
    others = filled.sum(axis=0) - members if question.event is None else members
    fewest = np.minimum(members, others)
    many = np.asarray(fewest >= MANY)
    return np.asarray(np.where(filled.mean(axis=0) >= 0.5, fewest >= FEWEST, many)), many


def _two_valued(values: Array) -> Bools:
    """(C,) True for columns of exactly two distinct numbers."""
    with np.errstate(invalid="ignore"):
        low = np.where(np.isfinite(values), values, np.inf).min(axis=0, initial=np.inf)
        high = np.where(np.isfinite(values), values, -np.inf).max(axis=0, initial=-np.inf)
        inside = (values > low) & (values < high)
    return np.asarray((low < high) & ~inside.any(axis=0))


def _numeric(frame: pd.DataFrame) -> tuple[Array, list[str]]:
    """(n, C) numbers, and fill indicators of partly filled columns; with the name of the column that each is from."""
    numbers = frame.select_dtypes(exclude="object")
    filled = frame.notna()
    partly = filled.loc[:, filled.any(axis=0) & ~filled.all(axis=0)]
    values = np.concatenate([numbers.to_numpy(dtype=np.float64), partly.to_numpy(dtype=np.float64)], axis=1)
    return values, [str(name) for name in (*numbers.columns, *partly.columns)]
