"""Split an outcome into the questions that a column could answer: contrasts of two groups, or an order of times."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.leaks.rank_scores import Question
from chiasm.targets import Outcome, Target

FEWEST = 8  # of a class, or events
MOST_CLASS_PAIRS = 28  # those of eight classes
MOST_CHANNELS = 16  # of a response, evenly taken from all

Bools = NDArray[np.bool_]


def questions_of(target: Target, outcome: Outcome) -> list[Question]:
    """List the contrasts to average: pairs of classes, or the order of numbers or times; empty for too few patients.

    With more than eight classes, 28 of their pairs are drawn. Several labels give one contrast each, of which the best
    counts. A regression counts as survival without censoring, and so does each of up to 16 channels.
    """
    value = outcome.value
    if target.has_classes:
        codes = value.astype(int)
        enough = [code for code in np.unique(codes) if (codes == code).sum() >= FEWEST]
        pairs = list(itertools.combinations(enough, 2))
        if len(pairs) > MOST_CLASS_PAIRS:
            drawn = np.random.default_rng(0).choice(len(pairs), MOST_CLASS_PAIRS, replace=False)
            pairs = [pairs[i] for i in np.sort(drawn)]
        return [_members(np.flatnonzero((codes == a) | (codes == b)), codes == b) for a, b in pairs]
    if target.has_labels:
        known = [(np.flatnonzero(~np.isnan(column)), column == 1) for column in value.T]
        return [_members(rows, has) for rows, has in known if min(has[rows].sum(), (~has[rows]).sum()) >= FEWEST]
    if target.has_channels:
        return _channels(outcome) if len(value) >= 2 * FEWEST else []
    event = happened(target, outcome)
    if event.sum() < FEWEST or len(value) < 2 * FEWEST:
        return []
    return [Question(np.arange(len(value)), value, event)]


def _channels(outcome: Outcome) -> list[Question]:
    """The order of each of up to 16 channels, evenly taken from those that differ between items."""
    value, everyone = outcome.value, np.arange(len(outcome.value))
    told = np.flatnonzero(np.ptp(value, axis=0) > 0)
    chosen = told[np.linspace(0, len(told) - 1, min(len(told), MOST_CHANNELS)).astype(int)] if len(told) else told
    return [Question(everyone, value[:, k], np.ones(len(value), dtype=bool)) for k in chosen]


def event_question(target: Target, outcome: Outcome) -> Question | None:
    """Contrast of patients with the event and censored ones; None for other targets and for too few of either."""
    if not target.has_times or outcome.event is None:
        return None
    if min(outcome.event.sum(), (~outcome.event).sum()) < FEWEST:
        return None
    return _members(np.arange(len(outcome.event)), outcome.event)


def happened(target: Target, outcome: Outcome) -> Bools:
    """(n,) True where the time is that of the event; always True for a number."""
    if target.has_times and outcome.event is not None:
        return outcome.event
    return np.ones(len(outcome.value), dtype=bool)


def _members(rows: NDArray[np.int_], member: Bools) -> Question:
    return Question(rows, member[rows].astype(float))
