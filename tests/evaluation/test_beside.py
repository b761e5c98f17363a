"""Results beside a trial: the page says what is computed again from its predictions, and nothing once they changed."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import chiasm
from chiasm.api.interacting import Interaction
from chiasm.cohort import synthetic_cohort
from chiasm.evaluation import Protocol
from chiasm.evaluation.beside import table_of
from chiasm.evaluation.interaction.interaction import BOUNDS
from chiasm.report.interaction import interaction_part
from chiasm.report.not_at_random import not_at_random_part
from chiasm.shown import interval, number
from fake_trials import FUSED, SINGLES, run
from html_page import Page

RULES = Protocol(2, 1, draws=100)
DELTAS = [1.0]
COHORT = synthetic_cohort("complementary", 160, target="survival", missing=0.1)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Interaction]:
    path = tmp_path_factory.mktemp("kept") / "run"
    run(COHORT, (*SINGLES, FUSED[0]), RULES, out=path)
    trial = chiasm.load_trial(path)
    chiasm.not_at_random(trial, deltas=DELTAS, imputations=2, seed=3).keep(path)
    found = chiasm.interaction(COHORT, states="predictions", trial=trial, protocol=RULES, seed=3, jobs=1)
    assert found.keep(path) == path / "interaction.json"
    chiasm.load_trial(path).report(path / "report.html")
    return path, found


@pytest.fixture
def folder(kept: tuple[Path, Interaction]) -> Path:
    return kept[0]


def test_every_delta_on_the_page_is_computed_again_from_the_predictions(folder: Path) -> None:
    again = chiasm.not_at_random(folder, deltas=DELTAS, imputations=2, seed=3)
    page = Page(folder / "report.html")
    shown = page.tables["delta-table"][1:]
    assert len(shown) == len(again.table) == 2 and not page.faults
    for cells, row in zip(shown, again.table.to_dict("records"), strict=True):
        own = [
            interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in ("difference", "combining")
        ]
        assert cells[3:] == [number(row["combined"]), number(row["single"]), *own, row["outcome"]]
    assert " ".join(again.sentence.split()) in page.text and "drawn 2 times" in page.text
    assert "If outcomes that were not seen differ" in page.text


def test_the_parts_on_the_page_are_those_of_the_same_patients(folder: Path) -> None:
    again = chiasm.interaction(COHORT, states="predictions", protocol=RULES, seed=3, jobs=1)
    (row,) = again.table.to_dict("records")
    page = Page(folder / "report.html")
    (cells,) = page.tables["interaction-table"][1:]
    names = ("together", "redundant", "first_alone", "second_alone", "synergy")
    assert cells[3:-1] == [interval(*(row[f"{name}{end}"] for end in ("", "_low", "_high"))) for name in names]
    assert cells[-1] == f"{number(row['chance'])}, {number(row['chance_high'])}"
    assert row["says"] in page.text and "states of a modality" in page.text
    kept = table_of(json.loads((folder / "interaction.json").read_text())["rows"])
    pd.testing.assert_frame_equal(kept, again.table, check_dtype=False, check_exact=True)


def test_bounds_are_told_as_bounds_and_few_patients_without_their_number(folder: Path) -> None:
    trial = chiasm.load_trial(folder)
    kept = trial.document["interaction"]
    (row,) = kept["rows"]
    bound = {**row, "basis": BOUNDS, "synergy_low": 0.01, "synergy_high": 0.2, "synergy": None, "together": None}
    few = {**dict.fromkeys(row), "first": "m1", "second": "m3", "outcome": row["outcome"], "basis": "too few to say"}
    part = interaction_part(replace(trial, document={**trial.document, "interaction": {**kept, "rows": [bound, few]}}))
    assert part is not None and part.picture is not None
    assert [line[-2:] for line in part.table.rows] == [["between 0.010 and 0.200", "not known"]]
    assert part.few.startswith("Too few to say: 'm1' and 'm3'.")


def test_what_was_asked_of_other_predictions_is_not_shown(kept: tuple[Path, Interaction], tmp_path: Path) -> None:
    (folder, found), own = kept, tmp_path / "run"
    shutil.copytree(folder, own)
    predictions = pd.read_parquet(own / "predictions.parquet")
    predictions.assign(risk=-predictions["risk"]).to_parquet(own / "predictions.parquet")
    trial = chiasm.load_trial(own)
    for part in (interaction_part(trial), not_at_random_part(trial)):
        assert part is not None and part.picture is None and part.table.rows == []
        (told,) = part.said
        assert told.startswith("It was asked of other predictions than this trial has now")
    for name in ("interaction", "not_at_random"):
        with pytest.raises(chiasm.TrialError, match="nothing to draw"):
            getattr(trial.plot, name)()
    with pytest.raises(chiasm.TrialError, match="another trial"):
        found.keep(own)
    asked = chiasm.not_at_random(folder, deltas=[], imputations=2)
    with pytest.raises(chiasm.TrialError, match="another trial"):  # of the same verdict, and as many patients
        asked.keep(own)


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:50], lambda text: "[]", lambda text: text.replace('"rows"', '"r"')]
)
def test_a_damaged_file_is_named(folder: Path, tmp_path: Path, spoil: Callable[[str], str]) -> None:
    shutil.copytree(folder, tmp_path / "run")
    file = tmp_path / "run" / "not_at_random.json"
    file.write_text(spoil(file.read_text()))
    with pytest.raises(chiasm.TrialError, match=r"not_at_random\.json' is damaged: delete it"):
        chiasm.load_trial(tmp_path / "run")


def test_what_belongs_to_no_trial_or_another_is_refused(folder: Path, tmp_path: Path) -> None:
    trial = chiasm.load_trial(folder)
    found = chiasm.not_at_random(trial, deltas=[], imputations=2)
    with pytest.raises(chiasm.TrialError, match="no finished trial"):
        found.keep(tmp_path)
    with pytest.raises(chiasm.TrialError, match="another trial"):
        replace(found, reported="pays much").keep(folder)
    with pytest.raises(ValueError, match="of other patients than the cohort"):
        chiasm.interaction(COHORT.subset(range(120)), trial=trial, protocol=RULES, jobs=1)
    assert math.isnan(table_of([{"a": None, "b": 1.0}])["a"][0])


def test_pictures_of_both_are_written_beside_the_others(folder: Path, tmp_path: Path) -> None:
    plots = chiasm.load_trial(folder).plot
    assert {"interaction", "not_at_random"} <= {*plots.drawable}
    assert len(plots.not_at_random()) == 2 and "bits" in plots.interaction().get_xlabel()
