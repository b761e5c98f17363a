"""The folder of a trial: other settings are not taken for the same, and a damaged one is said to be damaged."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import chiasm
from chiasm.cohort import synthetic_cohort
from chiasm.evaluation.trial import TrialError
from chiasm.recipes.baselines.late import LateFusion

COHORT = synthetic_cohort("complementary", 40)
PROTOCOL = chiasm.Protocol(folds=2, repeats=1, inner_folds=2, draws=100)


@dataclass(frozen=True)
class Theirs(LateFusion):
    """A recipe of another package, whose name says nothing of its options."""

    trees: int = 1
    weights: Path | None = None
    made_by: Any = None

    @property
    def name(self) -> str:
        return "theirs"


def evaluate(recipe: Any, out: Path, resume: bool = False) -> chiasm.Trial:
    return chiasm.evaluate(COHORT, ["single:m1", recipe], PROTOCOL, out=out, resume=resume, jobs=1)


def test_a_trial_of_other_options_is_not_gone_on_with(tmp_path: Path) -> None:
    evaluate(Theirs(trees=1), tmp_path / "run")
    with pytest.raises(TrialError, match="other data, recipes, protocol or seed"):
        evaluate(Theirs(trees=2), tmp_path / "run", resume=True)
    evaluate(Theirs(trees=1), tmp_path / "run", resume=True)


def test_an_option_that_json_has_no_word_for_stops_no_trial(tmp_path: Path) -> None:
    evaluate(Theirs(weights=Path("of/theirs"), made_by=COHORT), tmp_path / "run")
    rows = json.loads((tmp_path / "run" / "trial.json").read_text())["recipes"]
    options = next(row["options"] for row in rows if row["name"] == "theirs")
    assert options == {"trees": 1, "weights": "of/theirs", "made_by": "Cohort"}


DAMAGE = {
    "a cut document": ("trial.json", lambda content: content[:50]),
    "a document of no object": ("trial.json", lambda content: b"[]"),
    "a document of no text": ("trial.json", lambda content: b"\xff\xfe"),
    "a document without its parts": ("trial.json", lambda content: b'{"schema": 2}'),
    "cut predictions": ("predictions.parquet", lambda content: content[:100]),
    "outcomes that are none": ("outcomes.parquet", lambda content: b"PAR1"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("finished") / "run"
    evaluate("late-fusion", run)
    return run


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_folder_is_said_to_be_damaged(damage: str, finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    name, spoil = DAMAGE[damage]
    (run / name).write_bytes(spoil((run / name).read_bytes()))
    with pytest.raises(TrialError, match="'run' holds a damaged trial: evaluate again into another folder"):
        chiasm.load_trial(run)
    with pytest.raises(TrialError, match=r"damaged|other data"):
        evaluate("late-fusion", run, resume=True)


def test_tables_of_another_trial_are_damage(finished: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished, tmp_path / "run")
    shutil.copy(run / "outcomes.parquet", run / "predictions.parquet")
    with pytest.raises(TrialError, match="damaged"):
        chiasm.load_trial(run)
