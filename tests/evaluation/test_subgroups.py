"""Subgroups of a trial: each level has the scores of its own patients, and few patients are given no figure."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from chiasm.cohort import synthetic_cohort
from chiasm.cohort.subgroups import Subgroup
from chiasm.evaluation import Protocol, Trial
from chiasm.evaluation.subgroups import OTHERS, TOO_FEW, in_the_same_labels
from chiasm.metrics.scores import PRIMARY, score, score_pooled
from chiasm.report import Plots
from chiasm.report.page import render
from chiasm.report.subgroups import subgroups_part
from fake_trials import FUSED, SINGLES, run
from small_recipes import at_night

N = 220
LEVELS = np.array(["east"] * 120 + ["west"] * 80 + ["moon"] * 3 + ["south"] * 12 + [""] * 5)


@pytest.fixture(scope="module", params=["survival", *at_night("multilabel", "regression", "classification")])
def trial(request: pytest.FixtureRequest) -> Trial:
    cohort = synthetic_cohort("complementary", N, target=request.param, seed=4, missing=0.1)
    own = Subgroup("region", np.random.default_rng(0).permutation(LEVELS))
    protocol = Protocol(folds=2, repeats=1, draws=100)
    return run(replace(cohort, subgroups=(own,)), (*SINGLES, FUSED[0]), protocol)


def test_a_level_has_the_scores_of_its_own_patients(trial: Trial) -> None:
    best, metric = trial.verdict.best_fused, PRIMARY[trial.kind]
    table = trial.subgroups(best).set_index("level")
    assert table.loc["east", "n"] == 120 and table.loc["west", "against"] == "east"
    if trial.target.has_labels:
        assert np.isfinite(table.loc["west", ["mean", "low", "high", "difference", "difference_low"]].tolist()).all()
        return
    here = (trial.outcomes["subgroup_region"] == "west").to_numpy()
    parts, values = [], []
    for key, fold in trial.folds.items():
        rows = np.flatnonzero(here[fold.patients])
        frame, outcome = trial.frames[best][key].iloc[rows], fold.outcome.take(rows)
        values.append(score(trial.kind, frame, outcome, trial.classes, metrics=[metric], min_events=0)[metric][0])
        parts.append((frame, outcome, fold.train, None))
    west, east = table.loc["west"], table.loc["east"]
    assert west["mean"] == pytest.approx(np.mean(values)) and west["low"] < west["mean"] < west["high"]
    assert west["difference"] == pytest.approx(west["mean"] - east["mean"])
    assert west["difference_low"] < west["difference"] < west["difference_high"]
    name = "calibration_slope" + ("_t2" if trial.target.has_times else "")
    assert west["calibration_slope"] == pytest.approx(score_pooled(trial.kind, parts, trial.classes, [name])[name][0])


def test_few_patients_are_given_no_figure_and_the_fewest_no_number(trial: Trial) -> None:
    table = trial.subgroups().set_index(["recipe", "level"]).loc[trial.verdict.best_fused]
    for level in (OTHERS, "south", ""):
        row = table.loc[level]
        assert row["said"] == TOO_FEW and np.isnan(row[["mean", "difference", "calibration_slope"]].tolist()).all()
    assert np.isnan(table.loc[OTHERS, "n"]) and table.loc["south", "n"] == 12 and table.loc["", "n"] == 5
    assert list(table.index) == ["east", "south", "west", OTHERS, ""]
    assert not set(table["fewest"]) & {1, 2, 3, 4} and "moon" not in json.dumps(trial.document)


def test_the_page_has_the_table_and_the_picture(trial: Trial) -> None:
    part, page = subgroups_part(trial), render(trial)
    assert part is not None and part.picture is not None and 'id="subgroup-table"' in page and TOO_FEW in page
    shown = {row[1]: row for row in part.tables[0].rows}
    assert shown[OTHERS][2] == "<5" and "moon" not in page and shown["not filled in"][4][0] == TOO_FEW
    assert "subgroups" in Plots(trial).drawable
    assert json.dumps(trial.document["subgroups"], allow_nan=False)
    bare = replace(trial, document={key: own for key, own in trial.document.items() if key != "subgroups"})
    assert subgroups_part(bare) is None
    with pytest.raises(ValueError, match="declares no subgroups"):
        bare.subgroups()


def test_levels_are_compared_in_the_same_labels() -> None:
    def part(value: float) -> tuple[float, np.ndarray]:
        return value, np.full(3, value)

    none = (np.nan, np.zeros(0))
    found = in_the_same_labels({"a": {"auc": [part(0.9), part(0.6)]}, "b": {"auc": [none, part(0.7)]}})
    assert np.isnan(found["a"]["auc"][0][0]) and found["a"]["auc"][1][0] == 0.6 and found["b"]["auc"][1][0] == 0.7
    apart = in_the_same_labels({"a": {"auc": [part(0.9), none]}, "b": {"auc": [none, part(0.7)]}})
    assert apart["a"]["auc"][0][0] == 0.9, "nothing in common: each has what it has"
