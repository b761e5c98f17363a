"""`encode`, `fit`, `predict` and `evaluate` with a recipe that runs an encoder's network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from adapted_cohorts import WORDS
from command_line import Run
from tiny_models import tiny_models

MANIFEST = """\
name = "notes"
[patients]
table = "patients.csv"
id = "case"
[target]
kind = "classification"
column = "ill"
[modalities.note]
kind = "text"
column = "note"
encoder = "hf:{models}/bert"
[modalities.lab]
kind = "table"
columns = ["crp"]
"""
LORA = "lora:latent_width=4,epochs=1,rank=2"


@pytest.fixture
def manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CHIASM_STORE", str(tmp_path / "store"))
    rng = np.random.default_rng(0)
    notes = [" ".join(rng.choice(WORDS, 5)) for _ in range(40)]
    frame = pd.DataFrame({"case": [f"c{row}" for row in range(40)], "note": notes, "crp": rng.normal(size=40)})
    frame["ill"] = np.where(frame["note"].str.contains("fever"), "yes", "no")
    frame.to_csv(tmp_path / "patients.csv", index=False)
    (tmp_path / "cohort.toml").write_text(MANIFEST.format(models=tiny_models(tmp_path / "models")))
    return tmp_path / "cohort.toml"


def test_a_network_is_adapted_from_the_command_line(manifest: Path, tmp_path: Path, run: Run) -> None:
    assert run("encode", manifest, "--inputs").code == 0
    assert "Fitted lora" in run("fit", manifest, "--recipe", LORA, "--out", tmp_path / "model").out
    said = run("predict", tmp_path / "model", manifest, "--out", tmp_path / "predictions.csv")
    assert said.code == 0 and len(pd.read_csv(tmp_path / "predictions.csv")) == 40
    said = run(
        "evaluate",
        manifest,
        "--recipes",
        f"single:lab,{LORA}",
        "--folds",
        "2",
        "--repeats",
        "1",
        "--out",
        tmp_path / "run",
        "--json",
    )
    sides = {row["name"]: row["side"] for row in json.loads(said.out)["recipes"]}
    assert sides["single:lab"] == "single" and sides[LORA] == "aside"  # its one-modality forms are not listed
    assert json.loads(said.out)["verdict"] is None
    page = (tmp_path / "run" / "report.html").read_text()
    assert "lora" in page


def test_other_weights_are_refused_before_anything_is_predicted(manifest: Path, tmp_path: Path, run: Run) -> None:
    run("fit", manifest, "--recipe", LORA, "--out", tmp_path / "model")
    config = tmp_path / "models" / "bert" / "config.json"
    config.write_text(config.read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 1'))
    said = run("predict", tmp_path / "model", manifest, "--out", tmp_path / "predictions.csv")
    assert said.code == 2 and "weights differ now" in said.err
    assert not (tmp_path / "predictions.csv").exists()


def test_a_recipe_that_does_not_exist_is_said_before_anything_is_encoded(
    manifest: Path, tmp_path: Path, run: Run
) -> None:
    said = run("fit", manifest, "--recipe", "lorra", "--out", tmp_path / "model")
    assert said.code == 2 and "did you mean 'lora'" in said.err and not (tmp_path / "store").exists()
