"""Model folders and source cohorts end to end: check, trial, resumption, another cohort, a seal, encoded signals."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.fitting.source_model import SourceModel
from chiasm.recipes.baselines.transfer import Transfer
from chiasm.report.repeat import repeat_part
from command_line import Run

MANIFEST = """\
{sources}name = "{name}"
[patients]
table = "patients.csv"
id = "id"
[target]
kind = "{kind}"
column = "y"
[modalities.a]
kind = "table"
columns = {columns}
[modalities.wave]
kind = "signal"
path = "waves/{{id}}.csv"
"""
QUICK = ("--folds", "2", "--repeats", "1", "--jobs", "1")


def written(
    folder: Path, name: str, n: int, *, sources: str = "", kind: str = "regression", columns: str = '["a1", "a2"]'
) -> Path:
    """A cohort on disk: two columns of a table, and for two patients of three a signal whose rhythm tells of y."""
    place = folder / name
    (place / "waves").mkdir(parents=True)
    rng = np.random.default_rng(n)
    ids = [f"{name}{k}" for k in range(n)]
    a, fast = rng.normal(size=(n, 2)), rng.random(n)
    table = {"id": ids, "y": a[:, 0] + 2 * fast + rng.normal(size=n), "a1": a[:, 0], "a2": a[:, 1]}
    pd.DataFrame(table).to_csv(place / "patients.csv", index=False)
    time = np.arange(60) / 20
    for k in range(n):
        if k % 3:
            wave = np.sin(2 * np.pi * (1 + 4 * fast[k]) * time) + rng.normal(0, 0.1, 60)
            pd.DataFrame({"time": time, "II [mV]": wave}).to_csv(place / "waves" / f"{ids[k]}.csv", index=False)
    manifest = MANIFEST.format(sources=sources, name=name, kind=kind, columns=columns)
    (place / "cohort.toml").write_text(manifest)
    return place / "cohort.toml"


def fitted(run: Run, cohort: Path, recipe: str = "multi-ridge") -> Path:
    out = cohort.parent / "model"
    assert run("fit", cohort, "--recipe", recipe, "--out", out).code == 0
    return out


@pytest.mark.nightly
def test_a_model_folder_and_a_cohort_lend_tokens_through_a_trial_that_was_stopped(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent, other = written(tmp_path, "lent", 90), written(tmp_path, "other", 61)
    fitted(run, lent)
    shutil.rmtree(lent.parent / "waves")
    own = written(tmp_path, "own", 45, sources='sources = ["../lent/model"]\n')
    asked = ("evaluate", own, "--recipes", "transfer", "--source", other, "--out", tmp_path / "run", *QUICK)
    times, known = [0], Transfer.learn

    def stopped(self: Transfer, training: Any) -> Any:
        times[0] += 1
        if times[0] == 2:
            raise KeyboardInterrupt
        return known(self, training)

    with monkeypatch.context() as patch:
        patch.setattr(Transfer, "learn", stopped)
        assert run(*asked).code == 130
    assert run(*(part for part in asked if part not in ("--source", other)), "--resume").code == 2  # another trial
    said = run(*asked, "--resume")
    assert said.code == 0, said.err
    assert "'lent/model' learned from 90 patients, and does not tell who they were" in said.err
    trial = chiasm.load_trial(tmp_path / "run")
    assert [(row["recipe"], row["against"]) for row in trial.document["contrasts"]] == [("transfer", "multi-ridge")]
    assert set(trial.predictions["patient"]) == {f"own{k}" for k in range(45)}
    assert trial.document["cohort"]["sources"] == [
        {"name": "other", "patients": 61, "events": None, "columns": {"a": 2, "wave": 0}, "path": str(other)},
        {
            "name": "lent/model", "recipe": "multi-ridge", "patients": 90, "events": None,
            "columns": {"a": 2, "wave": 0}, "in_manifest": True,
        },
    ]  # fmt: skip
    page = (tmp_path / "run" / "report.html").read_text()
    assert "model lent/model (multi-ridge), learned from 90 patients; shares a (2 columns), wave" in page
    assert f"evaluate {own}" in page and f"--source {other}" in page, "the manifest names the model itself"
    assert "--source lent/model" not in page


@pytest.mark.nightly
def test_what_the_page_says_to_type_runs_from_where_the_trial_was_started(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(run, written(tmp_path, "the lent", 40))
    fitted(run, written(tmp_path, "named", 41))
    written(tmp_path, "other", 42)
    written(tmp_path, "own", 43, sources='sources = ["../named/model"]\n')
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    asked = ("--recipes", "presence", "--source", "../the lent/model", "--source", "../other")
    said = run("evaluate", "../own", *asked, "--out", "run", *QUICK)
    assert said.code == 0, said.err
    first = chiasm.load_trial("run")
    command = shlex.split(repeat_part(first).command)
    assert command[:3] == ["chiasm", "evaluate", "../own"] and command.count("--source") == 2
    shutil.move("run", "first")
    again = run(*command[1:], "--jobs", "1")
    assert again.code == 0, again.err
    pd.testing.assert_frame_equal(chiasm.load_trial("run").predictions, first.predictions)


@pytest.mark.nightly
def test_a_transfer_model_is_scored_on_other_patients(run: Run, tmp_path: Path) -> None:
    own, new = written(tmp_path, "own", 40), written(tmp_path, "new", 50)
    model = fitted(run, written(tmp_path, "lent", 80), "boosted-trees")
    made = tmp_path / "made"
    assert run("fit", own, "--recipe", "transfer", "--source", model, "--out", made).code == 0
    shutil.rmtree(model)
    assert run("validate", made, new, "--out", tmp_path / "validated", "--draws", 100).code == 0
    assert run("predict", made, new, "--out", tmp_path / "new.csv").code == 0
    assert len(pd.read_csv(tmp_path / "new.csv")) == 50


@pytest.mark.nightly
def test_an_external_cohort_that_a_source_model_learned_from_is_refused(run: Run, tmp_path: Path) -> None:
    own, lent, new = (written(tmp_path, name, n) for name, n in (("own", 40), ("lent", 80), ("new", 50)))
    model = fitted(run, lent)
    asked = ("evaluate", own, "--recipes", "transfer", "--source", model, *QUICK)
    refused = run(*asked, "--external", lent, "--out", tmp_path / "one")
    assert refused.code == 2 and "'lent/model' learned from patients of 'lent'" in refused.err
    said = run(*asked, "--external", new, "--out", tmp_path / "two")
    assert said.code == 0 and "On 'new', 50 patients" in said.out, said.err


@pytest.mark.nightly
def test_a_sealed_cohort_borrows_and_its_sealed_patients_are_not_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted(run, written(tmp_path, "lent", 80))
    own = written(tmp_path, "own", 60, sources='sources = ["../lent/model"]\n')
    assert run("seal", own, "--test", "0.25").code == 0
    asked: list[set[str]] = []
    known = SourceModel.shared

    def noted(self: SourceModel, cohort: chiasm.Cohort) -> Any:
        asked.append({*cohort.ids.tolist()})
        return known(self, cohort)

    monkeypatch.setattr(SourceModel, "shared", noted)
    said = run("evaluate", own, "--recipes", "transfer", "--out", tmp_path / "run", *QUICK)
    assert said.code == 0, said.err
    outside = {*chiasm.open_cohort(own).ids}
    assert len(outside) == 45 and asked and all(ids <= outside for ids in asked)
    opened = run("open-seal", tmp_path / "run", own)
    assert opened.code == 0, opened.err


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing": ({"sources": 'sources = ["../nowhere"]\n'}, "source cohort"),
    "target": ({"kind": "classification"}, "the target of the source model 'lent/model' is of kind 'regression'"),
    "column": ({"columns": '["a2"]'}, "reads 1 column that the cohort does not have"),
}


def test_check_says_of_sources_what_a_trial_would(run: Run, tmp_path: Path) -> None:
    lent = written(tmp_path, "lent", 60)
    fitted(run, lent)
    there = 'sources = ["../lent/model", "../lent/cohort.toml"]\n'
    own = written(tmp_path, "own", 40, sources=there)
    said = run("check", own)
    assert said.code == 0 and "does not tell who they were" in said.out, said.out
    for name, (changed, wanted) in WRONG.items():
        other = written(tmp_path, name, 40, **{"sources": there, **changed})
        said = run("check", other)
        assert wanted in said.out and said.code == (name != "column"), said.out
        if said.code:
            assert run("evaluate", other, "--recipes", "presence", "--out", tmp_path / "run").code == 2
    same = lent.read_text()
    lent.write_text(there.replace("../lent/", "") + same)
    said = run("check", lent)
    assert said.code == 1 and "learned from patients of 'lent'" in said.out and "is the cohort itself" in said.out
    lent.write_text(same)
    (lent.parent / "model" / "weights.safetensors").write_bytes(b"")
    said = run("check", own)
    assert said.code == 1 and "source model: 'model/weights.safetensors'" in said.out, said.out
