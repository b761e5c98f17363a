"""`--source` and the manifest's `sources`: who is learned from and never scored, on the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api import several
from command_line import Run

MANIFEST = """\
name = "{name}"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "regression"
column = "y"
[modalities.a]
kind = "table"
columns = ["a1", "a2"]
[modalities.b]
kind = "omics"
table = "b.csv"
"""


def written(folder: Path, name: str, n: int, columns: int = 4) -> Path:
    """A cohort on disk: two columns of a table and some genes, of which the first ones tell of the outcome."""
    place = folder / name
    place.mkdir()
    rng = np.random.default_rng(n)
    ids = [f"{name}{k}" for k in range(n)]
    a, b = rng.normal(size=(n, 2)), rng.normal(size=(n, columns))
    patients = pd.DataFrame({"id": ids, "y": a[:, 0] + b[:, 0] + rng.normal(size=n), "a1": a[:, 0], "a2": a[:, 1]})
    patients.to_csv(place / "patients.csv", index=False)
    genes = pd.DataFrame(b, columns=[f"g{k}" for k in range(columns)])
    genes.insert(0, "id", ids)
    genes.to_csv(place / "b.csv", index=False)
    (place / "cohort.toml").write_text(MANIFEST.format(name=name))
    return place / "cohort.toml"


@pytest.fixture
def cohorts(tmp_path: Path) -> tuple[Path, Path]:
    """A small cohort, and a larger one that lacks a gene of it."""
    return written(tmp_path, "own", 40), written(tmp_path, "lent", 150, columns=3)


def test_a_manifest_names_its_sources_and_the_model_needs_none(
    run: Run, cohorts: tuple[Path, Path], tmp_path: Path
) -> None:
    own, lent = cohorts
    assert run("fit", own, "--recipe", "transfer", "--source", lent, "--out", tmp_path / "one").code == 0
    own.write_text('sources = ["../lent/cohort.toml"]\n' + own.read_text())
    said = run("fit", own, "--recipe", "transfer", "--out", tmp_path / "two")
    assert said.code == 0, said.err
    shutil.rmtree(lent.parent)
    for name in ("one", "two"):
        out = tmp_path / f"{name}.csv"
        assert run("predict", tmp_path / name, own, "--out", out).code == 0
    assert (tmp_path / "one.csv").read_text() == (tmp_path / "two.csv").read_text()
    other = written(tmp_path, "other", 50)
    other.write_text('sources = ["../lent/cohort.toml"]\n' + other.read_text())
    assert run("validate", tmp_path / "one", other, "--out", tmp_path / "validated", "--draws", 100).code == 0
    refused = run("evaluate", own, "--recipes", "transfer", "--out", tmp_path / "run")
    assert refused.code == 2 and "there is no such file" in refused.err and not (tmp_path / "run").exists()


def test_a_trial_tells_of_its_sources_on_screen_and_page(run: Run, cohorts: tuple[Path, Path], tmp_path: Path) -> None:
    own, lent = cohorts
    quick = ("--folds", "2", "--repeats", "1", "--jobs", "1")
    said = run("evaluate", own, "--recipes", "transfer", "--source", lent, "--out", tmp_path / "run", *quick)
    assert said.code == 0, said.err
    assert "the source cohort 'lent' shares 3 of 4 columns" in said.err
    assert "'transfer' against 'multi-ridge'" in " ".join(said.out.split())
    trial = chiasm.load_trial(tmp_path / "run")
    assert {"transfer", "multi-ridge"} <= set(trial.table()["recipe"])
    assert [(own["recipe"], own["against"]) for own in trial.document["contrasts"]] == [("transfer", "multi-ridge")]
    tested = set(trial.predictions["patient"])
    assert tested == set(trial.outcomes.index) == {f"own{k}" for k in range(40)}
    assert {own["finding"] for own in trial.document["findings"]} == {"partly-shared"}
    assert trial.document["cohort"]["sources"] == [
        {"name": "lent", "patients": 150, "events": None, "columns": {"a": 2, "b": 3}, "path": str(lent)}
    ]
    page = (tmp_path / "run" / "report.html").read_text()
    assert "lent, 150 patients, never scored; shares a (2 columns), b (3 columns)" in page
    assert f"sources=[&#39;{lent}&#39;]" in page and "shares 3 of 4 columns" in page  # draws have no option


def test_wrong_sources_of_a_manifest_are_named(run: Run, cohorts: tuple[Path, Path]) -> None:
    own, _ = cohorts
    own.write_text("sources = 7\n" + own.read_text())
    said = run("check", own)
    assert said.code == 1 and "key 'sources' has a value of the wrong type; write a list" in said.out + said.err


def test_several_cohorts_have_the_same_sources(
    cohorts: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    monkeypatch.setattr(several, "evaluate", lambda cohort, *rest, **options: given.append((cohort, options)))
    monkeypatch.setattr(several, "Trials", lambda made: made)
    third = written(tmp_path, "third", 50)
    with pytest.warns(chiasm.FindingWarning, match="1 finding"):
        chiasm.evaluate_cohorts([cohorts[0], third], ["transfer"], sources=[cohorts[1]])
    assert [[own.name for own in cohort.cohort.lenders] for cohort, _ in given] == [["lent"], ["lent"]]
    assert all("sources" not in options for _, options in given)
