"""A model of competing risks on another cohort's causes, and what is composed of several models' incidences."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cli.trials import summarise
from chiasm.cohort.lending import events_of
from chiasm.evaluation.external import too_few_by
from chiasm.evaluation.references import OneModality, best_available
from chiasm.evaluation.stress.faults import mislabelled
from chiasm.heads.response import calibration
from chiasm.linear.cause_specific import cause_hazards, incidence_at
from chiasm.metrics.competing import wolbers_c
from chiasm.metrics.scores import MIN_EVENTS
from chiasm.targets import CompetingRisks, Outcome
from lighter_trials import only_ridges

N = 150
CAUSES = ("death", "relapse", "transplant")


def made(seed: int, causes: tuple[str, ...] = CAUSES, rate: float = 40.0, **options: str) -> chiasm.Cohort:
    """Patients whose first column raises the hazard of death, and whose other causes have a mean time of `rate`."""
    rng = np.random.default_rng(seed)
    x, ids = rng.normal(size=N), [f"{seed}-{k:03d}" for k in range(N)]
    times = np.stack([rng.exponential(20 * np.exp(-1.5 * x)), *rng.exponential(rate, (len(causes) - 1, N))]) + 0.01
    left = rng.exponential(60, N)
    ending = np.where(left < times.min(0), "alive", np.array(causes)[times.argmin(0)])
    table = pd.DataFrame({"days": np.minimum(times.min(0), left), "ending": ending}, index=ids)
    frame = pd.DataFrame({"x": x, "z": rng.normal(size=N)}, index=ids)
    return chiasm.cohort_from_frames(table, {"clin": frame}, CompetingRisks("days", "ending", **options))


@pytest.fixture(scope="module")
def model() -> chiasm.FittedModel:
    with only_ridges():
        return chiasm.fit(made(1, main="death"), "single:clin", seed=0)


def test_the_cause_that_is_scored_is_the_one_of_the_model_and_another_one_is_refused(
    model: chiasm.FittedModel,
) -> None:
    named = chiasm.validate(model, made(2, rate=10.0, main="death"), draws=100)
    unnamed = made(2, rate=10.0)
    assert unnamed.target is not None and unnamed.target.names[0] != "death"
    with pytest.warns(UserWarning, match="1 finding"):  # that no main cause is named
        found = chiasm.validate(model, unnamed, draws=100)
    assert found.document["metrics"] == named.document["metrics"] and named.document["mean"] > 0.6
    assert any("'death' is scored" in note for note in found.document["notes"])
    assert not any("yours to say" in note or "is scored" in note for note in named.document["notes"])
    with pytest.raises(chiasm.Unsupported, match=r"about the main cause 'death' .* names 'relapse'"):
        chiasm.validate(model, made(2, main="relapse"), draws=100)


def test_a_hospital_may_have_seen_some_of_the_causes_and_none_of_its_own(model: chiasm.FittedModel) -> None:
    found = chiasm.validate(model, made(3, CAUSES[:2], main="death"), draws=100)
    assert found.document["mean"] > 0.6
    assert any("nobody had an event: 'transplant'" in note for note in found.document["notes"])
    with pytest.raises(chiasm.Unsupported, match=r"knows the causes .* has 'stroke'"):
        chiasm.validate(model, made(3, ("death", "stroke"), main="death"), draws=100)


def test_an_empty_cause_is_not_read_as_censored_where_a_level_meant_it_at_the_fit(model: chiasm.FittedModel) -> None:
    whole = made(4, main="death")
    assert whole.outcome is not None and whole.outcome.cause is not None and model.target["censored"] == "alive"
    words = np.array(["", *CAUSES], object)
    order = [0, *(1 + CAUSES.index(name) for name in whole.target.names)] if whole.target is not None else []
    table = pd.DataFrame(
        {"days": whole.outcome.value, "ending": words[order][whole.outcome.cause]}, index=whole.ids
    )  # fmt: skip
    target = CompetingRisks("days", "ending", main="death")
    with pytest.raises(chiasm.Unsupported, match="the level 'alive' meant censored"):
        chiasm.validate(model, chiasm.cohort_from_frames(table, {"clin": whole.raw("clin")}, target), draws=100)


def test_a_cause_that_no_training_patient_had_is_predicted_as_none_and_does_not_move_the_others() -> None:
    whole = made(6, main="death")
    assert whole.outcome is not None and whole.outcome.cause is not None and whole.target is not None
    rare = whole.target.names.index("transplant") + 1
    part = whole.subset(np.flatnonzero(whole.outcome.cause != rare))
    with only_ridges(), pytest.warns(UserWarning, match="1 finding"):  # that nobody had the cause
        frame = chiasm.fit(part, "single:clin", seed=0).predict(whole)
    columns = [name for name in frame if name.startswith("incidence_transplant_")]
    assert len(columns) == 3 and (frame[columns].to_numpy() <= 1e-6).all()
    each = [frame[[name for name in frame if name.startswith(f"incidence_{k}_")]] for k in CAUSES]
    assert all((np.diff(own, axis=1) >= 0).all() and np.isfinite(own).all(axis=None) for own in each)
    assert sum(own.iloc[:, -1] for own in each).max() <= 1 and each[0].iloc[:, -1].std() > 0.05


def incidences(seed: int) -> tuple[pd.DataFrame, Outcome]:
    """Predictions of two causes with opposite effects, at the quartiles of the main one."""
    rng = np.random.default_rng(seed)
    link = rng.normal(size=(N, 2)) @ np.array([[1.5, -1.0], [-1.0, 1.5]])
    times = np.stack([rng.exponential(20 * np.exp(-link[:, 0])), rng.exponential(40 * np.exp(-link[:, 1]))])
    left = rng.exponential(60, N)
    cause = np.where(left < times.min(0), 0, times.argmin(0) + 1)
    outcome = Outcome(np.minimum(times.min(0), left), cause > 0, np.ones(N, bool), cause)
    at = np.quantile(outcome.value[cause == 1], [0.25, 0.5, 0.75]).round(2)
    found = incidence_at(link, cause_hazards(link, outcome), at)  # (N, 2, 3)
    names = ["risk_a", "risk_b", *(f"incidence_{name}_{time:g}" for time in at for name in "ab")]
    return pd.DataFrame(np.c_[link, found.transpose(0, 2, 1).reshape(N, -1)], columns=names), outcome


def test_each_cause_counts_around_its_own_mean_when_a_slope_is_held_to_one() -> None:
    frame, outcome = incidences(1)
    link = frame[["risk_a", "risk_b"]].to_numpy()
    slopes = [
        calibration("competing", 2 * link + shift, outcome, held_to_one=5.0)[0]
        for shift in (np.zeros(2), np.array([30.0, -20.0]))
    ]
    assert slopes[1] == pytest.approx(slopes[0], rel=1e-4) and slopes[0] < 0.9


def test_who_had_another_cause_by_a_time_was_known_not_to_have_the_main_one() -> None:
    cause = np.repeat([1, 2], MIN_EVENTS)
    outcome = Outcome(np.arange(1.0, len(cause) + 1), cause > 0, np.ones(len(cause), bool), cause)
    assert too_few_by("competing", outcome, [len(cause) + 1.0] * 3) == []
    alone = too_few_by("competing", Outcome(outcome.value, cause > 0, outcome.known, np.ones_like(cause)), [99.0] * 3)
    assert "auc_t1" in alone


def test_the_main_cause_where_censoring_leaves_no_weight_is_in_no_pair() -> None:
    time, cause = np.array([1.0, 2.0, 3.0, 5.0]), np.array([1, 2, 0, 1])
    censored_last = np.array([True, True, True, False])  # G is above zero before time 5, and zero at it
    arrays = (time, cause, np.array([1.0, 2.0, 3.0, 5.0]), censored_last)
    high, low = (wolbers_c(np.array([2.0, 1.0, 0.0, own]), *arrays)[0] for own in (1.5, 0.5))
    assert high == low == 1.0


def test_a_death_that_takes_the_cause_of_another_at_the_same_time_is_mislabelled() -> None:
    whole = made(5, main="death")
    assert whole.outcome is not None
    cause = np.resize([1, 2], N)
    same = whole.with_target(whole.target, Outcome(np.full(N, 7.0), cause > 0, np.ones(N, bool), cause))
    wrong, told = mislabelled(same, 1.0, seed=0)
    assert wrong.outcome is not None and wrong.outcome.cause is not None
    assert told == (wrong.outcome.cause != cause).sum() > 0


def test_events_are_of_the_main_cause_wherever_they_are_counted(model: chiasm.FittedModel) -> None:
    train, other = made(1, main="death"), made(2, main="death")
    events = []
    for own in (train, other):
        assert own.outcome is not None and own.outcome.main_event is not None
        events.append(int(own.outcome.main_event.sum()))
    assert model.learned_from["events"] == events[0] == events_of(train) == summarise(train)["events"]
    assert chiasm.validate(model, other, draws=100).document["events"] == events[1]


def test_best_available_of_one_modality_ranks_as_its_model_and_no_incidence_falls() -> None:
    frame, outcome = incidences(0)
    links = CompetingRisks.links(frame, ("a", "b"))
    pd.testing.assert_frame_equal(CompetingRisks.frame(links, list(frame)), frame, rtol=1e-6, atol=1e-8)
    one = OneModality("single:m", frame, links.mean(0), 0.7)
    everybody, pattern = {"m": np.ones(N, bool)}, np.full(N, "m", object)
    made = best_available("competing", [("m", one)], everybody, outcome, ("a", "b"), pd.Index(range(N)), pattern)
    last = frame.columns[-2]
    assert (np.diff(made[last].to_numpy()[np.argsort(frame[last].to_numpy(), kind="stable")]) >= 0).all()
    each = made[list(frame)[2:]].to_numpy().reshape(N, 3, 2)
    assert (np.diff(each, axis=1) >= 0).all() and (each.sum(2) <= 1).all()
