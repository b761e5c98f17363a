"""Scores of models on new patients: the metrics of one test set, drawn by groups, never a number from too few."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Cohort, Outcome, Survival, Unsupported, synthetic_cohort
from chiasm.evaluation.estimates import Estimate
from chiasm.evaluation.external import FOLD, External, score_external
from chiasm.metrics.scores import METRICS, PRIMARY, score
from chiasm.targets import class_names, kind_of

KINDS = ("classification", "multilabel", "regression", "survival")
N = 120


def new_patients(kind: str, n: int = N, seed: int = 3) -> Cohort:
    cohort = synthetic_cohort("complementary", n, target=kind, seed=seed, missing=0.2)
    assert cohort.target is not None and cohort.outcome is not None
    return cohort.with_target(cohort.target.with_horizons(cohort.outcome), cohort.outcome)


def guesses(cohort: Cohort, seed: int = 0) -> pd.DataFrame:
    """The prior of the patients, moved at random, in an order that is not theirs."""
    rng = np.random.default_rng(seed)
    target, outcome = cohort.target, cohort.outcome
    assert target is not None and outcome is not None
    own = kind_of(target.kind)
    prior = own.prior_frame(outcome, len(cohort), target.names, target.times if own.has_times else ())
    links = own.links(prior, target.names)
    moved = own.frame(links + rng.normal(size=links.shape), list(prior.columns))
    frame = moved.set_axis(pd.Index(cohort.ids, dtype=object))
    frame.insert(0, "pattern", cohort.pattern().astype(object))
    return frame.iloc[rng.permutation(len(frame))]


def scored(cohort: Cohort, **options: object) -> External:
    return score_external(cohort, {"model": guesses(cohort)}, **{"draws": 100, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_scores_are_the_metrics_of_one_test_set_with_its_own_null_model(kind: str) -> None:
    cohort = new_patients(kind)
    frame = guesses(cohort)
    found = score_external(cohort, {"model": frame}, draws=100)
    assert cohort.target is not None and cohort.outcome is not None
    expected = score(
        kind, frame.loc[list(cohort.ids)], cohort.outcome, class_names(cohort.target), train=cohort.outcome
    )
    assert set(found.scores["model"]) == set(expected) - {"r2_null"}
    for name, own in found.scores["model"].items():
        np.testing.assert_allclose(own.mean, expected[name][0], rtol=1e-9, err_msg=name)
        assert own.low <= own.mean <= own.high or not own.estimable, name
    assert found.scores["model"][PRIMARY[kind]].estimable and found.own_reference
    assert list(found.table()["metric"]) == [m.id for m in METRICS[kind] if m.id != "r2_null"]


@pytest.mark.parametrize("horizons", [1, 2, 3])
def test_nothing_is_told_of_a_horizon_that_no_model_has(horizons: int) -> None:
    cohort = new_patients("survival")
    frame = guesses(cohort)
    later = [name for name in frame if str(name).startswith("survival_")][horizons:]
    found = score_external(cohort, {"model": frame.drop(columns=later)}, draws=100)
    told = {name[-1] for name in found.table()["metric"] if name[-3:-1] == "_t"}
    assert told == {"1", "2", "3"} - {str(place) for place in range(horizons + 1, 4)}
    assert found.scores["model"]["auc_t1"].estimable


def test_outcomes_that_are_given_stand_in_for_training_patients() -> None:
    cohort, elsewhere = new_patients("regression"), new_patients("regression", seed=9)
    assert elsewhere.outcome is not None
    moved = replace(elsewhere.outcome, value=elsewhere.outcome.value + 4)
    found = scored(cohort, reference=moved)
    assert found.scores["model"]["r2_null"].mean > found.scores["model"]["r2"].mean + 0.2
    assert not found.own_reference


def test_groups_and_sites_are_drawn_as_a_whole() -> None:
    cohort = new_patients("classification")
    labels = np.array([f"g{k // 4}" for k in range(N)])  # of four patients each
    for drawn in (scored(replace(cohort, group=labels)), scored(replace(cohort, site=labels), by="site")):
        counts = drawn.trial.draws
        assert (counts.reshape(100, -1, 4) == counts.reshape(100, -1, 4)[:, :, :1]).all()
    alone = scored(replace(cohort, site=labels)).trial.draws.reshape(100, -1, 4)
    assert not (alone == alone[:, :, :1]).all(), "without by='site' patients of a site are drawn one by one"


@pytest.mark.parametrize("kind", KINDS)
def test_too_few_patients_are_never_a_number(kind: str) -> None:
    cohort = new_patients(kind, 40)
    assert cohort.outcome is not None
    if kind == "survival":
        event = np.zeros(40, dtype=bool)
        event[:4] = True
        cohort = cohort.with_target(cohort.target, replace(cohort.outcome, event=event))
    else:
        cohort = cohort.subset(np.arange(4))
    found = scored(cohort)
    assert {key for key, own in found.scores["model"].items() if own.estimable} == set()
    assert found.table()[["mean", "low", "high"]].isna().all(axis=None)


def test_patients_of_one_site_have_scores_and_no_interval_when_sites_are_drawn_whole() -> None:
    cohort = new_patients("classification")
    one = replace(cohort, site=np.array(["elsewhere"] * N))
    models = {"model": guesses(cohort), "other": guesses(cohort, 1)}
    found = score_external(one, models, draws=100, by="site")
    auroc = found.scores["model"]["auroc"]
    assert np.isfinite(auroc.mean) and np.isnan([auroc.low, auroc.high]).all()
    apart = found.difference("model", "other")
    assert np.isfinite(apart.mean) and np.isnan([apart.low, apart.high]).all() and str(apart).endswith("(no interval)")
    assert score_external(one, models, draws=100).scores["model"]["auroc"].bounded


def test_who_is_left_out_is_counted_by_why() -> None:
    cohort = new_patients("regression")
    assert cohort.outcome is not None
    value = cohort.outcome.value.copy()
    value[:7] = np.nan
    spoilt = cohort.with_target(cohort.target, Outcome(value, None, ~np.isnan(value)))
    for name in spoilt.modalities:
        spoilt = spoilt.without(name, np.arange(5, 10))
    found = scored(spoilt)
    assert found.left_out == {"their outcome is not known": 7, "they have none of the model's modalities": 3}
    assert found.patients == N - 10 and found.trial.document["cohort"]["excluded"] == 10
    assert found.events is None and set(found.trial.folds) == {(0, FOLD)}


def test_two_models_are_compared_in_the_same_draws() -> None:
    cohort = new_patients("survival")
    both = {"a": guesses(cohort), "b": guesses(cohort, 1)}
    found = score_external(cohort, both, draws=100)
    apart, back = found.difference("a", "b"), found.difference("b", "a")
    scores = found.scores
    assert apart.mean == pytest.approx(scores["a"]["harrell_c"].mean - scores["b"]["harrell_c"].mean)
    assert (apart.mean, apart.low) == pytest.approx((-back.mean, -back.high))
    assert found.difference("a", "a") == Estimate(0.0, 0.0, 0.0)
    alone = score_external(cohort, {"b": both["b"]}, draws=100)
    assert alone.scores["b"] == scores["b"], "who else is scored changes nothing"


@pytest.mark.parametrize("gone", ["target", "patients"])
def test_nothing_to_score_is_refused(gone: str) -> None:
    cohort = new_patients("classification", 40)
    if gone == "target":
        with pytest.raises(Unsupported, match="has no target"):
            score_external(cohort.with_target(None, None), {})
        return
    bare = cohort
    for name in cohort.modalities:
        bare = bare.without(name, np.arange(40))
    with pytest.raises(Unsupported, match="nothing to score"):
        score_external(bare, {})


def test_a_patient_without_a_prediction_is_refused_without_naming_who() -> None:
    cohort = new_patients("classification", 40)
    with pytest.raises(ValueError, match="'model' predicts nothing for 3 of 40 patients") as told:
        score_external(cohort, {"model": guesses(cohort).iloc[:-3]})
    assert not any(name in str(told.value) for name in cohort.ids)


def test_horizons_are_those_of_the_model() -> None:
    cohort = new_patients("survival")
    assert isinstance(cohort.target, Survival)
    other = cohort.with_target(replace(cohort.target, times=(1e-6,)), cohort.outcome)
    assert score_external(other, {"model": guesses(cohort)}, draws=100).scores == scored(cohort).scores


def test_a_horizon_by_which_too_few_had_the_event_is_not_estimable() -> None:
    cohort = new_patients("survival")
    assert cohort.outcome is not None and isinstance(cohort.target, Survival)
    first = cohort.target.times[0]
    early = np.flatnonzero(cohort.outcome.event & (cohort.outcome.value <= first))
    value = cohort.outcome.value.copy()
    value[early[4:]] = first * 1.01
    found = scored(cohort.with_target(cohort.target, replace(cohort.outcome, value=value))).scores["model"]
    at_first = {key for key, own in found.items() if key.endswith("_t1") and own.estimable}
    assert at_first == set() and found["auc_t2"].estimable and found["harrell_c"].estimable
    value[early[4]] = first
    again = scored(cohort.with_target(cohort.target, replace(cohort.outcome, value=value))).scores["model"]
    assert again["auc_t1"].estimable
