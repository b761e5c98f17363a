"""`evaluate` of several manifests: a run folder each, one table and one verdict a line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from chiasm.cli import main

MANIFEST = """name = "{name}"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "regression"
column = "y"
[modalities.clinical]
kind = "table"
columns = ["age", "grade"]
"""


def manifest(folder: Path, name: str, seed: int) -> str:
    rng = np.random.default_rng(seed)
    (folder / name).mkdir()
    table = pd.DataFrame({"id": [f"secret{k}" for k in range(40)], "y": rng.normal(size=40)})
    table.assign(age=rng.normal(size=40), grade=rng.normal(size=40)).to_csv(folder / name / "patients.csv", index=False)
    (folder / name / "cohort.toml").write_text(MANIFEST.format(name=name))
    return str(folder / name / "cohort.toml")


def run(*words: str) -> int:
    """The exit code."""
    try:
        main(words)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def test_two_manifests_give_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    both = [manifest(tmp_path, name, seed) for seed, name in enumerate(("bladder", "lung"))]
    asked = ["--recipes", "presence", "--folds", "2", "--repeats", "1", "--jobs", "1", "--out", str(tmp_path / "runs")]
    assert run("evaluate", *both, *asked) == 0
    said = capsys.readouterr().out
    assert "bladder" in said and "lung" in said and "single:clinical" in said and "secret" not in said
    stored = json.loads((tmp_path / "runs" / "cohorts.json").read_text())
    assert {row["recipe"] for row in stored["recipes"]} == {"single:clinical", "presence", "best-available", "null"}
    assert (tmp_path / "runs" / "lung" / "report.html").is_file()
    assert run("evaluate", *both, *asked, "--contrast", "presence:null") == 2
    assert "evaluate it alone" in capsys.readouterr().err


def test_an_error_in_the_second_manifest_stops_the_first_before_it_begins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound, broken = manifest(tmp_path, "sound", 0), manifest(tmp_path, "broken", 1)
    Path(broken).write_text(Path(broken).read_text().replace('"grade"', '"grad"'))
    assert run("evaluate", sound, broken, "--recipes", "presence", "--jobs", "1", "--out", str(tmp_path / "runs")) == 2
    assert "'grad'" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
