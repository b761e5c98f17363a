"""Patients who all belong to one unit that is drawn whole have a score and no interval, wherever it is asked for."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.contrasts import UNKNOWN, Contrast, contrast, corrected_interval
from chiasm.evaluation.estimates import Estimate, estimate, mean_over_labels
from chiasm.evaluation.external import External, score_external
from chiasm.evaluation.intervals import TestFold, patient_draws, trial_differences, trial_scores
from chiasm.evaluation.opening import concluded
from chiasm.evaluation.sentences import Circumstances, contrast_sentence, sentence_of
from chiasm.evaluation.verdict import CANNOT_TELL, Evidence, decide
from chiasm.metrics.scores import PRIMARY
from chiasm.report.calibration import label_slope
from chiasm.report.page import render
from chiasm.report.sites import sites_part
from chiasm.report.validation import meanings
from fake_trials import FUSED, SINGLES, run
from small_recipes import at_night

N = 150
SITE_A_FOLD = Protocol(folds=4, repeats=1, draws=100, by="site")


def hospital_cohort(kind: str, sites: int) -> object:
    cohort = synthetic_cohort("complementary", N, target=kind, seed=3, missing=0.2)
    return replace(cohort, site=np.array([f"h{row % sites}" for row in range(N)]))


@pytest.fixture(scope="module", params=["multilabel", *at_night("survival")])
def trial(request: pytest.FixtureRequest) -> Trial:
    """A trial of which each fold tests one site."""
    return run(hospital_cohort(request.param, 4), (*SINGLES, FUSED[0]), SITE_A_FOLD)


def fold_of(groups: list[str], known: list[bool] | None = None) -> TestFold:
    from chiasm.targets import Outcome

    n = len(groups)
    value = np.arange(n, dtype=float) % 2
    outcome = Outcome(value, None, np.ones(n, dtype=bool) if known is None else np.array(known))
    return TestFold(0, "a", np.arange(n), outcome, outcome, np.array(groups))


def scores_of(fold: TestFold) -> tuple[Estimate, Estimate]:
    """AUROC, which is scored within folds, and the calibration slope, which is pooled over them."""
    import pandas as pd

    p = np.clip(0.3 * fold.outcome.value + 0.7 * np.random.default_rng(0).random(len(fold.patients)), 0.01, 0.99)
    frame = pd.DataFrame({"p_0": 1 - p, "p_1": p})
    draws = patient_draws([fold], len(p), 200, 0)
    found = trial_scores("classification", [fold], [frame], ("0", "1"), draws)
    return found["auroc"], found["calibration_slope"]


def test_one_group_has_the_score_of_its_patients_and_no_interval() -> None:
    one, many = scores_of(fold_of(["a"] * 40)), scores_of(fold_of([f"{row}" for row in range(40)]))
    assert all(own.bounded for own in many) and [own.mean for own in one] == [own.mean for own in many]
    assert all(own.estimable and not own.bounded and math.isnan(own.low) for own in one)
    assert str(one[0]) == f"{one[0].mean:.3f} (no interval)"
    known = [True] * 20 + [False] * 20  # those of the other group have no outcome
    assert not scores_of(fold_of(["a"] * 20 + ["b"] * 20, known))[0].bounded
    assert scores_of(fold_of(["a"] * 20 + ["b"] * 10 + ["c"] * 10))[0].bounded


def test_no_draws_are_not_too_few_draws() -> None:
    point, none = np.array([[0.6], [0.7]]), np.zeros((2, 0))
    assert str(estimate(point, none)) == "0.650 (no interval)"
    assert str(estimate(point, np.full((2, 10), np.nan))) == str(estimate(np.full((2, 1), np.nan), none))
    drawn = np.full((2, 10), 0.8)
    share, means = mean_over_labels([(point, none), (point + 0.1, drawn)])
    assert share.mean() == pytest.approx(0.7) and means.shape == (0,), "both labels count, however they are drawn"
    assert mean_over_labels([(point, none), (point + 0.1, none)])[0].mean() == pytest.approx(0.7)


def test_a_trial_of_one_site_a_fold_has_means_alone(trial: Trial) -> None:
    scored = [
        entry for row in trial.document["recipes"] for entry in row["metrics"].values() if entry["mean"] is not None
    ]
    assert len(scored) >= 8 and all(entry["low"] is None and entry["high"] is None for entry in scored)
    table = trial.table()
    assert table["mean"].notna().all() and table[["low", "high"]].isna().all(axis=None)
    patterns = trial.patterns()
    assert patterns["mean"].notna().any() and patterns[["low", "high"]].isna().all(axis=None)
    sites = trial.sites()
    if trial.target.has_labels:
        labels = trial.labels()
        assert labels["mean"].notna().any() and labels[["low", "high"]].isna().all(axis=None)
        assert label_slope(trial, FUSED[0].name, 0).endswith("(no interval)")
    assert sites[["low", "high", "se"]].notna().all(axis=None), "a site's own patients are drawn one by one"
    key = next(iter(trial.folds))
    point, drawn = trial_differences(
        trial.kind, [trial.folds[key]], [trial.frames[FUSED[0].name][key]], [trial.frames[SINGLES[0].name][key]],
        trial.classes, trial.draws,
    )  # fmt: skip
    assert np.isfinite(point).all() and drawn.shape == (0,)


def test_the_verdict_keeps_the_interval_over_folds(trial: Trial) -> None:
    """Each fold is another site, so that the corrected interval over the folds is that of sites."""
    verdict = trial.verdict
    assert verdict is not None and np.isfinite([verdict.difference, verdict.low, verdict.high]).all()
    assert verdict.high - verdict.low > 1e-3 and verdict.why != "no interval"
    values = {
        name: [row["value"] for row in own["folds"]]
        for own in trial.document["recipes"]
        if (name := own["name"]) in verdict.fused_counts or name in verdict.single_counts
    }
    if len(verdict.fused_counts) == len(verdict.single_counts) == 1:
        apart = np.array(values[verdict.best_fused]) - np.array(values[verdict.best_single])
        protocol = trial.document["protocol"]
        low, high = corrected_interval(apart, protocol["n_test"], protocol["n_train"])
        assert (verdict.low, verdict.high) == pytest.approx((low, high))


def test_the_page_and_the_notebook_say_no_interval(trial: Trial) -> None:
    if trial.kind == "survival":
        page = render(trial)
        assert "no interval)" in page and "nan" not in page.partition("data:image")[0]
    assert f"{trial.table()['mean'].iloc[0]:.3f}" in trial._repr_html_() and "no interval" in trial._repr_html_()
    json.dumps(trial.document, allow_nan=False)


@pytest.mark.parametrize("kind", ["regression", pytest.param("multilabel", marks=pytest.mark.nightly)])
def test_a_site_that_is_one_group_has_no_interval_and_is_not_in_the_summary(kind: str) -> None:
    cohort = hospital_cohort(kind, 6)
    group = np.array([name if name == "h0" else f"{name}-{row}" for row, name in enumerate(cohort.site)])
    made = run(replace(cohort, group=group), (*SINGLES, FUSED[0]), replace(SITE_A_FOLD, folds=3))
    table = made.sites(FUSED[0].name).set_index("site")
    assert np.isfinite(table.loc["h0", "mean"]) and table.loc["h0", ["low", "high", "se"]].isna().all()
    assert table.drop("h0")[["mean", "low", "high", "se"]].notna().all(axis=None)
    stored, part = made.document["sites"][0], sites_part(made)
    assert stored["left_out"] == 1 and stored["summary"]["k"] == 5 and part is not None and part.picture is not None
    shown = stored["sites"][int(table.loc["h0", "number"]) - 1]
    assert shown["mean"] is not None and shown["low"] is None
    assert part.rows[int(table.loc["h0", "number"]) - 1][3][0].endswith("(no interval)")


def scored_once_more(by: str | None) -> External:
    cohort, train = hospital_cohort("survival", 1), synthetic_cohort("complementary", N, target="survival", seed=9)
    frames = {
        name: own.fit(train, seed=0).predict(cohort.with_target(None, None))
        for name, own in (("one", SINGLES[0]), ("two", FUSED[0]))
    }
    return score_external(cohort, frames, by=by, draws=100)


@pytest.fixture(scope="module")
def of_one_site() -> External:
    """Another cohort, of one site."""
    return scored_once_more("site")


def test_another_cohort_of_one_site_has_no_interval_in_any_table(of_one_site: External) -> None:
    found = of_one_site
    table, patterns = found.table(), found.patterns()
    assert table["mean"].notna().any() and table[["low", "high"]].isna().all(axis=None)
    assert patterns["mean"].notna().any() and patterns[["low", "high"]].isna().all(axis=None)
    (row, _) = found.trial.document["recipes"]
    assert meanings(row["metrics"], "survival") == []
    free = scored_once_more(None)
    assert free.scores["one"][PRIMARY["survival"]].bounded
    assert free.scores["one"][PRIMARY["survival"]].mean == found.scores["one"][PRIMARY["survival"]].mean
    assert free.patterns()["low"].notna().any()


def test_an_opening_without_an_interval_cannot_tell(of_one_site: External) -> None:
    quick = Protocol(folds=2, repeats=1, draws=100)
    made = run(synthetic_cohort("complementary", N, target="survival", seed=9), (SINGLES[0], FUSED[0]), quick)
    assert made.verdict is not None
    found = of_one_site
    apart = found.difference("two", "one")
    told, sentence = concluded(made, found, apart)
    assert told == "cannot tell" and f"{apart.mean:.3f} (no interval)" in sentence and "nan" not in sentence


def test_without_any_interval_the_verdict_cannot_tell_and_says_why() -> None:
    ours, theirs = ([(np.array([[value]]), np.zeros((1, 0)))] for value in (0.8, 0.7))
    found = contrast(ours, theirs, n_test=40, n_train=80)
    assert found.mean == pytest.approx(0.1) and math.isnan(found.low) and not found.same
    assert contrast(ours, ours, n_test=40, n_train=80).same
    three = [(np.array([[0.8], [0.7], [0.9]]), np.zeros((3, 0)))]
    base = [(np.array([[0.7], [0.7], [0.7]]), np.zeros((3, 0)))]
    assert contrast(three, base, n_test=40, n_train=80).bounded
    lacking = [(np.array([[0.8], [np.nan]]), np.full((2, 9), np.nan))]
    assert (
        contrast(lacking, lacking, n_test=40, n_train=80).numbers[0] != contrast(ours, ours, n_test=1, n_train=1).mean
    )
    gain = Contrast(0.05, 0.02, 0.08)
    evidence = Evidence(found, gain, gain, gain, gain)
    assert decide(evidence) == ("predicts more patients", "no interval")
    evidence = replace(evidence, coverage=found, combining=found, beyond_presence=found, fixed=found)
    assert decide(evidence) == (CANNOT_TELL, "no interval")
    around = Circumstances("AUROC", {"single:rna": 1}, {"late-fusion": 1}, 1, 40, 30, units=1)
    said = sentence_of(*decide(evidence), evidence, around)
    assert (
        "no interval; 40 patients in 1 cluster, 1 test fold" in said
        and "all of one cluster" in said
        and "nan" not in said
    )
    assert "bootstrap" not in said and "too few events" not in said
    outcome, sentence = contrast_sentence("b", "a", found, "AUROC", 0.01)
    assert outcome == CANNOT_TELL and "0.100 (no interval)" in sentence and "all of one cluster" in sentence
    assert decide(replace(evidence, total=UNKNOWN)) == (CANNOT_TELL, "not estimable")
