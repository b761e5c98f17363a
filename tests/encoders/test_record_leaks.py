"""Events that tell of the outcome: after the index time, codes of the outcome, the number of visits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

import chiasm
from leaky_cohorts import Bench
from small_recipes import at_night


def record(b: Bench, last: np.ndarray, extra: Callable[[int], list[tuple[float, str]]] = lambda k: []) -> None:
    """Visits at random until `last` hours, one a month on average, and what `extra` adds."""
    rows = []
    for k, name in enumerate(b.ids):
        hours = np.append(0.0, np.sort(b.rng.uniform(0, last[k], 1 + b.rng.poisson(last[k] / 720))))
        rows += [(name, hour, f"LAB//{b.rng.integers(4)}", b.rng.normal()) for hour in hours]
        rows += [(name, hour, code, np.nan) for hour, code in extra(k)]
    b.more["visits"] = pd.DataFrame(rows, columns=["id", "hours", "code", "numeric_value"]).set_index("id")
    b.kinds["visits"] = "events"


def year(b: Bench) -> np.ndarray:
    return np.full(b.n, 8766.0)


def test_a_code_of_the_outcome_is_found_by_its_row_and_not_quoted() -> None:
    bench = Bench(n=100)
    record(bench, year(bench), lambda k: [(4800.0, "ICD//C61")] if bench.y[k] and k % 10 < 7 else [])
    problem = bench.found()["outcome-code"]
    frame = bench.more["visits"]
    assert problem.leak and problem.row == int(np.flatnonzero(frame["code"] == "ICD//C61")[0]) + 2
    assert "C61" not in str(problem) and "1 event code that" in problem.what


def test_a_code_of_the_dead_is_found_where_times_are_the_target() -> None:
    bench = Bench(n=100)
    bench.survival()
    record(bench, year(bench), lambda k: [(9000.0, "HOSPICE")] if bench.event[k] else [])
    assert bench.found()["outcome-code"].leak


@pytest.mark.parametrize("others", [0.1, *at_night(0.4)])
def test_a_code_that_others_have_too_passes(others: float) -> None:
    bench = Bench(n=100)
    record(bench, year(bench), lambda k: [(9.0, "X")] if bench.rng.random() < (0.7 if bench.y[k] else others) else [])
    assert not bench.found()


def test_the_number_of_visits_until_the_end_is_found() -> None:
    bench = Bench(n=100)
    bench.survival()
    record(bench, bench.time * 24)
    assert bench.found()["record-length-follows-outcome"].leak


def test_visits_before_the_start_say_nothing_of_the_end() -> None:
    bench = Bench(n=100)
    bench.survival()
    record(bench, year(bench) * (1 + 0.3 * bench.rng.random(bench.n)))
    assert not bench.found()


@pytest.mark.parametrize("as_column", [True, *at_night(False)])
def test_events_after_the_index_time_are_a_leak(as_column: bool) -> None:
    bench = Bench(n=60)
    record(bench, year(bench), lambda k: [(8766.0 + 4800.0, "LAB//0")] if k < 7 else [])
    bench.patients["landmark"] = 8766.0
    bench.options = {"index": {"visits": "landmark" if as_column else 8766.0}}
    found = bench.found()
    assert found["events-after-index"].leak and found["events-after-index"].what.startswith("7 patients")
    bench.options = {"index": {"visits": 8766.0 + 4800.0}}
    assert not bench.found()


def test_an_index_time_after_the_death_is_an_error() -> None:
    bench = Bench(n=60)
    record(bench, year(bench), lambda k: [(8000.0, "MEDS_DEATH")] if k == 3 else [])
    bench.options = {"index": {"visits": 8766.0}}
    problem = bench.found()["index-after-events"]
    assert problem.severity == "error" and "after the death of 1 patient" in problem.what


def test_an_index_time_far_after_everything_is_an_error() -> None:
    """Minutes in place of hours: sixty years where the records span one."""
    bench = Bench(n=60)
    record(bench, year(bench))
    bench.options = {"index": {"visits": 8766.0 * 60}}
    assert bench.found()["index-after-events"].severity == "error"


def test_the_index_time_stays_with_its_patient() -> None:
    bench = Bench(n=60)
    record(bench, year(bench))
    bench.patients["landmark"] = np.arange(60.0)
    bench.patients.loc[bench.ids[5], "landmark"] = np.nan
    bench.options = {"index": {"visits": "landmark"}}
    cohort = bench.cohort()
    assert cohort.subset([50, 2]).index_hours["visits"].tolist() == [2.0, 50.0]
    assert cohort.with_modalities(["labs"]).index_hours == {}
    assert "without-index" in {problem.finding for problem in chiasm.check_cohort(cohort)}
