"""Uno's C up to a time: what one late event does without it, and where the time lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.metrics.censoring import censoring_survival, event_free_survival, seen_by, truncation_time
from chiasm.metrics.survival import uno_c

DEMO = pd.read_csv(Path(__file__).parent / "fixtures" / "demo_out_of_fold.csv", comment="#", index_col="row")
TEN_YEARS = 3652.5


def over_folds(recipe: str, tau: float | None) -> list[float]:
    values = []
    for _, test in DEMO.groupby("fold"):
        train = DEMO.drop(index=test.index)
        arrays = [(part["days"], part["event"].astype(bool)) for part in (test, train)]
        values.append(float(uno_c(test[recipe], *arrays[0], *arrays[1], tau=tau)[0]))
    return values


@pytest.mark.parametrize(("recipe", "expected"), [("single:genes", 0.684), ("late-fusion", 0.698)])
def test_at_ten_years_on_the_stored_predictions_of_the_demo(recipe: str, expected: float) -> None:
    assert np.mean(over_folds(recipe, TEN_YEARS)) == pytest.approx(expected, abs=1e-3)


def test_without_a_truncation_one_event_near_the_end_carries_most_of_a_fold() -> None:
    shares: dict[str, list[float]] = {"all": [], "truncated": []}
    for _, test in DEMO.groupby("fold"):
        train = DEMO.drop(index=test.index)
        arrays = (train["days"], train["event"].astype(bool))
        days, event = test["days"].to_numpy(), test["event"].to_numpy(bool)
        free = censoring_survival(*arrays, days, before=True)
        usable = event & (np.nan_to_num(free) > 0)
        later = (days[:, None] < days).sum(axis=1)
        weight = np.where(usable, later / np.where(usable, free, 1.0) ** 2, 0.0)
        for name, limit in (("all", np.inf), ("truncated", truncation_time(*arrays))):
            counted = weight * (days <= limit)
            shares[name].append(float(counted.max() / counted.sum()))
    assert max(shares["all"]) > 0.5 and max(shares["truncated"]) < 0.15


def test_the_time_is_the_last_at_which_enough_patients_are_uncensored() -> None:
    time, event = np.arange(1.0, 21.0), np.zeros(20, dtype=bool)
    # without events G(t-) is the share still followed: 2 of 20 at time 19
    assert truncation_time(time, event) == 19
    assert truncation_time(time, event, least=0.5) == 11
    assert truncation_time(time, ~event) == 20  # nobody is censored
    assert np.isnan(truncation_time([], []))
    before = censoring_survival(time, event, truncation_time(time, event), before=True)
    assert before == pytest.approx(0.1)


def test_events_up_to_the_time_count_and_later_ones_do_not() -> None:
    risk, time, event = (
        np.array([3.0, 1.0, 2.0, 0.0]),
        np.array([1.0, 2.0, 3.0, 4.0]),
        np.array([True, True, True, False]),
    )
    train = (np.arange(1.0, 9.0), np.ones(8, dtype=bool))
    cut = event & (time <= 2)
    assert uno_c(risk, time, event, *train, tau=2.0) == uno_c(risk, time, cut, *train)
    assert uno_c(risk, time, event, *train, tau=2.0) != uno_c(risk, time, event, *train, tau=3.0)


def test_the_left_limit_at_tied_times_by_hand() -> None:
    """Two of four at time 1: one event, one censored. The event leaves first, then one of three is censored."""
    time, event = [1.0, 1.0, 2.0, 3.0], [True, False, True, True]
    assert censoring_survival(time, event, [1.0, 2.0]).tolist() == pytest.approx([2 / 3, 2 / 3])
    assert censoring_survival(time, event, [1.0, 2.0], before=True).tolist() == pytest.approx([1, 2 / 3])
    assert event_free_survival(time, event, [0.5, 1, 2, 3, 9]).tolist() == pytest.approx([1, 3 / 4, 3 / 8, 0, 0])
    died_by, weight = seen_by(time, event, [1.0, 2.5], time, event)
    assert died_by.tolist() == [[1, 1], [0, 0], [0, 1], [0, 0]]
    np.testing.assert_allclose(weight, [[1, 1], [0, 0], [1.5, 1.5], [1.5, 1.5]])


def test_weights_of_the_event_by_a_horizon_add_up_to_kaplan_meier() -> None:
    rng = np.random.default_rng(0)
    time, event = rng.integers(1, 15, 60).astype(float), rng.random(60) < 0.5
    horizons = [3.0, 6.0, 9.5]
    died_by, weight = seen_by(time, event, horizons, time, event)
    np.testing.assert_allclose((died_by * weight).mean(axis=0), 1 - event_free_survival(time, event, horizons))
    np.testing.assert_allclose(weight.mean(axis=0), 1)
