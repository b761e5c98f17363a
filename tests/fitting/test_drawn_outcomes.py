"""Outcomes that were not seen: what stays, what delta does, and that a right model at delta zero finds the truth."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.fitting.drawn_outcomes import SD_OF_LOG_HAZARD, SD_OF_LOG_ODDS, Unseen
from chiasm.targets import Outcome, kind_of

N = 4000


def followed(causes: int, later: float = 1.0) -> tuple[Outcome, np.ndarray, np.ndarray, np.ndarray]:
    """Times of one event or of two causes, censored at random; `later` multiplies the main hazard from then on."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(N, causes))
    leave = rng.exponential(1.5, N)
    first = []
    for k in range(causes):
        growth, wait = np.exp(x[:, k]), rng.exponential(size=N)
        early = wait / growth
        rate = later if k == 0 else 1.0
        first.append(np.where(early <= leave, early, leave + (wait / growth - leave) / rate))
    true = np.min(first, axis=0)
    cause = np.argmin(first, axis=0) + 1
    event = true <= leave
    seen = np.where(event, cause, 0) if causes > 1 else None
    return Outcome(np.minimum(true, leave), event, np.ones(N, bool), seen), x[:, None, :], true, cause


@pytest.mark.parametrize("causes", [1, 2])
@pytest.mark.parametrize("later", [1.0, 3.0])
def test_the_share_with_the_event_is_that_of_the_truth_at_its_delta(causes: int, later: float) -> None:
    outcome, links, true, cause = followed(causes, later)
    unseen = Unseen(kind_of("competing" if causes > 1 else "survival"), outcome, links, np.ones(N, bool))
    delta = np.log(later) / SD_OF_LOG_HAZARD
    at = 1.2
    found = {delta: [], 0.0: []}
    for seed in range(4):
        rng = np.random.default_rng(seed)
        for own, drawn in zip(found, unseen.drawn(list(found), np.ones(N, int), rng), strict=False):
            hit = drawn.event & (drawn.value <= at)
            found[own].append(float((hit if drawn.cause is None else hit & (drawn.cause == 1)).mean()))
    expected = float(((true <= at) & (cause == 1)).mean())
    assert np.mean(found[delta]) == pytest.approx(expected, abs=0.015)
    assert later == 1.0 or np.mean(found[0.0]) < expected - 0.05


def test_what_was_seen_stays_and_nobody_is_followed_past_the_last_event() -> None:
    outcome, links, *_ = followed(1)
    rows = np.arange(N) % 5 > 0
    unseen = Unseen(kind_of("survival"), outcome, links, rows)
    low, high = unseen.drawn([-1.0, 1.0], np.ones(N, int), np.random.default_rng(0))
    last = outcome.value[outcome.event & rows].max()
    for own in (low, high):
        kept = outcome.event | ~rows
        assert np.array_equal(own.value[kept], outcome.value[kept]) and np.array_equal(
            own.event[kept], outcome.event[kept]
        )
        drawn = ~outcome.event & rows & (outcome.value < last)
        assert (own.value[drawn] > outcome.value[drawn]).all() and (own.value[drawn] <= last).all()
        assert drawn.sum() == unseen.number and (own.event[drawn] | (own.value[drawn] == last)).all()
    assert (high.value <= low.value).all()  # the same draws, a higher hazard


def test_cells_of_labels_are_drawn_by_their_odds() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(N, 1, 2))
    truth = (rng.random((N, 2)) < 1 / (1 + np.exp(-2 * x[:, 0]))).astype(float)
    value = np.where(rng.random((N, 2)) < 0.4, np.nan, truth)
    value[:, 1] = np.where(value[:, 1] == 1, np.nan, value[:, 1])  # one value alone is known: nothing can be said
    unseen = Unseen(kind_of("multilabel"), Outcome(value, None, np.ones(N, bool)), x, np.ones(N, bool))
    plain, more = unseen.drawn([0.0, 1.0], np.ones(N, int), np.random.default_rng(1))
    assert np.array_equal(plain.value[~np.isnan(value)], value[~np.isnan(value)])
    assert np.array_equal(np.isnan(plain.value[:, 1]), np.isnan(value[:, 1]))
    empty = np.isnan(value[:, 0])
    shares = [own.value[empty, 0].mean() for own in (plain, more)]
    assert shares[0] == pytest.approx(truth[empty, 0].mean(), abs=0.04)
    odds = np.mean(1 / (1 + np.exp(-2 * x[empty, 0, 0] - SD_OF_LOG_ODDS)))
    assert shares[1] == pytest.approx(odds, abs=0.05)
