"""Columns and pairs that know the outcome are found, and honest neighbours of theirs are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort.leaks.columns import leaking_columns
from chiasm.cohort.leaks.rank_scores import Question, chance_of_order
from leaky_cohorts import Bench


def event_flipped(b: Bench) -> np.ndarray:
    b.survival()
    return np.where(b.rng.random(b.n) < 0.03, 1 - b.event, b.event)


def log_time(b: Bench) -> np.ndarray:
    b.survival()
    return np.log(b.time) + b.rng.normal(0, 0.1 * np.log(b.time).std(), b.n)


def visits(b: Bench) -> np.ndarray:
    b.survival()
    return b.rng.poisson(b.time / 20)


def months(b: Bench) -> np.ndarray:
    b.survival()
    return b.time / 30.4


def status_in_words(b: Bench) -> np.ndarray:
    b.survival()
    return np.where(b.event == 1, "dead", "alive")


def forty_levels(b: Bench) -> np.ndarray:
    return np.array([f"ward {2 * k + c}" for k, c in zip(b.rng.integers(0, 20, b.n), b.y, strict=True)])


def forty_codes(b: Bench) -> np.ndarray:
    return b.rng.permutation(40)[2 * b.rng.integers(0, 20, b.n) + b.y]


def rarely_filled(b: Bench) -> np.ndarray:
    return np.where(b.rng.random(b.n) < 0.4, b.y + b.rng.normal(0, 0.05, b.n), np.nan)


def twelve_classes(b: Bench) -> np.ndarray:
    grade = b.rng.integers(0, 12, b.n)
    b.patients["ill"] = [f"grade {number}" for number in grade]
    return grade * 3


LEAKS = [
    event_flipped, log_time, visits, months, status_in_words, forty_levels, forty_codes, rarely_filled, twelve_classes
]  # fmt: skip


@pytest.mark.parametrize("plant", LEAKS, ids=lambda plant: plant.__name__)
def test_a_column_that_knows_the_outcome_is_found(plant: Callable[[Bench], np.ndarray]) -> None:
    bench = Bench()
    bench.labs["planted"] = plant(bench)
    problem = bench.found()["leaking-column"]
    assert problem.leak and problem.modality == "labs" and "'planted'" in problem.what
    assert leaking_columns(bench.cohort(), "labs") == ["planted"]


def good_predictor(b: Bench) -> np.ndarray:
    """AUROC about .95."""
    return b.y + b.rng.normal(0, 0.43, b.n)


def good_test(b: Bench) -> np.ndarray:
    """A test of two results that errs in a tenth."""
    return np.where(b.rng.random(b.n) < 0.1, 1 - b.y, b.y)


def wards(b: Bench) -> np.ndarray:
    """Forty levels that differ in their shares, and hold both classes."""
    return np.array([f"ward {number}" for number in b.rng.integers(0, 40, b.n)])


def half_and_half(b: Bench) -> np.ndarray:
    """One level: each patient's class is the opposite of what the others have, leaving oneself out."""
    return np.array(["yes", "no"])[b.rng.integers(0, 2, b.n)]


def year_of_entry(b: Bench) -> np.ndarray:
    """The censored are those who are alive when the study ends: their time is what entry leaves, that of events not."""
    b.survival()
    entry = b.rng.uniform(0, 1500, b.n)
    lived = np.exp(6 - 0.5 * b.signal + b.rng.normal(size=b.n))
    b.event = (entry + lived <= 2000).astype(int)
    b.time = np.where(b.event == 1, lived, 2000 - entry)
    b.patients["days"], b.patients["died"] = b.time, b.event
    return entry


def risk(b: Bench) -> np.ndarray:
    """What orders the events with a rank correlation of .9, and knows nothing of the censored."""
    b.survival()
    lived = np.exp(b.rng.normal(size=b.n))
    b.event = (lived <= b.censor / np.median(b.censor)).astype(int)
    b.time = np.minimum(lived, b.censor / np.median(b.censor))
    b.patients["days"], b.patients["died"] = b.time, b.event
    return np.log(lived) + b.rng.normal(0, 0.45, b.n)


