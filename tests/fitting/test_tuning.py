"""A tuned recipe: the right setting is found on inner folds, stopping and resuming change no pick."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.compute.cluster import gpus_for
from chiasm.fitting.tuning import search
from chiasm.fitting.tuning.identity import told_of
from chiasm.fitting.tuning.record import FAILED, FINISHED, STOPPED, Tried, Tuning, pick
from chiasm.fitting.tuning.search import behind
from chiasm.metrics.scores import score
from toy_recipes import FITS, RIGHT, STOP_AT, OneColumn, columns_cohort

COLUMNS = {"column": [0, 1, 2, RIGHT, 4, 5]}


@pytest.fixture(autouse=True)
def nothing_fitted() -> Iterator[None]:
    FITS.clear()
    STOP_AT.clear()
    yield
    STOP_AT.clear()


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return columns_cohort()


def tuning_of(model: Any) -> Any:
    return model.tuning


def test_the_setting_that_is_right_is_picked(cohort: Cohort) -> None:
    for space in (COLUMNS, {"column": "0..5", "power": "0.2..3 log"}):
        found = chiasm.tune(OneColumn(), space, cohort, budget=24)
        assert found.options["column"] == RIGHT and f"column={RIGHT}" in found.chosen
        assert found.table().loc[found.picked, "mean"] == found.table()["mean"].max()


def test_a_search_by_score_is_the_same_each_time_and_begins_with_the_recipe_s_own_values(cohort: Cohort) -> None:
    space = {"column": "0..5", "power": "0.2..3 log"}
    first, second = (chiasm.tune(OneColumn(2, 0.7), space, cohort, budget=12, seed=3) for _ in range(2))
    assert first == second and first.tried[0].options == {"column": 2, "power": 0.7}
    assert chiasm.tune(OneColumn(2, 0.7), space, cohort, budget=12, seed=4) != first


def test_one_setting_alone_is_the_recipe_itself_to_the_last_bit(cohort: Cohort) -> None:
    model = chiasm.fit(cohort, chiasm.tuned(OneColumn(), {"column": [RIGHT]}), seed=7)
    assert FITS == [(RIGHT, 1.0)]
    plain = chiasm.fit(cohort, OneColumn(RIGHT), seed=7)
    pd.testing.assert_frame_equal(model.predict(cohort), plain.predict(cohort), check_exact=True)
    assert "nothing was searched" in tuning_of(model).sentence


def test_the_model_is_that_of_the_picked_setting_on_all_patients(cohort: Cohort) -> None:
    model = chiasm.fit(cohort, chiasm.tuned(OneColumn(), COLUMNS), seed=7)
    plain = chiasm.fit(cohort, OneColumn(RIGHT), seed=7)
    pd.testing.assert_frame_equal(model.predict(cohort), plain.predict(cohort), check_exact=True)


def test_of_settings_that_score_alike_the_first_is_picked(cohort: Cohort) -> None:
    ranked = [chiasm.tune(OneColumn(RIGHT), {"power": powers}, cohort).options["power"] for powers in ([1, 2], [2, 1])]
    assert len(set(ranked)) == 1  # these do not score alike, whatever their order
    alike = [Tried({"a": k}, (0.5, 0.7), FINISHED) for k in range(3)]
    assert pick(alike) == 0 and pick([Tried({}, (0.9,), STOPPED), *alike]) == 1
    assert pick([Tried({}, (), FAILED), Tried({}, (None,), FINISHED)]) == 1
    with pytest.raises(ArithmeticError, match="each of the 1 setting"):
        pick([Tried({}, (), FAILED)])


def test_a_setting_that_diverges_is_told_and_never_picked(cohort: Cohort) -> None:
    found = chiasm.tune(OneColumn(RIGHT), {"power": [-1.0, 1.0]}, cohort)
    assert found.options == {"power": 1.0} and [own.status for own in found.tried] == [FAILED, FINISHED]
    assert "(1 failed): mean" in found.sentence


def test_stopping_saves_fits_and_changes_no_score_of_those_that_finish(cohort: Cohort) -> None:
    space = {"column": [RIGHT, 0, 1, 2, 4, 5]}
    stopped = chiasm.tune(OneColumn(), space, cohort)
    few = len(FITS)
    whole = chiasm.tune(OneColumn(), space, cohort, stops=False)
    assert few < len(FITS) - few == 18
    ended = {own.status for own in stopped.tried}
    assert ended == {FINISHED, STOPPED} and "stopped before the last inner fold" in stopped.sentence
    assert "stopped" not in whole.sentence and stopped.options == whole.options
    for short, full in zip(stopped.tried, whole.tried, strict=True):
        assert full.scores[: len(short.scores)] == short.scores
        assert short.status == STOPPED or short == full
    assert stopped.table()["mean"].isna().tolist() == [own.status == STOPPED for own in stopped.tried]


def test_a_setting_is_behind_once_four_have_finished_and_half_of_them_are_better() -> None:
    done = [Tried({}, (score, 0.9), FINISHED) for score in (0.5, 0.6, 0.7, 0.8)]
    assert behind([0.64], done) and not behind([0.66], done)
    assert not behind([0.1], done[:3]) and not behind([None], done)
    assert not behind([0.64], [*done[:3], Tried({}, (0.8,), STOPPED)])


@pytest.mark.parametrize("space", [COLUMNS, {"column": "0..5", "power": "0.2..3 log"}])
def test_a_search_that_is_stopped_goes_on_as_if_it_had_not_been(cohort: Cohort, space: Any, tmp_path: Path) -> None:
    recipe = chiasm.tuned(OneColumn(), space, budget=8)
    whole, fits = tuning_of(recipe.fit(cohort, seed=1)), len(FITS)
    for at in (5, 4):
        FITS.clear()
        STOP_AT[:] = [at]
        with pytest.raises(KeyboardInterrupt):
            recipe.fit(cohort, seed=1, checkpoint=tmp_path)
    FITS.clear()
    STOP_AT.clear()
    model = recipe.fit(cohort, seed=1, checkpoint=tmp_path)
    assert tuning_of(model) == whole and len(FITS) == fits - 7
    FITS.clear()
    assert tuning_of(recipe.fit(cohort, seed=2, checkpoint=tmp_path)) != whole and len(FITS) > 7


def backwards(function: Any, context: Any, tasks: Any, jobs: int) -> Iterator[Any]:
    """As a cluster, to which everything is sent, and whose results come in any order."""
    function, context = pickle.loads(pickle.dumps((function, context)))
    yield from [function(context, task) for task in tasks][::-1]


@pytest.mark.parametrize("space", [COLUMNS, {"column": "0..5", "power": "0.2..3 log"}], ids=["list", "ranges"])
def test_fits_side_by_side_pick_what_fits_one_after_another_do(
    cohort: Cohort, space: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = chiasm.tune(OneColumn(), space, cohort, budget=8, seed=1)
    monkeypatch.setattr("chiasm.api.encoding.ENGINES", {"local": None, "ray": backwards})
    assert chiasm.tune(OneColumn(), space, cohort, budget=8, seed=1, engine="ray") == expected
    stopped = tmp_path / "stopped"

    def lost(function: Any, context: Any, tasks: Any, jobs: int) -> Iterator[Any]:
        yield from [function(context, task) for task in tasks[:4]][::-1]
        raise KeyboardInterrupt

    monkeypatch.setattr("chiasm.api.encoding.ENGINES", {"local": None, "ray": lost})
    with pytest.raises(KeyboardInterrupt):
        chiasm.tune(OneColumn(), space, cohort, budget=8, seed=1, engine="ray", out=stopped)
    FITS.clear()
    assert chiasm.tune(OneColumn(), space, cohort, budget=8, seed=1, out=stopped) == expected
    assert 0 < len(FITS) < sum(len(own.scores) for own in expected.tried)


def test_gpus_are_handed_out_by_a_cluster_and_for_a_gpu_alone(cohort: Cohort) -> None:
    with pytest.raises(ValueError, match="say the engine 'ray' too"):
        chiasm.tune(OneColumn(), COLUMNS, cohort, gpus_per_trial=0.5)
    asks = SimpleNamespace(device="cuda")
    assert [gpus_for(asks), gpus_for(asks, 0.5), gpus_for(asks, 2), gpus_for(SimpleNamespace(device="cpu"))] == [
        1,
        0.5,
        2,
        0,
    ]
    with pytest.raises(ValueError, match="say the device 'cuda' too"):
        gpus_for(SimpleNamespace(device="cpu"), 0.5)
    with pytest.raises(ValueError, match="a share of a GPU below 1 or a whole number"):
        gpus_for(asks, 1.5)


def test_seconds_stop_a_search_and_decide_nothing(cohort: Cohort, tmp_path: Path) -> None:
    whole, fits = chiasm.tune(OneColumn(), COLUMNS, cohort), len(FITS)
    with pytest.raises(RuntimeError, match="1 of 6 settings are tried and none is picked"):
        chiasm.tune(OneColumn(), COLUMNS, cohort, out=tmp_path, seconds=0)
    assert chiasm.tune(OneColumn(), COLUMNS, cohort, out=tmp_path) == whole and len(FITS) == 2 * fits
    with pytest.raises(ValueError, match="name a folder"):
        chiasm.tune(OneColumn(), COLUMNS, cohort, seconds=1)


def test_folds_keep_groups_on_one_side_and_leave_out_whose_outcome_is_unknown(cohort: Cohort) -> None:
    from chiasm.fitting.tuning.search import rungs_of

    frame = pd.DataFrame({"a0": np.arange(40.0)}, index=[f"p{k:02d}" for k in range(40)])
    patients = pd.DataFrame(
        {"value": [np.nan, *np.arange(39.0)], "who": [f"g{k // 4}" for k in range(40)]}, index=frame.index
    )
    grouped = chiasm.cohort_from_frames(patients, {"a": frame}, target=chiasm.Regression("value"), group="who")
    rungs = rungs_of(grouped, seed=0, folds=3)
    assert len(rungs) == 3 and sum(len(own.test) for own in rungs) == 39
    for own in rungs:
        assert not set(own.train.group) & set(own.test.group) and not set(own.train.ids) & set(own.test.ids)


def test_a_budget_is_used_up_and_no_setting_is_tried_twice(cohort: Cohort) -> None:
    told: list[tuple[int, int]] = []
    found = chiasm.tune(OneColumn(), {"column": "0..5"}, cohort, budget=5, progress=lambda *own: told.append(own))
    assert len({own.options["column"] for own in found.tried}) == len(found.tried) == 5 and told[-1] == (5, 5)


def test_scores_are_kept_by_setting_and_not_by_place(cohort: Cohort, tmp_path: Path) -> None:
    whole = chiasm.tune(OneColumn(), COLUMNS, cohort, out=tmp_path)
    file = tmp_path / "search" / "tuning.json"
    kept = json.loads(file.read_text(encoding="utf-8"))
    assert kept["settings"][1] == {"options": {"column": 1}, "scores": list(whole.tried[1].scores)}
    kept["settings"].reverse()
    file.write_text(json.dumps(kept), encoding="utf-8")
    FITS.clear()
    assert chiasm.tune(OneColumn(), COLUMNS, cohort, out=tmp_path) == whole and not FITS


def test_the_scores_of_another_search_are_not_lost_and_its_checkpoints_are_in_nobody_s_way(
    cohort: Cohort, tmp_path: Path
) -> None:
    chiasm.tune(OneColumn(), {"column": [0, RIGHT]}, cohort, out=tmp_path)
    before = (tmp_path / "search" / "tuning.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="holds the scores of another search"):
        chiasm.tune(OneColumn(), COLUMNS, cohort, out=tmp_path)
    assert (tmp_path / "search" / "tuning.json").read_text(encoding="utf-8") == before
    left = tmp_path / "search" / "00000000-0"
    left.mkdir()
    chiasm.tuned(OneColumn(), COLUMNS).fit(cohort, seed=0, checkpoint=tmp_path)  # as a killed fit in a trial's work
    assert not left.exists()


def test_a_folder_of_the_same_name_that_no_search_made_is_not_emptied(cohort: Cohort, tmp_path: Path) -> None:
    other = tmp_path / "search" / "notes.txt"
    other.parent.mkdir()
    other.write_text("of somebody else", encoding="utf-8")
    chiasm.tune(OneColumn(), {"column": [0, RIGHT]}, cohort, out=tmp_path)
    assert other.read_text(encoding="utf-8") == "of somebody else"


def test_a_single_setting_of_a_longer_list_is_not_said_to_be_all_there_is(cohort: Cohort) -> None:
    found = chiasm.tune(OneColumn(), COLUMNS, cohort, budget=1)
    assert "is the only setting of 'one-column:column=[0;1;2;3;4;5],budget=1' that was tried" in found.sentence
    assert found.possible == 6 and not FITS


def test_settings_that_all_score_alike_are_said_to(cohort: Cohort) -> None:
    alike = [Tried({"a": k}, (0.5, 0.7), FINISHED) for k in range(3)]
    said = Tuning("x:a=[0;1;2]", "r2", 2, tuple(alike), 0, 3).sentence
    assert "all that finished scored alike, and the first was taken" in said
    different = Tuning("x:a=[0;1;2]", "r2", 2, (*alike[:2], Tried({"a": 2}, (0.5, 0.6), FINISHED)), 0, 3)
    assert "alike" not in different.sentence


def test_options_that_are_objects_are_told_apart_by_what_they_hold() -> None:
    told = [told_of(own) for own in (OneColumn(1), OneColumn(2), np.arange(3.0), np.arange(3.0) + 1, {"a"}, {"b"})]
    assert len({str(own) for own in told}) == 6 and told_of(object()) == told_of(object())


def test_the_score_of_an_inner_fold_knows_the_outcomes_of_its_training_patients(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def scored(
        kind: str, frame: Any, outcome: Any, classes: Any, weights: Any, train: Any, *rest: Any, **own: Any
    ) -> Any:
        seen.append(train)
        return score(kind, frame, outcome, classes, weights, train, *rest, **own)

    monkeypatch.setattr(search, "score", scored)
    found = chiasm.tune(OneColumn(), {"column": [0, RIGHT]}, cohort)
    rungs = search.rungs_of(cohort, 0, found.folds)
    for rung, train in zip(rungs, seen, strict=False):
        np.testing.assert_array_equal(train.value, rung.train.outcome.value)
    assert len(seen) == 6


def test_what_is_merged_was_not_searched_as_one(cohort: Cohort) -> None:
    single = chiasm.fit(cohort, "single:a,models=[linear]")
    other = chiasm.fit(cohort, "single:b,models=[linear]")
    assert single.tuning is not None and chiasm.merge([single, other]).model.tuning is None
