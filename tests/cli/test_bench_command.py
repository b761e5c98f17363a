"""`chiasm bench` on the command line: a run, its scores again, a comparison, and what is said where something lacks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import Run
from made_suites import confusing_folder, medqa_folder

SAYS_A = "python:made_suites:first_letter"


def test_a_suite_is_run_scored_again_and_compared(run: Run, tmp_path: Path) -> None:
    data = medqa_folder(tmp_path / "medqa", 40)
    first = run("bench", "medqa", "--data", data, "--model", SAYS_A, "--out", tmp_path / "a", "--draws", 100)
    assert first.code == 0 and "knows nothing" in first.out and "no-question" in first.out and "40 items" in first.out
    assert (tmp_path / "a" / "report.html").is_file()
    again = run("bench", "score", tmp_path / "a", "--json")
    document = json.loads(again.out)
    assert document["verdict"]["outcome"] == "knows nothing" and document["files"]
    assert document == json.loads((tmp_path / "a" / "bench.json").read_text())
    table = tmp_path / "table.tex"
    both = run("bench", "compare", tmp_path / "a", tmp_path / "a", "--out", table, "--draws", 100)
    assert both.code == 0 and "accuracy" in both.out and table.read_text().count(r"\\") == 2
    told = json.loads(run("bench", "compare", tmp_path / "a", tmp_path / "a", "--draws", 100, "--json").out)
    assert told["pairs"][0]["p"] == 1.0


def test_run_is_the_long_form_and_a_limit_is_said(run: Run, tmp_path: Path) -> None:
    data = confusing_folder(tmp_path / "pairs", 40)
    words = ("mediconfusion", "--data", data, "--model", SAYS_A, "--limit", 70, "--draws", 100, "--controls", "none")
    said = run("bench", "run", *words, "--out", tmp_path / "run")
    assert said.code == 0 and "70 items, drawn in whole groups from 80" in said.out and "lack" not in said.out
    page = (tmp_path / "run" / "report.html").read_text()
    assert "a stenosis of grade" not in page, "no option and no question of an item is on the page"


def test_suites_are_listed(run: Run) -> None:
    assert {"medqa", "slake"} <= {row["name"] for row in json.loads(run("bench", "list", "--json").out)}
    assert "mediconfusion" in run("bench", "list").out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("medqua", "--data", ".", "--model", SAYS_A, "--out", "x"), "did you mean 'medqa'"),
        (("medqa", "--data", "nowhere", "--model", SAYS_A, "--out", "x"), "there is no folder 'nowhere'"),
        (("medqa", "--data", "DATA", "--model", "nobody", "--out", "x"), "'nobody' is no candidate"),
        (
            ("medqa", "--data", "DATA", "--model", SAYS_A, "--out", "x", "--controls", "blnd"),
            "there is no control 'blnd'",
        ),
        (("medqa", "--data", "DATA", "--model", SAYS_A, "--out", "x", "--shots", "none.jsonl"), "there is no file"),
        (("score", "nowhere"), "holds no bench.json"),
        (("compare", "nowhere", "nowhere", "--out", "table.doc"), "must end in .md, .tex, .csv"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    data = medqa_folder(tmp_path / "medqa", 4)
    found = run("bench", *[data if word == "DATA" else word for word in words])
    assert found.code == 2 and said in found.err and len(found.err.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()
