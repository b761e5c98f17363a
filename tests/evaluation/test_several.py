"""Trials of several cohorts stand in one table, each figure as in its own trial."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.evaluation import Trials
from fake_trials import FUSED, SINGLES, synthetic_trial

QUICK = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)


@pytest.fixture(scope="module")
def made() -> Trials:
    one = synthetic_trial("survival", n=90, protocol=QUICK)
    two = synthetic_trial("survival", name="unique", n=90, protocol=QUICK, recipes=(*SINGLES, FUSED[0]))
    other = synthetic_trial("regression", n=90, protocol=QUICK)
    return Trials({"one": one, "two": two, "other": other})


def test_the_table_has_the_figures_of_each_trial_and_ranks_what_all_have(made: Trials) -> None:
    table = made.table().set_index(["metric", "recipe"])
    for cohort, metric in (("one", "harrell_c"), ("two", "harrell_c"), ("other", "r2")):
        own = made[cohort].table().set_index("recipe")["mean"]
        found = table.loc[metric, cohort].reindex(own.index)
        np.testing.assert_array_equal(found, own)
        assert table.drop(index=metric, level=0)[cohort].isna().all()
    both = table.loc["harrell_c"]
    lacking = FUSED[1].name  # which the second cohort was not tried with
    assert both.loc[lacking, "cohorts"] == 1 and np.isnan(both.loc[lacking, ["mean", "rank"]].astype(float)).all()
    whole = both.drop(index=lacking)
    np.testing.assert_allclose(whole["mean"].astype(float), whole[["one", "two"]].astype(float).mean(axis=1))
    places = whole[["one", "two"]].astype(float).rank(ascending=False).mean(axis=1)
    np.testing.assert_allclose(whole["rank"].astype(float), places)
    assert list(whole["mean"]) == sorted(whole["mean"], reverse=True)


def test_the_verdicts_are_those_of_the_trials_and_nobody_is_named(made: Trials) -> None:
    found = made.verdicts().set_index("cohort")
    for cohort in ("one", "two", "other"):
        verdict = made[cohort].verdict
        assert verdict is not None
        assert found.loc[cohort, "outcome"] == verdict.outcome
        assert found.loc[cohort, "difference"] == verdict.difference
    shown = repr(made) + made._repr_html_()
    assert "one: " in shown and not any(key in shown for key in made["one"].outcomes.index)


@pytest.mark.parametrize(("name", "folder"), [("a/b", "a%2Fb"), ("..", "%2E%2E"), ("lung 2", "lung 2")])
def test_each_cohort_has_its_own_run_folder_below_the_one_asked_for(name: str, folder: str, tmp_path: Path) -> None:
    from chiasm.api.several import folder_of

    assert folder_of(tmp_path, name) == tmp_path / folder


def frames(seed: int, name: str) -> chiasm.Cohort:
    rng = np.random.default_rng(seed)
    ids = [f"case{k}" for k in range(40)]
    table = pd.DataFrame({"age": rng.normal(size=40), "grade": rng.normal(size=40)}, index=ids)
    return chiasm.cohort_from_frames(
        pd.DataFrame({"y": rng.normal(size=40)}, index=ids), {"clinical": table}, chiasm.Regression("y"), name=name
    )


def test_a_recipe_that_one_cohort_cannot_have_is_refused_by_its_name_before_another_is_fitted(tmp_path: Path) -> None:
    two = replace(chiasm.synthetic_cohort("unique", 60, target="regression", seed=0), name="two")
    one = replace(two.with_modalities([two.modalities[0]]), name="one")
    with pytest.raises(chiasm.Unsupported, match="cohort 'one': recipe 'early-fusion': needs 2 modalities"):
        chiasm.evaluate_cohorts([two, one], "presence,early-fusion", QUICK, out=tmp_path / "runs", jobs=1)
    assert not (tmp_path / "runs").exists()


def test_an_error_of_the_check_says_in_which_cohort() -> None:
    two, rng = frames(0, "two"), np.random.default_rng(0)
    table = pd.DataFrame({"x": [np.inf, *rng.normal(size=39)]}, list(two.ids))
    patients = pd.DataFrame({"y": rng.normal(size=40)}, list(two.ids))
    one = chiasm.cohort_from_frames(patients, {"clinical": table}, chiasm.Regression("y"), name="one")
    with pytest.raises(chiasm.CohortError, match="cohort 'one': 1 value not finite in 'x'"):
        chiasm.evaluate_cohorts([two, one], "presence", QUICK, jobs=1)


def test_a_run_writes_both_tables_and_two_cohorts_of_one_name_are_refused_before_anything(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    made = chiasm.evaluate_cohorts(
        [frames(0, "first"), frames(1, "second")], ["presence"], QUICK, out=tmp_path / "runs", jobs=1,
        progress=lambda *now: told.append(now),
    )  # fmt: skip
    assert {name for name, *_ in told} == {"first", "second"}
    for name in ("first", "second"):
        stored = json.loads((tmp_path / "runs" / name / "trial.json").read_text())
        assert stored["cohort"]["name"] == name
    stored = json.loads((tmp_path / "runs" / "cohorts.json").read_text())
    assert stored == made.document()
    assert [row["recipe"] for row in stored["recipes"]] == list(made.table()["recipe"])
    assert [row["cohort"] for row in stored["verdicts"]] == ["first", "second"]
    with pytest.raises(chiasm.TrialError, match="two cohorts are called 'first'"):
        chiasm.evaluate_cohorts([frames(0, "first"), frames(1, "first")], ["presence"], QUICK, out=tmp_path / "no")
    with pytest.raises(chiasm.TrialError, match="called 'mean', as a column"):
        chiasm.evaluate_cohorts([frames(0, "first"), frames(1, "mean")], ["presence"], QUICK, out=tmp_path / "no")
    assert not (tmp_path / "no").exists()
