"""`ask`: an answer with its places, or none and exit 1; what is wrong is one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import chiasm
from asked_runs import document
from command_line import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("asked") / "run"
    out.mkdir()
    protocol = {**document()["protocol"]}
    (out / "trial.json").write_text(json.dumps({**document(), "protocol": protocol}), encoding="utf-8")
    rows = {"recipe": ["null"], "repeat": [0], "fold": ["0"], "patient": ["a"], "pattern": ["genes"], "risk": [0.0]}
    pd.DataFrame(rows).to_parquet(out / "predictions.parquet")
    outcomes = {"patient": ["a"], "value": [3.0], "event": [1.0], "pattern": ["genes"], "modalities": [1]}
    pd.DataFrame(outcomes).to_parquet(out / "outcomes.parquet")
    return out


def test_an_answer_comes_with_its_places(run: Run, folder: Path) -> None:
    said = run("ask", folder, "How many patients have genes?")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines() == [
        "Of 198 patients 'genes' is there for 192.",
        "  trial.json: cohort.patients",
        "  trial.json: cohort.modalities.genes.present",
    ]
    told = json.loads(run("ask", folder, "How many patients have genes?", "--json").out)
    assert told["answered"] and told["places"][1] == {
        "file": "trial.json", "key": "cohort.modalities.genes.present", "value": 192,
    }  # fmt: skip
    assert chiasm.ask(folder, "How many patients have genes?").as_json() == told


def test_what_the_run_does_not_hold_ends_with_1_and_names_what_can_be_asked(run: Run, folder: Path) -> None:
    said = run("ask", folder, "How did patient 17 fare?")
    assert said.code == 1 and said.out.startswith("The run holds no answer to this question.\nIt can be asked")
    assert "17" not in said.out + said.err


@pytest.mark.parametrize("question", ["", "  ", "a" * 2001])
def test_no_question_is_refused(run: Run, folder: Path, question: str) -> None:
    said = run("ask", folder, question)
    assert said.code == 2 and "the question" in said.err


def test_no_run_is_refused(run: Run, tmp_path: Path) -> None:
    said = run("ask", tmp_path, "What is the verdict?")
    assert said.code == 2 and "no finished trial" in said.err