def few_filled(b: Bench) -> np.ndarray:
    """Ten filled cells of each class, perfect as they are: with so few, chance does that in wide tables."""
    found = np.full(b.n, np.nan)
    for code in (0, 1):
        found[np.flatnonzero(b.y == code)[:10]] = code + b.rng.normal(0, 0.1, 10)
    return found


HONEST = [good_predictor, good_test, wards, half_and_half, year_of_entry, risk, few_filled]


@pytest.mark.parametrize("plant", HONEST, ids=lambda plant: plant.__name__)
def test_an_honest_column_passes(plant: Callable[[Bench], np.ndarray]) -> None:
    bench = Bench()
    bench.labs["honest"] = plant(bench)
    assert not {name for name, problem in bench.found().items() if problem.leak}


def difference(b: Bench) -> None:
    b.labs["before"] = b.rng.normal(0, 3, b.n)
    b.labs["after"] = b.labs["before"] + b.y


def gaps(b: Bench) -> None:
    difference(b)
    for name in ("before", "after"):
        b.labs[name] = b.labs[name].where(b.rng.random(b.n) > 0.2)


def ratio(b: Bench) -> None:
    b.target = chiasm.Regression("score")
    b.labs["dose"] = np.exp(b.rng.normal(0, 2, b.n))
    b.labs["cleared"] = b.labs["dose"] * np.exp(b.signal)


def last_letter(b: Bench) -> None:
    b.survival()
    b.labs["entry"] = b.rng.uniform(0, 5000, b.n)
    b.genes["letter"] = b.labs["entry"] + b.time


@pytest.mark.parametrize("plant", [difference, gaps, ratio, last_letter], ids=lambda plant: plant.__name__)
def test_a_pair_of_columns_that_knows_the_outcome_is_found(plant: Callable[[Bench], None]) -> None:
    bench = Bench()
    plant(bench)
    found = bench.found()
    assert found["paired-columns"].leak and "leaking-column" not in found
    assert "1 pair of columns" in found["paired-columns"].what


def test_two_columns_that_are_good_together_pass() -> None:
    """AUROC of the difference about .93, of either alone about .6."""
    bench = Bench()
    bench.labs["before"] = bench.rng.normal(0, 3, bench.n)
    bench.labs["after"] = bench.labs["before"] + bench.y + bench.rng.normal(0, 0.48, bench.n)
    assert not bench.found()


def test_columns_that_chance_alone_orders_are_counted() -> None:
    """Two of 12,870 ways to lay eight of sixteen are perfect; three events come in order in two of six ways."""
    filled = np.ones((16, 1), dtype=bool)
    members = Question(np.arange(16), np.repeat([0.0, 1.0], 8))
    assert chance_of_order(filled, members)[0] == pytest.approx(2 / 12_870)
    times = Question(np.arange(3), np.arange(3.0), np.ones(3, dtype=bool))
    assert chance_of_order(filled[:3], times)[0] == pytest.approx(2 / 6)


def test_many_columns_of_two_values_hold_no_leak_by_chance() -> None:
    """A column of two values copies the classes of 16 patients by chance in one cohort of 13 with 2,500 columns."""
    for seed in range(3):
        bench = Bench(seed, n=16)
        bench.patients["ill"] = np.repeat([0, 1], 8)
        names = [f"mutated_{k}" for k in range(2_500)]
        bench.genes = pd.DataFrame(bench.rng.integers(0, 2, (16, 2_500)), bench.ids, names)
        bench.genes["mutated_0"] = np.repeat([0, 1], 8)
        assert leaking_columns(bench.cohort(), "genes") == []


def test_the_time_in_disguise_is_found_without_anybody_censored() -> None:
    bench = Bench()
    bench.patients["died"] = bench.event = np.ones(bench.n, dtype=int)
    bench.labs["log_time"] = log_time(bench)
    assert "'log_time'" in bench.found()["leaking-column"].what
