"""The slope that calibrates links: known answers, and what it is where they separate the outcomes."""

from __future__ import annotations

import numpy as np
import pytest

from chiasm.cohort import Outcome
from chiasm.heads.response import calibration
from chiasm.linear.slope import best_slope


def classes(y: np.ndarray) -> Outcome:
    return Outcome(y.astype(np.float64), None, np.ones(len(y), bool))


def test_it_is_that_of_firth_on_a_table_of_two_by_two() -> None:
    """One parameter without an intercept: half a patient more is told rightly, and half a one wrongly."""
    x = np.repeat([-1.0, 1.0], [40, 40])
    y = np.concatenate([np.repeat([0, 1], [30, 10]), np.repeat([0, 1], [10, 30])])
    link = np.stack([-x, x], axis=1)  # logit of class 1 against class 0 is 2 b x
    found = calibration("classification", link, classes(y))[0]
    assert found == pytest.approx(np.log(60.5 / 20.5) / 2, rel=1e-3)


def test_it_is_finite_where_links_separate_the_outcomes() -> None:
    x = np.repeat([-1.0, 1.0], [20, 20])
    found = calibration("classification", np.stack([-x, x], axis=1), classes(x > 0))[0]
    assert found == pytest.approx(np.log(40.5 / 0.5) / 2, rel=1e-3)


def test_links_that_are_far_too_small_are_brought_to_their_size() -> None:
    rng = np.random.default_rng(0)
    link = rng.normal(size=(4000, 1))
    time = rng.exponential(np.exp(-link[:, 0]))
    outcome = Outcome(time, np.ones(4000, bool), np.ones(4000, bool))
    assert calibration("survival", link / 8, outcome)[0] == pytest.approx(8.0, rel=0.05)


def test_a_number_has_the_slope_of_least_squares() -> None:
    rng = np.random.default_rng(0)
    link = rng.normal(size=200)
    y = 0.3 * link + rng.normal(size=200)
    nlls = lambda links: ((y - links[:, 0]) ** 2).sum(axis=1)  # noqa: E731
    assert best_slope(nlls, 0.0, link) == pytest.approx((link @ y) / (link @ link), rel=1e-4)


def test_few_patients_move_a_slope_less_from_one_than_many() -> None:
    rng = np.random.default_rng(1)
    found = []
    for n in (40, 4000):
        link = rng.normal(size=(n, 1))
        outcome = Outcome(3 * link[:, 0] + rng.normal(size=n), None, np.ones(n, bool))
        free = calibration("regression", link, outcome)[0]
        held = calibration("regression", link, outcome, held_to_one=20.0)[0]
        thousandth = Outcome(outcome.value / 1e3, None, outcome.known)
        assert calibration("regression", link / 1e3, thousandth, held_to_one=20.0)[0] == pytest.approx(held, rel=1e-3)
        found.append((held - 1) / (free - 1))
    assert found[0] < 0.8 < 0.99 < found[1] < 1.0
