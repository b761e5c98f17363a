"""`seal` and `open-seal` on the command line: what is printed, exit codes, one sentence for each problem."""

from __future__ import annotations

import json
from pathlib import Path

from chiasm.cohort.seal import add_opening, read_seal
from command_line import Run
from sealed_cohorts import write_cohort


def test_seal_says_how_many_and_check_says_it_again(run: Run, tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path / "cohort", more="")
    said = run("seal", manifest.parent, "--test", "0.25")
    assert said.code == 0 and said.err == ""
    assert said.out.startswith("Sealed ") and "of 120 patients" in said.out and "cohort.seal.json" in said.out
    checked = run("check", manifest)
    assert checked.code == 0 and "more are sealed and were not looked at\n" in checked.out
    document = json.loads(run("check", manifest, "--json").out)["cohort"]
    assert document["patients"] + document["sealed"]["patients"] == 120 and document["sealed"]["openings"] == []
    again = run("seal", manifest)
    assert (
        again.code == 2 and again.err.count("\n") == 1 and "cohort.seal.json: the cohort is sealed already" in again.err
    )
    file = manifest.parent / "cohort.seal.json"
    for _ in range(2):
        add_opening(file, read_seal(file).identity, "0" * 64, ["presence"])
    assert "more are sealed and were opened twice\n" in run("check", manifest).out


def test_seal_as_json(run: Run, tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path / "cohort", more='[seal]\ntest = 0.3\nseed = 2\nby = "site"\n')
    document = json.loads(run("seal", manifest, "--json").out)
    assert (document["test"], document["seed"], document["by"]) == (0.3, 2, "site")
    assert document["patients"] + document["outside"] == 120 and Path(document["seal"]).is_file()


def test_what_is_refused_is_one_sentence_and_exit_two(run: Run, tmp_path: Path) -> None:
    manifest = write_cohort(tmp_path / "cohort", more="")
    (tmp_path / "run").mkdir()
    for words, part in (
        (("seal", manifest, "--test", "2"), "lies between 0 and 1"),
        (("seal", manifest, "--test", "0.01"), "5 are needed"),
        (("seal", tmp_path / "nowhere.toml"), "there is no such file"),
        (("open-seal", tmp_path / "run", manifest), "holds no finished trial"),
    ):
        said = run(*words)
        assert said.code == 2 and part in said.err and said.err.count("\n") == 1 and said.out == ""
    assert not list(tmp_path.rglob("*seal*"))
