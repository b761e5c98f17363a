"""Conformal sets: the coverage that is promised, in each group, and none where too few patients are known."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from chiasm.evaluation.subgroups import OTHERS, TOO_FEW
from chiasm.metrics.conformal import (
    class_sets,
    fewest_for,
    followed_to,
    hazard_at,
    low_coverage,
    survival_threshold,
    threshold,
    time_at,
)
from chiasm.models.conformal import calibrated
from chiasm.targets import Outcome
from small_recipes import at_night

LEVEL = 0.8


def drawn(kind: str, n: int, rng: np.random.Generator) -> tuple[pd.DataFrame, Outcome, np.ndarray]:
    """Predictions that are too sure of themselves in one group, outcomes, and the group of each patient."""
    group = np.where(rng.uniform(size=n) < 0.3, "odd", "even")
    s = rng.normal(size=n)
    harder = np.where(group == "odd", 3.0, 1.0)
    if kind == "regression":
        return pd.DataFrame({"prediction": s}), Outcome(s + harder * rng.normal(size=n), None, np.ones(n, bool)), group
    if kind == "survival":
        times = np.array([1.0, 3.0, 8.0])
        rate = 0.1 * np.exp(s)
        frame = pd.DataFrame({"risk": s} | {f"survival_{t:g}": np.exp(-rate * t) for t in times})
        event, censored = rng.exponential(1 / (rate * harder)), rng.exponential(12, n)
        time, died = np.minimum(event, censored), event <= censored
        return frame, Outcome(time, died, np.ones(n, bool)), group
    if kind == "choice":
        there = np.arange(4) < rng.integers(2, 5, n)[:, None]
        z = np.where(there, 3 * rng.normal(size=(n, 4)), -np.inf)
        sure, true = (np.exp(own) / np.exp(own).sum(axis=1, keepdims=True) for own in (z, z / harder[:, None]))
        place = (rng.uniform(size=n)[:, None] > true.cumsum(axis=1)).sum(axis=1)
        frame = pd.DataFrame(sure, columns=[f"p_{k + 1}" for k in range(4)])
        return frame.assign(choice=sure.argmax(axis=1) + 1), Outcome(place.astype(float), None, np.ones(n, bool)), group
    p = 1 / (1 + np.exp(-3 * s / harder))
    y = (rng.uniform(size=n) < p).astype(float)
    sure = 1 / (1 + np.exp(-3 * s))
    frame = pd.DataFrame({"p_no": 1 - sure, "p_yes": sure})
    if kind == "classification":
        return frame, Outcome(y, None, np.ones(n, bool)), group
    return frame, Outcome(np.c_[1 - y, y], None, np.ones(n, bool)), group


NAMES = {
    "classification": ("no", "yes"),
    "multilabel": ("no", "yes"),
    "choice": tuple(str(place + 1) for place in range(26)),
}


def covered(kind: str, told: pd.DataFrame, outcome: Outcome, true_time: np.ndarray | None) -> np.ndarray:
    if kind == "regression":
        return ((told["low"] <= outcome.value) & (outcome.value <= told["high"])).to_numpy()
    if kind == "survival":
        assert true_time is not None
        return true_time >= told["at_least"].to_numpy()
    if kind == "multilabel":
        said, true = told["set_yes"].to_numpy(), np.where(outcome.value[:, 1] == 1, "with", "without")
        return (said == "either") | (said == true)
    return np.array([NAMES[kind][int(y)] in own.split(", ") for y, own in zip(outcome.value, told["set"], strict=True)])


@pytest.mark.parametrize("kind", ["classification", "choice", "survival", *at_night("multilabel", "regression")])
def test_each_group_is_covered_and_the_mean_alone_would_not_do(kind: str) -> None:
    """Over draws of all patients, within three standard errors; one threshold for everybody fails some."""
    rng, found = np.random.default_rng(3), []
    for _ in range(25):
        frame, outcome, group = drawn(kind, 200, rng)
        told = calibrated(kind, NAMES.get(kind, ()), frame, outcome, {"group": group}, LEVEL)
        everyone = np.full(len(group), "")
        loose = calibrated(kind, NAMES.get(kind, ()), frame, outcome, {"everyone": everyone}, LEVEL)
        frame, outcome, group = drawn(kind, 300, rng)
        event = None
        if kind == "survival":  # times nobody censors
            rate = 0.1 * np.exp(frame["risk"].to_numpy()) * np.where(group == "odd", 3.0, 1.0)
            event = rng.exponential(1 / rate)
        own = covered(kind, told.added_to(frame, {"group": group}), outcome, event)
        whole = covered(kind, loose.added_to(frame, {"everyone": np.full(len(group), "")}), outcome, event)
        found.append([of[group == name].mean() for of in (own, whole) for name in ("odd", "even")])
    mean, error = np.mean(found, axis=0), np.std(found, axis=0) / np.sqrt(len(found))
    assert (mean[:2] > LEVEL - 3 * error[:2]).all(), mean
    if kind != "multilabel":
        assert mean[2] < LEVEL - 3 * error[2], "one threshold for all fails those who are harder to predict"


def test_a_threshold_is_the_order_statistic_of_the_formula() -> None:
    score = np.arange(1.0, 20.0)
    assert threshold(score, 0.95) == 19 and threshold(score, 0.9) == 18 and np.isinf(threshold(score[:18], 0.95))
    assert (fewest_for(0.95), fewest_for(0.9), fewest_for(0.5)) == (19, 9, 1)
    likeliest = class_sets(np.array([[0.2, 0.8], [0.5, 0.5]]), np.array([0.1, np.nan]))
    assert likeliest.tolist() == [[False, True], [False, False]]


def test_the_time_at_a_hazard_is_the_inverse_of_the_hazard_at_a_time() -> None:
    rng = np.random.default_rng(0)
    times = np.array([1.0, 4.0, 9.0])
    survival = np.exp(-np.cumsum(rng.exponential(0.3, size=(50, 3)), axis=1))
    at = rng.uniform(0, 9, size=50)
    assert time_at(survival, times, hazard_at(survival, times, at)) == pytest.approx(at)
    assert np.isnan(time_at(survival, times, np.full(50, np.nan))).all()


def test_without_censoring_a_bound_is_the_split_conformal_one() -> None:
    """All weights are one: the threshold is the k-th smallest score with (k + 1) / (n + 1) above 1 - level."""
    rng = np.random.default_rng(1)
    n, times = 60, np.array([1.0, 3.0, 50.0])
    survival = np.exp(-np.outer(rng.uniform(0.5, 2, n), times))
    time = rng.exponential(1, n)
    score = np.sort(hazard_at(survival, times, time))
    k = int(np.floor((n + 1) * 0.2 + 1e-9))  # the k smallest, with the new one, make no more than a fifth
    event = np.ones(n, dtype=bool)
    found = survival_threshold(survival, times, time, event, LEVEL, followed_to(time, event, 50.0))
    assert found == pytest.approx(score[k - 1]) and (k + 1) / (n + 1) > 0.2 >= k / (n + 1)


def test_a_group_too_small_has_no_set_and_never_that_of_others() -> None:
    rng = np.random.default_rng(5)
    frame, outcome, group = drawn("regression", 120, rng)
    pattern = np.array(["a"] * 110 + ["b"] * 10)
    told = calibrated("regression", (), frame, outcome, {"pattern": pattern, "group": group}, LEVEL)
    new = told.added_to(frame, {"pattern": pattern, "group": group})
    assert new["low"][110:].isna().all() and new["low"][:110].notna().all()
    assert (new["note"][110:] == f"{TOO_FEW}: 10 calibration patients with pattern 'b'").all()
    strange = told.added_to(frame[:1], {"pattern": np.array(["c"]), "group": group[:1]})
    assert (
        strange["low"].isna().all() and "fewer than 5 calibration patients with pattern 'c'" in strange["note"].iloc[0]
    )
    width = (new["high"] - new["low"])[:110].to_numpy()
    own = {row["level"]: row["threshold"] for row in told.table().to_dict("records")}
    widest = np.maximum(own["a"], [own[name] for name in group[:110]])
    assert width == pytest.approx(2 * widest), "of several groups the widest set"


def test_rows_of_one_person_count_once() -> None:
    """Twelve persons of five rows are twelve, too few; forty persons give the threshold of one row of each."""
    rng = np.random.default_rng(2)
    person = np.repeat([f"q{k:02d}" for k in range(40)], 5)
    own = np.repeat(rng.normal(size=40), 5)
    frame, outcome = pd.DataFrame({"prediction": np.zeros(200)}), Outcome(own, None, np.ones(200, bool))
    everyone = {"everyone": np.full(200, "everyone")}
    told = calibrated("regression", (), frame, outcome, everyone, LEVEL, person)
    row = told.table().iloc[0]
    assert row["n"] == 40 and row["threshold"] == threshold(np.abs(own[::5]), LEVEL)
    few = calibrated("regression", (), frame[:60], outcome.take(np.arange(60)), {"everyone": everyone["everyone"][:60]},
                     LEVEL, person[:60])  # fmt: skip
    assert few.table()["n"].tolist() == [12] and few.table()["said"].tolist() == [TOO_FEW]
    apart = calibrated("regression", (), frame, outcome, everyone, LEVEL, np.full(200, ""))
    assert apart.table()["n"].tolist() == [200], "who is kept together with nobody is a unit of his own"


def test_what_a_poor_calibration_covers_is_the_beta_quantile() -> None:
    """Of 4,000 calibrations on 30 patients each, a twentieth cover less than the quantile says."""
    scores = np.sort(np.random.default_rng(0).uniform(size=(4000, 30)), axis=1)
    covers = scores[:, 29]  # uniform scores: a threshold covers its own value, and ceil(31 * .95) = 30
    assert low_coverage(30, 0.95) == pytest.approx(0.05 ** (1 / 30))
    assert np.mean(covers < low_coverage(30, 0.95)) == pytest.approx(0.05, abs=0.01)
    assert np.isnan(low_coverage(18, 0.95))


def test_a_bound_of_nothing_is_zero_and_censoring_is_named() -> None:
    """Who is predicted to survive the first horizon for certain, and does not, takes every bound to zero."""
    n = 60
    frame = pd.DataFrame({"survival_1": np.ones(n), "survival_9": np.full(n, 0.5)})
    everyone = {"everyone": np.full(n, "everyone")}
    early = Outcome(np.full(n, 0.5), np.ones(n, bool), np.ones(n, bool))
    found = calibrated("survival", (), frame, early, everyone, LEVEL).added_to(frame, everyone)
    assert (found["at_least"] == 0).all() and (found["note"] == "").all()
    died = np.arange(n) < 10
    late = Outcome(np.where(died, np.linspace(5, 6, n), np.linspace(1, 2, n)), died, np.ones(n, bool))
    lost = calibrated("survival", (), frame, late, everyone, 0.95)
    assert "censored" in lost.table()["said"].iloc[0]
    assert lost.added_to(frame, everyone)["note"].str.contains("60 calibration patients, .*censored").all()


def test_a_bound_of_competing_risks_is_that_of_the_first_event_of_any_cause() -> None:
    frame, outcome, _ = drawn("survival", 150, np.random.default_rng(4))
    cause = np.where(outcome.event, 1 + np.arange(150) % 2, 0)
    apart = {"risk_a": np.zeros(150), "risk_b": np.zeros(150)}
    for time in ("1", "3", "8"):
        happened = 1 - frame[f"survival_{time}"]
        apart |= {f"incidence_a_{time}": 0.3 * happened, f"incidence_b_{time}": 0.7 * happened}
    everyone, both = {"everyone": np.full(150, "everyone")}, pd.DataFrame(apart)
    alone = calibrated("survival", (), frame, outcome, everyone, LEVEL)
    several = calibrated("competing", ("a", "b"), both, replace(outcome, cause=cause), everyone, LEVEL)
    bounds = alone.added_to(frame, everyone)["at_least"]
    assert several.added_to(both, everyone)["at_least"].to_numpy() == pytest.approx(bounds.to_numpy())
    assert bounds.max() > 0 and several.table()["events"].tolist() == [int((cause == 1).sum())]


def test_levels_of_few_patients_are_told_neither_by_name_nor_by_number() -> None:
    frame, outcome, _ = drawn("regression", 120, np.random.default_rng(5))
    race = np.array(["a"] * 115 + ["b"] * 3 + ["c"] * 2)
    told = calibrated("regression", (), frame, outcome, {"race": race}, LEVEL)
    assert told.table()["level"].tolist() == ["a", OTHERS] and told.table()["n"].tolist() == [115, 5]
    lone = calibrated("regression", (), frame[:118], outcome.take(np.arange(118)), {"race": race[:118]}, LEVEL)
    assert lone.table()["level"].tolist() == ["a", OTHERS] and lone.table()["n"].isna().tolist() == [False, True]
    assert " n=" not in repr(lone) and "events=" not in repr(lone), "nor in a log that shows the object"
    note = told.added_to(frame, {"race": race})["note"]
    assert note.iloc[-1] == f"{TOO_FEW}: fewer than 5 calibration patients with race 'c'" and note.iloc[0] == ""


def test_a_class_with_a_comma_is_quoted_in_a_set() -> None:
    names = ("no", "no, unclear", 'say "yes"')
    n = 40
    frame = pd.DataFrame(np.full((n, 3), 1 / 3), columns=[f"p_{name}" for name in names])
    everyone = {"everyone": np.full(n, "everyone")}
    told = calibrated(
        "classification", names, frame, Outcome(np.arange(n) % 3.0, None, np.ones(n, bool)), everyone, 0.9
    )
    (own,) = set(told.added_to(frame, everyone)["set"])
    assert next(csv.reader([own], skipinitialspace=True)) == list(names)


def test_no_events_give_no_bound() -> None:
    frame, outcome, _ = drawn("survival", 80, np.random.default_rng(0))
    none = Outcome(outcome.value, np.zeros(80, dtype=bool), outcome.known)
    told = calibrated("survival", (), frame, none, {"everyone": np.full(80, "")}, LEVEL)
    assert told.table()["said"].tolist() == [f"{TOO_FEW}: fewer than 10 events"]
    assert told.added_to(frame, {"everyone": np.full(80, "")})["at_least"].isna().all()
