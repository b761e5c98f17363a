"""Metrics within patterns: pairs and deviations of one pattern only, equal to slow sums over all pairs."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Outcome
from chiasm.evaluation.within import fifth_strata, pattern_strata, sparse_patterns, within
from chiasm.metrics.scores import PRIMARY, score
from chiasm.metrics.within import comparable_pairs

RNG = np.random.default_rng(3)
N = 60
STRATUM = RNG.integers(0, 3, N)
STRATUM[:5] = -1
WEIGHTS = RNG.integers(0, 4, (7, N)).astype(float)


def outcome_of(kind: str) -> tuple[Outcome, pd.DataFrame, list[str]]:
    known = np.ones(N, bool)
    if kind == "regression":
        value = RNG.normal(size=N)
        return Outcome(value, None, known), pd.DataFrame({"prediction": value + RNG.normal(size=N)}), []
    if kind == "survival":
        time, event = RNG.integers(1, 12, N).astype(float), RNG.random(N) < 0.7
        return Outcome(time, event, known), pd.DataFrame({"risk": RNG.integers(0, 9, N) - time / 4}), []
    code = RNG.integers(0, 2 if kind == "classification" else 3, N)
    classes = ["a", "b"] if kind == "classification" else ["a", "b", "c"]
    p = RNG.dirichlet(np.ones(len(classes)), N).round(1)
    return Outcome(code.astype(float), None, known), pd.DataFrame(p, columns=[f"p_{c}" for c in classes]), classes


def slow(kind: str, outcome: Outcome, frame: pd.DataFrame, classes: list[str], w: np.ndarray) -> float:
    """Sums over all pairs of patients of one stratum."""
    strata = [np.flatnonzero(s == STRATUM) for s in range(3)]
    if kind == "regression":
        y, e = outcome.value, outcome.value - frame["prediction"].to_numpy()

        def about(v: np.ndarray, rows: np.ndarray) -> float:
            return float((w[rows] * (v[rows] - np.average(v[rows], weights=w[rows])) ** 2).sum())

        return 1 - sum(about(e, rows) for rows in strata) / sum(about(y, rows) for rows in strata)
    if kind == "survival":
        t, d, risk = outcome.value, outcome.event, frame["risk"].to_numpy()
        assert d is not None
        above = below = 0.0
        for rows in strata:
            for i, j in itertools.permutations(rows, 2):
                if d[i] and (t[i] < t[j] or (t[i] == t[j] and not d[j])):
                    below += w[i] * w[j]
                    above += w[i] * w[j] * (0.5 if abs(risk[i] - risk[j]) < 1e-8 else risk[i] > risk[j])
        return above / below
    found = []
    for k in [1] if len(classes) == 2 else range(len(classes)):
        s, m = frame[f"p_{classes[k]}"].to_numpy(), outcome.value == k
        above = below = 0.0
        for rows in strata:
            for i, j in itertools.product(rows[m[rows]], rows[~m[rows]]):
                below += w[i] * w[j]
                above += w[i] * w[j] * (0.5 if s[i] == s[j] else s[i] > s[j])
        found.append(above / below)
    return float(np.mean(found))


@pytest.mark.parametrize("kind", ["classification", "three", "regression", "survival"])
def test_equal_to_sums_over_pairs(kind: str) -> None:
    outcome, frame, classes = outcome_of(kind)
    target = "classification" if kind == "three" else kind
    strata = np.tile(STRATUM[:, None], (1, max(1, len(classes))))
    assert within(target, frame, outcome, classes, strata)[0] == pytest.approx(
        slow(kind, outcome, frame, classes, np.ones(N))
    )
    drawn = within(target, frame, outcome, classes, strata, WEIGHTS)
    for row, value in zip(WEIGHTS, drawn, strict=True):
        assert value == pytest.approx(slow(kind, outcome, frame, classes, row))


@pytest.mark.parametrize("kind", ["classification", "survival"])
def test_one_stratum_of_everybody_is_the_metric_itself(kind: str) -> None:
    outcome, frame, classes = outcome_of(kind)
    whole = score(kind, frame, outcome, classes, metrics=[PRIMARY[kind]], min_events=0)[PRIMARY[kind]]
    everybody = np.zeros((N, max(1, len(classes))), dtype=np.intp)
    assert within(kind, frame, outcome, classes, everybody) == pytest.approx(whole)


def test_presence_alone_gains_nothing_within_patterns() -> None:
    """A prediction that is constant within each pattern is at chance there, however well it ranks the whole."""
    patterns = np.where(RNG.random(N) < 0.5, "a+b", "a+b+c").astype(object)
    y = ((patterns == "a+b") ^ (RNG.random(N) < 0.1)).astype(float)
    p = np.where(patterns == "a+b", 0.9, 0.1)
    frame, outcome = pd.DataFrame({"p_n": 1 - p, "p_y": p}), Outcome(y, None, np.ones(N, bool))
    strata = pattern_strata(patterns, np.ones(N, bool), 2)
    assert score("classification", frame, outcome, ["n", "y"], metrics=["auroc"])["auroc"][0] > 0.8
    assert within("classification", frame, outcome, ["n", "y"], strata)[0] == pytest.approx(0.5)
    number = pd.DataFrame({"prediction": p})
    assert within("regression", number, outcome, [], strata[:, :1])[0] == pytest.approx(0.0)


def test_patients_of_one_modality_and_lone_patients_are_left_out() -> None:
    patterns = np.array(["a", "b", "a+b", "a+b", "a+c"], dtype=object)
    strata = pattern_strata(patterns, np.array([False, False, True, True, True]), 2)
    assert (strata[:2] == -1).all() and len(set(strata[2:, 0].tolist())) == 2
    y = Outcome(np.array([0.0, 1, 0, 0, 1]), None, np.ones(5, bool))
    p = np.array([0.1, 0.9, 0.2, 0.3, 0.9])
    found = within("classification", pd.DataFrame({"p_n": 1 - p, "p_y": p}), y, ["n", "y"], strata)
    assert np.isnan(found[0])  # no stratum holds a pair of both classes


def test_sparse_patterns_and_fifths_of_presence() -> None:
    dense, sparse = np.zeros((20, 1), dtype=np.intp), np.arange(20, dtype=np.intp)[:, None]
    assert not sparse_patterns([dense, sparse]) and sparse_patterns([sparse, dense[:9]])
    assert not sparse_patterns([np.full((5, 1), -1, dtype=np.intp)])
    said = np.repeat([0.1, 0.2, 0.3], [8, 8, 4])[:, None]
    several = np.ones(20, bool)
    several[0] = False
    fifths = fifth_strata(said, several)
    assert fifths[0, 0] == -1
    for value in (0.1, 0.2, 0.3):  # equal predictions stay together
        assert len(set(fifths[(said[:, 0] == value) & several, 0].tolist())) == 1


def test_comparable_pairs_are_those_of_harrell() -> None:
    time, event = RNG.integers(1, 8, N).astype(float), RNG.random(N) < 0.6
    for w, found in zip(WEIGHTS, comparable_pairs(time, event, WEIGHTS), strict=True):
        slow_sum = sum(
            w[i] * w[j]
            for i, j in itertools.permutations(range(N), 2)
            if event[i] and (time[i] < time[j] or (time[i] == time[j] and not event[j]))
        )
        assert found == pytest.approx(slow_sum)


def test_a_mean_over_patients_takes_who_is_alone_in_a_stratum() -> None:
    outcome = Outcome(np.zeros(4), None, np.ones(4, bool))
    frame = pd.DataFrame({"choice": [1, 1, 2, 2], "p_1": [0.9, 0.9, 0.1, 0.1], "p_2": [0.1, 0.1, 0.9, 0.9]})
    strata = np.array([0, 0, 1, -1])[:, None]
    found = within("choice", frame, outcome, ["1", "2"], strata)
    np.testing.assert_allclose(found, 2 / 3)
