"""What is told of a model folder: all of it from the folder, nothing of a single patient, and without torch."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from archived import ARCHIVE
from chiasm.artifact import ArtifactError
from chiasm.models.inspection_text import text_of
from lighter_trials import only_ridges
from young_process import run_young

MODELS = ARCHIVE / "0.1.0" / "models"
SCORED = {"mean": 0.7, "low": 0.6, "high": 0.8}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    """Sixty patients; one is far from all others, three of them smoke, all are of one ward."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"age": rng.normal(60, 9, 60), "grade": rng.integers(0, 3, 60).astype(float)})
    table["smokes"], table["ward"], table["sex"] = 0.0, 4.0, np.where(np.arange(60) % 2, "f", "m")
    table.loc[:2, "smokes"] = 1.0
    table.loc[7, "age"] = 104.123
    return table.set_axis([f"case-{number}" for number in range(60)])


@pytest.fixture(scope="module")
def folder(frame: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two modalities, which nobody has alone but for the first."""
    rng = np.random.default_rng(1)
    rna = pd.DataFrame(rng.normal(size=(60, 3)), index=frame.index, columns=["G0", "G1", "G2"]).iloc[:45]
    outcome = pd.DataFrame(
        {"y": (frame["age"] + rng.normal(0, 9, 60) > 60).map({True: "old", False: "young"})}, index=frame.index
    )
    cohort = chiasm.cohort_from_frames(
        outcome, {"clinical": frame, "rna": rna}, target=chiasm.Classification("y"), kinds={"rna": "omics"}
    )
    place = tmp_path_factory.mktemp("run") / "model"
    with only_ridges(), warnings.catch_warnings():
        warnings.simplefilter("ignore", chiasm.FindingWarning)  # of the column that all have alike
        chiasm.fit(cohort, "late-fusion", seed=0).save(place)  # type: ignore[attr-defined]
    return place


def columns_of(told: Any, modality: str) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in told["modalities"][modality]["columns"]}


def test_what_the_model_is_and_reads_is_told(folder: Path) -> None:
    found = chiasm.inspect_model(folder)
    told = found.document
    model: Any = chiasm.load_model(folder)
    assert (told["recipe"], told["target"]["kind"]) == ("late-fusion", "classification")
    assert told["trained_parameters"] == model.trained_parameters
    assert told["learned_from"] == {"patients": 60} and told["outcome"]["classes"] == ["old", "young"]
    assert sorted(told["patterns"]) == ["clinical", "clinical+rna"]
    assert told["patterns_never_seen"] == {"number": 1, "some": ["rna"]}
    assert [*columns_of(told, "rna")] == ["G0", "G1", "G2"] and columns_of(told, "clinical")["sex"]["levels"] == [
        "f",
        "m",
    ]
    assert told["versions"]["packages"]["numpy"] == np.__version__
    assert told["signature"] == {"state": "none"}
    assert json.loads(found.as_json()) == told
    text = str(found)
    assert "1 pattern of modalities that no training patient had, among them rna" in text and "\x1b" not in text


def test_names_with_a_comma_or_a_blank_are_quoted(folder: Path) -> None:
    told: Any = json.loads(chiasm.inspect_model(folder).as_json())
    told["outcome"]["classes"] = ["old, ill", "young"]
    columns_of(told, "clinical")["sex"]["levels"] = ["f ", 'a"b', "m"]
    text = text_of(told)
    assert 'classes "old, ill", young' in text and 'sex: one of "f ", "a""b", m' in text


def test_no_value_of_a_patient_is_told(folder: Path, frame: pd.DataFrame) -> None:
    """Ranges end where five patients or more lie beyond, few who differ are not told, nor the value that all have."""
    told = chiasm.inspect_model(folder).document
    own = columns_of(told, "clinical")
    assert (frame["age"] > own["age"]["high"]).sum() >= 5 and (frame["age"] < own["age"]["low"]).sum() >= 5
    assert own["age"]["low"] < own["age"]["middle"] < own["age"]["high"]
    assert own["smokes"] == {"name": "smokes", "said": "too few patients to say"}
    assert own["ward"] == {"name": "ward", "said": "one value in training"}
    assert own["grade"]["mean"] == pytest.approx(frame["grade"].mean(), abs=0.01)
    values = {f"{value:.3g}" for value in (104.123, frame["age"].min())}
    assert not {f"{own['age'][key]:.3g}" for key in ("low", "high")} & values
    assert "case-" not in json.dumps(told) and "104" not in str(chiasm.inspect_model(folder))


def document(told: Any, **changed: Any) -> dict[str, Any]:
    target = {"kind": "classification", "columns": ["y"]}
    modalities = {name: {"kind": own["kind"], "present": 9} for name, own in told["modalities"].items()}
    recipe = {"name": "late-fusion", "metric": "auroc", **SCORED, "metrics": {"auroc": SCORED}}
    cohort = {"name": "made-up", "patients": 60, "sites": None, "target": target, "modalities": modalities}
    protocol = {"test_folds": 3, "draws": 100, "seed": 0, "by": None}
    whole = {"schema": 2, "cohort": cohort, "protocol": protocol, "recipes": [recipe], "findings": []}
    return {**whole, "contrasts": [], "verdict": None, **changed}


def test_the_trial_that_stands_beside_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    told = chiasm.inspect_model(tmp_path / "model").document
    assert told["scores"] is None and "Any claim of how good it is" in told["must_not_be_used_for"][0]
    (tmp_path / "trial.json").write_text(json.dumps(document(told)))
    found = chiasm.inspect_model(tmp_path / "model")
    assert found.document["scores"]["metrics"] == {"auroc": SCORED}
    assert "auroc: 0.700 (0.600 to 0.800)" in str(found)
    assert "scored within that cohort alone (60 patients, 3 test folds), and no sealed" in str(found)
    for spoilt in (document(told, recipes=[]), {"schema": 2}, document(told, cohort=3), []):
        (tmp_path / "trial.json").write_text(json.dumps(spoilt))
        assert chiasm.inspect_model(tmp_path / "model").document["scores"] is None
        with pytest.raises(ArtifactError, match="name"):
            chiasm.inspect_model(tmp_path / "model", trial=tmp_path)


def test_every_model_of_before_is_looked_into(tmp_path: Path) -> None:
    """What a folder does not say is not recorded; nothing is made up."""
    for place in sorted(MODELS.iterdir())[::9]:
        told = chiasm.inspect_model(place).document
        assert told["trained_parameters"] is None and told["versions"] is None and told["must_not_be_used_for"]
    part = chiasm.inspect_model(ARCHIVE / "0.1.0" / "parts")
    assert part.document["holds"] == "a part of a model" and "a part of a model" in str(part)


def test_a_signature_is_told_and_a_key_that_is_not_trusted_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "model")
    ours, theirs = chiasm.new_keys(tmp_path / "ours"), chiasm.new_keys(tmp_path / "theirs")
    chiasm.sign_model(tmp_path / "model", ours.private)
    state = chiasm.inspect_model(tmp_path / "model").document["signature"]
    assert (state["state"], state["key"]) == ("valid", ours.fingerprint)
    assert chiasm.inspect_model(tmp_path / "model", [ours.public]).document["signature"]["state"] == "trusted"
    with pytest.raises(ArtifactError, match="not among the 1 trusted"):
        chiasm.inspect_model(tmp_path / "model", [theirs.public])
    file = tmp_path / "model" / "signature.json"
    spoilt = json.loads(file.read_text())
    spoilt["signed"]["at"] = "2001-01-01T00:00:00+00:00"
    file.write_text(json.dumps(spoilt))
    told = chiasm.inspect_model(tmp_path / "model").document
    assert told["signature"]["state"] == "not valid" and "Anything: its signature" in " ".join(
        told["must_not_be_used_for"]
    )


def test_neither_torch_nor_pandas_is_imported(folder: Path) -> None:
    code = (
        "import sys\n"
        "for name in [name for name in sys.modules if name.split('.')[0] in ('torch', 'pandas', 'sklearn', 'scipy')]:\n"
        "    sys.modules[name] = None\n"  # to import one of them is an error now
        "import chiasm\n"
        "print(len(str(chiasm.inspect_model(sys.argv[1]))))\n"
    )
    done = run_young(code, str(folder))
    assert done.returncode == 0 and int(done.stdout) > 500, done.stderr
