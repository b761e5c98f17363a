"""A trial with a tuned recipe: picks on inner folds alone, the same settings on both sides, all of it on record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import chiasm
from chiasm.cohort import Cohort
from chiasm.report.guidelines import tripod_items
from toy_recipes import FITS, RIGHT, STOP_AT, OneColumn, columns_cohort

PROTOCOL = chiasm.Protocol(inner_folds=2, draws=100)
SPACE = {"column": [0, 1, RIGHT, 4, 5]}
FIRST = slice(0, 20)
"""The patients of the test fold of `columns_cohort`."""


def evaluated(cohort: Cohort, jobs: int = 1, **how: Any) -> chiasm.Trial:
    STOP_AT.clear()
    FITS.clear()
    return chiasm.evaluate(cohort, [chiasm.tuned(OneColumn(), SPACE)], PROTOCOL, jobs=jobs, **how)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trials") / "run"


@pytest.fixture(scope="module")
def whole(folder: Path) -> tuple[chiasm.Trial, int]:
    return evaluated(columns_cohort(), out=folder), len(FITS)


@pytest.fixture(scope="module")
def trial(whole: tuple[chiasm.Trial, int]) -> chiasm.Trial:
    return whole[0]


def test_every_setting_stands_in_the_run_with_its_scores(trial: chiasm.Trial, folder: Path) -> None:
    table = trial.tuning()
    assert table["options"].tolist() == [f"column={column}" for column in SPACE["column"]]
    assert table.loc[table["picked"], "options"].tolist() == [f"column={RIGHT}"]
    assert {"recipe", "repeat", "fold", "mean", "inner_1", "inner_3", "status"} <= set(table)
    assert (table["mean"] - table[["inner_1", "inner_2", "inner_3"]].mean(axis=1)).dropna().abs().max() < 1e-12
    pd.testing.assert_frame_equal(chiasm.load_trial(folder).tuning(), table)
    row = next(row for row in trial.document["recipes"] if row["name"].startswith("one-column"))
    assert row["settings"] == 5 and row["options"]["column"] == "[0;1;3;4;5]" and row["options"]["budget"] == 20


def test_the_page_shows_what_was_tried_and_what_was_picked(folder: Path) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "tried 5 settings in its one training set, on 3 inner folds" in page
    assert 'id="tuning-table"' in page and f"column=<wbr>{RIGHT}" in page


def test_the_methods_tell_of_the_search_and_its_picture_is_written(trial: chiasm.Trial, tmp_path: Path) -> None:
    text = chiasm.write_methods(trial, tmp_path / "methods.md")[0].read_text(encoding="utf-8")
    assert r"column=\[0;1;3;4;5\]" in text and "tried 5 settings in its one training set" in text
    assert any("§tuning" in item.said for item in tripod_items(trial))
    assert "tuning" in trial.plot.drawable and trial.plot.tuning().get_xlabel().endswith("one for each training set")


@pytest.mark.nightly
def test_a_trial_without_a_tuned_recipe_says_nothing_of_tuning(tmp_path: Path) -> None:
    plain = chiasm.evaluate(columns_cohort(), [OneColumn(RIGHT)], PROTOCOL, jobs=1, out=tmp_path / "run")
    assert plain.tuning().empty and "tuning-table" not in (tmp_path / "run" / "report.html").read_text("utf-8")


@pytest.mark.filterwarnings("ignore::chiasm.FindingWarning")
def test_whatever_the_test_rows_hold_the_search_is_the_same_to_the_last_bit(trial: chiasm.Trial) -> None:
    changed = evaluated(columns_cohort(shift=1e9, rows=FIRST))
    pd.testing.assert_frame_equal(changed.tuning(), trial.tuning(), check_exact=True)
    moved = evaluated(columns_cohort(shift=10.0, rows=slice(20, 30)))  # training rows do have a say
    assert not moved.tuning().equals(trial.tuning())


def test_a_trial_that_is_killed_within_a_search_goes_on_as_if_it_had_not_been(
    whole: tuple[chiasm.Trial, int], tmp_path: Path
) -> None:
    trial, fits = whole
    for at in (7, 9):
        FITS.clear()
        STOP_AT[:] = [at]
        with pytest.raises(KeyboardInterrupt):
            chiasm.evaluate(
                columns_cohort(),
                [chiasm.tuned(OneColumn(), SPACE)],
                PROTOCOL,
                jobs=1,
                out=tmp_path / "run",
                resume=True,
            )
    resumed = evaluated(columns_cohort(), out=tmp_path / "run", resume=True)
    pd.testing.assert_frame_equal(resumed.tuning(), trial.tuning(), check_exact=True)
    pd.testing.assert_frame_equal(resumed.predictions, trial.predictions, check_exact=True)
    assert len(FITS) == fits - 6 - 8  # what was fitted before each end is not fitted again


@pytest.mark.nightly
def test_processes_side_by_side_pick_the_same(trial: chiasm.Trial) -> None:
    both = evaluated(columns_cohort(), jobs=2)
    pd.testing.assert_frame_equal(both.tuning(), trial.tuning(), check_exact=True)


def test_the_one_modality_form_has_the_same_space_and_budget() -> None:
    from chiasm.recipes.registry import for_trial, make_recipe

    cohort = columns_cohort()
    made = make_recipe("healnet:lr=[1e-4..1e-2 log],depth=[1;2],epochs=3,budget=5")
    names = made.alone(cohort)
    assert names == tuple(
        f"healnet:modality={name},depth=[1;2],epochs=3,learning_rate=[0.0001..0.01 log],budget=5" for name in "ab"
    )
    forms = [make_recipe(name) for name in names]
    assert {(own.space, own.budget, own.inner, own.tries) for own in (made, *forms)} == {(made.space, 5, 3, 5)}
    listed, _ = for_trial([made, *names], cohort)
    assert {own.name for own in listed} >= {made.name, *names}
    warm = make_recipe("healnet:warm=true,depth=[1;2]")
    assert warm.alone(cohort) == tuple(f"healnet:modality={name},depth=[1;2]" for name in "ab")
