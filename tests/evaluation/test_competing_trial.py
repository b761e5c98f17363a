"""A trial of competing risks from its cohort to its page, and its models."""

from __future__ import annotations

import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation.trial import Trial, load_trial
from chiasm.report.calibration import calibration_part
from chiasm.report.recipes import best_of
from lighter_trials import only_ridges

FOLDS = chiasm.Protocol(folds=2, inner_folds=2, repeats=1, draws=100)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("competing")


@pytest.fixture(scope="module")
def trial(place: Path) -> Trial:
    cohort = chiasm.synthetic_cohort("complementary", 140, target="competing", seed=0, missing=0.2)
    with only_ridges():
        return chiasm.evaluate(cohort, ["late-fusion"], FOLDS, seed=0, out=place / "run", jobs=1)


def test_every_number_is_about_the_main_cause(trial: Trial) -> None:
    target = trial.document["cohort"]["target"]
    main = int((trial.outcomes["cause"] == 1).sum())
    assert target["classes"] == ["cancer", "other"] and target["events"] == target["counts"][0] == main
    assert main < int(trial.outcomes["event"].sum())
    scores = {row["name"]: row for row in trial.document["recipes"]}
    assert scores["null"]["metric"] == "wolbers_c" and scores["null"]["mean"] == pytest.approx(0.5)
    assert scores["late-fusion"]["mean"] > 0.55
    assert all(own["mean"] is not None for own in scores["late-fusion"]["metrics"].values())
    assert trial.patterns().groupby("recipe")["events"].sum().eq(main).all()
    assert trial.verdict is not None and np.isfinite(trial.verdict.combining).all()


def test_a_cause_keeps_its_capitals(trial: Trial) -> None:
    cohort = trial.document["cohort"]
    named = {**cohort, "target": {**cohort["target"], "classes": ["CVD", "other"]}}
    other = replace(trial, document={**trial.document, "cohort": named})
    assert calibration_part(other, best_of(trial)).said.startswith("Incidence of 'CVD' at ")


def test_predictions_are_incidences_of_each_cause(trial: Trial) -> None:
    frame = next(iter(trial.frames["late-fusion"].values()))
    times = sorted({float(name.rpartition("_")[2]) for name in frame if name.startswith("incidence_")})
    assert [name for name in frame if name.startswith("risk_")] == ["risk_cancer", "risk_other"] and len(times) == 3
    whole = [frame[[f"incidence_{cause}_{time:g}" for cause in ("cancer", "other")]].sum(axis=1) for time in times]
    assert (np.diff(whole, axis=0) >= 0).all() and (np.array(whole) < 1).all()
    for own in (name for name in trial.frames if name != "null"):
        for fold in trial.frames[own].values():
            by_cause = [[name for name in fold if name.startswith(f"incidence_{k}_")] for k in ("cancer", "other")]
            assert all((np.diff(fold[columns].to_numpy(), axis=1) >= -1e-9).all() for columns in by_cause), own


def test_each_cause_has_a_decision_curve_of_its_own_and_so_has_the_first_event(trial: Trial) -> None:
    table = trial.decisions()
    assert list(table["outcome"].unique()) == ["cancer", "other", "first event of any cause"]
    at = table[(table["recipe"] == "late-fusion") & (table["threshold"] == 0.2)].set_index("outcome")["treat_all"]
    shares = {name: (own + 0.25) / 1.25 for name, own in at.items()}  # treat_all = p - (1 - p) t / (1 - t)
    assert shares["cancer"] + shares["other"] == pytest.approx(shares["first event of any cause"], abs=1e-9)
    assert 0.05 < shares["other"] < shares["cancer"]


def test_the_run_folder_gives_the_same_trial(trial: Trial, place: Path) -> None:
    again = load_trial(place / "run")
    assert again.all_outcomes.cause is not None
    for key, fold in trial.folds.items():
        assert np.array_equal(fold.outcome.cause, again.folds[key].outcome.cause)
    assert again.verdict == trial.verdict


def test_the_page_speaks_of_causes_and_incidence(trial: Trial, place: Path) -> None:
    page = html.unescape((place / "run" / "report.html").read_text(encoding="utf-8"))
    for said in (
        "time to the first of 2 competing events, 'months' and 'cause'", "cancer, named by the target",
        "Incidence of 'cancer' by predicted risk", "Aalen-Johansen incidence of 'cancer'", "Wolbers' C",
        "quartiles of its training patients' times of the main cause", "events of the main cause",
        "Cases of one cause are counted by its Aalen-Johansen incidence",
    ):  # fmt: skip
        assert said in page, said
    assert "Kaplan-Meier survival" not in page and "Uno's C" not in page


def test_a_model_is_stored_predicts_and_is_validated_elsewhere(place: Path) -> None:
    train = chiasm.synthetic_cohort("complementary", 120, target="competing", seed=1)
    with only_ridges():
        model = chiasm.fit(train, "early-fusion", seed=0)
    model.save(place / "model")
    other = chiasm.synthetic_cohort("complementary", 90, target="competing", seed=2)
    names = np.array([f"q{name}" for name in other.ids])
    frames = {name: other.raw(name).set_axis(names) for name in other.modalities}
    assert other.outcome is not None and other.outcome.cause is not None
    table = pd.DataFrame(
        {"months": other.outcome.value, "cause": np.array(["alive", "cancer", "other"])[other.outcome.cause]},
        index=names,
    )
    elsewhere = chiasm.cohort_from_frames(table, frames, chiasm.CompetingRisks("months", "cause", main="cancer"))
    loaded = chiasm.load_model(place / "model")
    pd.testing.assert_frame_equal(loaded.predict(elsewhere), model.predict(elsewhere))
    chiasm.validate(loaded, elsewhere, draws=100, out=place / "validation")
    document = json.loads((place / "validation" / "validation.json").read_text(encoding="utf-8"))
    assert document["metric"] == "wolbers_c" and document["mean"] > 0.5
    assert "Incidence of 'cancer' by predicted risk" in html.unescape(
        (place / "validation" / "report.html").read_text(encoding="utf-8")
    )  # fmt: skip


def test_a_bound_of_time_is_of_the_first_event_of_any_cause() -> None:
    frame = pd.DataFrame(
        {"risk_a": [0.0], "risk_b": [0.0], "incidence_a_10": [0.1], "incidence_b_10": [0.3], "incidence_a_20": [0.2],
         "incidence_b_20": [0.5]}
    )  # fmt: skip
    np.testing.assert_allclose(chiasm.CompetingRisks.event_free(frame), [[0.6, 0.3]])
    assert chiasm.CompetingRisks.horizon_columns(frame) == {10.0: "incidence_a_10", 20.0: "incidence_a_20"}


def test_an_estimator_of_one_event_is_refused_before_any_fit() -> None:
    from sklearn.linear_model import LinearRegression

    cohort = chiasm.synthetic_cohort("unique", 60, target="competing", seed=0)
    with pytest.raises(chiasm.Unsupported, match="one event and not competing risks"):
        chiasm.from_sklearn(LinearRegression(), name="line").supports(cohort)
