"""`chiasm bench skills`, `forgetting`, `table` and `claims` on the command line, and what each refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chiasm.bench.candidates.callables import as_candidate
from chiasm.bench.running import ran, write_result
from chiasm.bench.suites import suite_named
from command_line import Run
from made_suites import confusing_folder, medqa_folder, medqa_rows

RIGHT = {row["question"]: row["answer_idx"] for row in medqa_rows(60)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of a candidate before and after it learned MedQA, and forgot what it knew of pairs of images."""
    root = tmp_path_factory.mktemp("runs")
    medqa, pairs = medqa_folder(root / "medqa", 60), confusing_folder(root / "pairs", 40)

    def before(item: dict[str, object]) -> str:
        return "A"

    def after(item: dict[str, object]) -> str:
        return RIGHT.get(str(item["question"]), "B")

    for name, model in (("before", before), ("after", after)):
        for suite, data in (("medqa", medqa), ("mediconfusion", pairs)):
            known, folder = suite_named(suite), root / name / suite
            run = ran(known, known.read(data), as_candidate(model), folder, controls=(), draws=100)
            write_result(run, folder)
    return root


def test_forgetting_tells_what_was_learned(run: Run, runs: Path) -> None:
    words = ("bench", "forgetting", runs / "before", runs / "after", "--learned", "medqa", "--draws", 100)
    said = run(*words)
    assert said.code == 0 and "better than before" in said.out and "mediconfusion" in said.out
    told = json.loads(run(*words, "--json").out)
    assert told["gain"]["low"] > 0.5 and told["suites"][1]["after"] == 1 and told["loss"]["mean"] == 0
    wrong = run("bench", "forgetting", runs / "before", runs / "after", "--learned", "pubmedqa")
    assert wrong.code == 2 and "no run of 'pubmedqa'" in wrong.err


@pytest.mark.nightly
def test_skills_of_one_and_of_two(run: Run, runs: Path) -> None:
    one = run("bench", "skills", runs / "before" / "medqa", "--draws", 100)
    assert one.code == 0 and "step1" in one.out and "above chance" in one.out
    both = run("bench", "skills", runs / "after" / "medqa", runs / "before" / "medqa", "--draws", 100, "--json")
    told = json.loads(both.out)
    assert told["paired"] and {row["level"] for row in told["skills"]} == {"step1", "step2"}
    assert all(row["high"] < 0 and row["holm"] < 0.01 for row in told["skills"])
    other = run("bench", "skills", runs / "after" / "medqa", runs / "after" / "mediconfusion")
    assert other.code == 2 and "other items" in other.err


@pytest.mark.nightly
def test_a_table_is_of_one_candidate_alone(run: Run, runs: Path, tmp_path: Path) -> None:
    rows = json.loads(run("bench", "table", runs / "before", "--json").out)
    assert [row["suite"] for row in rows] == ["mediconfusion", "medqa"] and rows[0]["value"] == 0
    assert "set accuracy" in run("bench", "table", runs / "before").out
    for name, suite in (("before", "medqa"), ("after", "mediconfusion")):
        (tmp_path / suite).symlink_to(runs / name / suite)
    mixed = run("bench", "table", tmp_path)
    assert mixed.code == 2 and "other weights or options than what answered 'mediconfusion'" in mixed.err


@pytest.mark.nightly
def test_claims_are_refused_without_the_release(run: Run, tmp_path: Path) -> None:
    said = run("bench", "claims", "--data", tmp_path)
    assert said.code == 2 and "lacks segbook_results.json" in said.err
