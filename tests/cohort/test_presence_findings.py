"""A modality whose presence goes with the outcome is warned of, and one that is absent at random is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

import chiasm
from chiasm.cohort.leaks.presence import log_rank
from examples import examples
from leaky_cohorts import Bench

NAME = "presence-follows-outcome"


def bench_of(kind: str, seed: int = 0) -> tuple[Bench, np.ndarray]:
    """A cohort, and who has more of the outcome."""
    bench = Bench(seed)
    if kind == "survival":
        bench.survival()
        return bench, bench.time > np.median(bench.time)
    if kind == "regression":
        bench.target = chiasm.Regression("score")
        return bench, bench.signal > 0
    if kind == "multilabel":
        bench.patients["other"] = bench.rng.integers(0, 2, bench.n)
        bench.target = chiasm.Multilabel(("other", "ill"))
    if kind == "classes":
        bench.patients["ill"] = np.digitize(bench.signal, (-0.5, 0.5))
        return bench, bench.signal > 0.5
    return bench, bench.y == 1


KINDS = ("classification", "classes", "multilabel", "regression", "survival")


@pytest.mark.parametrize("kind", KINDS)
def test_presence_that_follows_the_outcome_is_a_warning_and_no_leak(kind: str) -> None:
    bench, more = bench_of(kind)
    bench.genes = bench.genes[bench.rng.random(bench.n) < np.where(more, 0.9, 0.5)]
    problem = bench.found()[NAME]
    assert problem.modality == "genes" and problem.severity == "warning" and not problem.leak


@pytest.mark.parametrize("kind", KINDS)
def test_absence_at_random_is_no_finding(kind: str) -> None:
    for seed in range(examples(10)):
        bench, _ = bench_of(kind, seed)
        bench.genes = bench.genes[bench.rng.random(bench.n) < 0.6]
        assert NAME not in bench.found()


def test_the_auroc_of_presence_is_that_of_its_indicator() -> None:
    """Present in 9 of 10 cases and 5 of 10 controls: .5 + (.9 - .5) / 2."""
    bench = Bench(n=200)
    bench.patients["ill"] = np.arange(200) % 2
    numbers = np.arange(200) // 2
    bench.genes = bench.genes[np.where(np.arange(200) % 2 == 1, numbers % 10 < 9, numbers % 10 < 5)]
    assert "AUROC 0.70" in bench.found()[NAME].what


def test_log_rank_equals_scipy() -> None:
    rng = np.random.default_rng(1)
    time, event, member = np.ceil(rng.exponential(10, 120)), rng.random(120) < 0.7, rng.random(120) < 0.4
    of = [stats.CensoredData.right_censored(time[own], ~event[own]) for own in (member, ~member)]
    assert log_rank(member, time, event)[0] == pytest.approx(stats.logrank(*of).pvalue, rel=1e-9)
