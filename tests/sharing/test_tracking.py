"""A trial and a model in MLflow: figures are there, patients, users and paths are not, and nothing runs code."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import socket
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import requests

import chiasm
from chiasm.api.following import FOLLOWERS
from chiasm.cli import main
from chiasm.cohort import Cohort
from chiasm.report import write_report
from chiasm.sharing.tracking_place import (
    TrackingError,
    TrackingPlace,
    told_plainly,
    tracking_place,
    without_password,
)
from chiasm.sharing.trial_runs import without_places
from fake_trials import FUSED, SINGLES
from fake_trials import run as run_trial
from lighter_trials import only_ridges

MARK = "ZQ9WOB"


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    made = chiasm.synthetic_cohort("complementary", n=60, seed=0, missing=0.2)
    rows = {name: made.raw(name) for name in made.modalities}
    names = {old: f"{MARK}{k:03d}" for k, old in enumerate(made.ids)}
    patients = pd.DataFrame({"y": made.outcome.value if made.outcome is not None else []}, index=made.ids)
    frames = {name: own.rename(index=names) for name, own in rows.items()}
    return chiasm.cohort_from_frames(patients.rename(index=names), frames, chiasm.Classification("y"), name="ward")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrackingPlace]:
    """MLflow's store of files: to make a database takes it five seconds, and `test_a_database_in_a_folder` does."""
    folder = tmp_path_factory.mktemp("mlflow") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setattr("chiasm.report.drawing.Picture.source", "data:image/svg+xml;base64,")
        yield replace(tracking_place(folder.as_uri()), folder=folder)


@pytest.fixture(scope="module")
def trial(cohort: Cohort, place: TrackingPlace) -> chiasm.Trial:
    made = run_trial(cohort, (*SINGLES, *FUSED), chiasm.Protocol(folds=2, repeats=1, draws=100))
    return replace(made, reporter=lambda own, path: Path(shutil.copy(__file__, path)))


@pytest.fixture(scope="module")
def model(cohort: Cohort) -> Any:
    with only_ridges():
        return chiasm.fit(cohort, "late-fusion")


@pytest.fixture(scope="module")
def run(trial: chiasm.Trial, cohort: Cohort, place: TrackingPlace) -> str:
    return chiasm.track(replace(trial, reporter=write_report), place, cohort=cohort).run


def test_a_trial_is_a_run_with_one_below_it_for_each_recipe(
    trial: chiasm.Trial, cohort: Cohort, place: TrackingPlace, run: str, tmp_path: Path
) -> None:
    found = place.client.get_run(run)
    assert found.info.status == "FINISHED" and found.info.run_name == "ward"
    assert found.data.tags["chiasm.cohort_sha256"] == cohort.fingerprint
    assert trial.verdict is not None and found.data.tags["chiasm.verdict"] == trial.verdict.outcome
    assert found.data.tags["mlflow.note.content"].startswith(trial.verdict.sentence)
    assert found.data.metrics["gain"] == pytest.approx(trial.verdict.difference)
    assert found.data.params["folds"] == "2" and found.data.params["seed"] == "0"
    files = {own.path for own in place.client.list_artifacts(run)}
    assert files == {"findings.json", "recipes.csv", "report.html", "trial.json", "verdict.json"}
    below = place.client.search_runs([place.experiment], f"tags.`mlflow.parentRunId` = '{run}'")
    rows = {str(row["name"]): row for row in trial.document["recipes"]}
    assert {own.info.run_name for own in below} == set(rows) and {own.info.status for own in below} == {"FINISHED"}
    for own in below:
        row = rows[own.info.run_name]
        known = {name: figures for name, figures in row["metrics"].items() if figures["mean"] is not None}
        assert {name for name in row["metrics"] if name in own.data.metrics} == set(known)
        for name, figures in known.items():
            stored = [own.data.metrics.get(f"{name}{part}") for part in ("", ".low", ".high")]
            assert stored == pytest.approx([figures[key] for key in ("mean", "low", "high")])
    kept = place.client.download_artifacts(run, "trial.json", str(tmp_path))
    assert json.loads(Path(kept).read_text(encoding="utf-8"))["verdict"]["outcome"] == trial.verdict.outcome


def test_no_patient_no_user_and_no_path_is_written(place: TrackingPlace, run: str) -> None:
    assert place.folder is not None
    files = [file for file in place.folder.rglob("*") if file.is_file() and file.name != "meta.yaml"]
    texts = {file.name: file.read_bytes().decode("utf-8", "ignore") for file in files}
    assert len(files) > 50
    words = [MARK, getpass.getuser() + "@", socket.gethostname(), str(Path.cwd()), str(Path.home()), "git.commit"]
    assert [(name, word) for name, text in texts.items() for word in words if word in text] == []
    assert place.client.get_run(run).info.user_id in ("", "unknown")
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.client import get_telemetry_client

    assert get_telemetry_client() is None


def test_of_a_path_its_last_part_is_written() -> None:
    told = without_places(
        {"path": "/data/ward 7/cohort.toml", "sources": [{"path": "other\\b.toml"}], "options": {"start": "D:/m/a"}}
    )
    assert told == {"path": "cohort.toml", "sources": [{"path": "b.toml"}], "options": {"start": "a"}}


def test_a_trial_that_is_half_written_is_a_failed_run(trial: chiasm.Trial, place: TrackingPlace) -> None:
    class Full:
        def __getattr__(self, name: str) -> Any:
            if name == "log_artifact":
                raise OSError(28, "No space left on device")
            return getattr(place.client, name)

    before = {own.info.run_id for own in place.client.search_runs([place.experiment])}
    with pytest.raises(OSError, match="No space"):
        chiasm.track(trial, replace(place, client=Full()))
    (left,) = [own for own in place.client.search_runs([place.experiment]) if own.info.run_id not in before]
    assert left.info.status == "FAILED"


def test_every_trial_is_written_until_it_is_stopped(
    trial: chiasm.Trial, cohort: Cohort, place: TrackingPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from chiasm.api import following

    monkeypatch.setattr("chiasm.sharing.tracking_place.tracking_place", lambda to, experiment: place)
    with chiasm.autolog("there") as log:
        following.tell(trial, cohort)
        assert len(log.runs) == 1 and place.client.get_run(log.runs[0]).info.run_name == "ward"
        for refused in (TrackingError("MLflow is not there"), OSError(28, "No space left on device")):
            monkeypatch.setattr("chiasm.sharing.trial_runs.record", Mock(side_effect=refused))
            with pytest.warns(UserWarning, match="is finished and is not tracked"):
                following.tell(trial, cohort)
    assert FOLLOWERS == []


@pytest.mark.parametrize("kind", [requests.ConnectionError, requests.exceptions.InvalidURL])
def test_what_the_connection_says_is_not_repeated(kind: type[Exception]) -> None:
    with pytest.raises(TrackingError, match="at 'there' cannot be used") as refused, told_plainly("there"):
        raise kind("http://me:pass@there")
    assert "pass" not in str(refused.value)


@pytest.mark.parametrize("secret", ["me:pass@", "me:p@ss@", "me:p?ss@", "me@"])
def test_no_password_of_an_address_is_shown(secret: str) -> None:
    assert without_password(f"postgresql://{secret}there/db?password=pass") == "postgresql://there/db"
    assert without_password("https://there/a@b") == "https://there/a@b"


def test_a_model_comes_back_and_answers_as_it_did(model: Any, cohort: Cohort, place: TrackingPlace, run: str) -> None:
    logged = chiasm.mlflow_flavour.log_model(model, to=place, run=run)
    back = chiasm.mlflow_flavour.load_model(logged.uri, to=place)
    pd.testing.assert_frame_equal(back.predict(cohort), model.predict(cohort))
    with pytest.raises(TrackingError, match="has not what was asked for"):
        chiasm.mlflow_flavour.load_model("models:/m-none", to=place)
    with pytest.raises(chiasm.ArtifactError, match="is no model of MLflow"):
        chiasm.mlflow_flavour.load_model("late", to=place)


def test_a_model_without_a_run_is_registered_at_the_place_that_was_named(
    model: Any, place: TrackingPlace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    logged = chiasm.mlflow_flavour.log_model(model, to=place, registered="alone")
    assert logged.version == "1" and not list(tmp_path.iterdir())
    assert place.client.get_model_version("alone", "1").source.startswith(str(place.uri))


def test_one_table_answers_as_the_cohort_does_for_every_pattern(model: Any, cohort: Cohort, tmp_path: Path) -> None:
    folder = chiasm.mlflow_flavour.save_model(model, tmp_path / "made")
    wide = pd.concat({name: cohort.raw(name) for name in cohort.modalities}, axis=1).reindex(cohort.ids)
    flat = wide.set_axis([f"{modality}.{column}" for modality, column in wide.columns], axis=1)
    flat = flat.sample(frac=1, random_state=0).set_axis(range(100, 100 + len(flat)))  # an order and an index of its own
    order = [wide.index.get_loc(name) for name in wide.sample(frac=1, random_state=0).index]
    served = chiasm.mlflow_flavour._load_pyfunc(str(folder / "model"))
    found = served.predict(flat)
    expected = model.predict(cohort).loc[list(cohort.ids)].iloc[order]
    assert list(found.index) == list(flat.index) and set(found["pattern"]) == {"m1", "m1+m2", "m2"}
    assert list(found["pattern"]) == list(expected["pattern"])
    np.testing.assert_allclose(found.iloc[:, 1:].to_numpy(), expected.iloc[:, 1:].to_numpy(), atol=1e-6)
    alone = served.predict(flat[[name for name in flat.columns if name.startswith("m1.")]].dropna())
    assert set(alone["pattern"]) == {"m1"}
    with pytest.raises(chiasm.Unsupported, match=r"columns are named modality\.column"):
        served.predict(flat.assign(age=1.0))
    with pytest.raises(chiasm.Unsupported, match=r"lacks|missing"):
        served.predict(flat.drop(columns="m1.m1_0"))


def test_what_mlflow_keeps_runs_no_code(model: Any, tmp_path: Path) -> None:
    model.save(tmp_path / "own")
    (tmp_path / "own" / "card.md").write_text("as it was signed\n", encoding="utf-8")
    folder = chiasm.mlflow_flavour.save_model(tmp_path / "own", tmp_path / "made")
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    assert files == [
        "MLmodel", "model/card.md", "model/model.json", "model/weights.safetensors", "requirements.txt",
    ]  # fmt: skip
    for file in (tmp_path / "own").iterdir():
        assert (folder / "model" / file.name).read_bytes() == file.read_bytes()
    told = (folder / "MLmodel").read_text(encoding="utf-8")
    assert "loader_module: chiasm.mlflow_flavour" in told and str(tmp_path) not in told and "pickle" not in told
    # Whatever MLmodel is made to name, `load_model` imports none of it.
    (folder / "MLmodel").write_text(told.replace("chiasm.mlflow_flavour", "canary"), encoding="utf-8")
    (folder / "canary.py").write_text("raise SystemExit('executed')", encoding="utf-8")
    assert chiasm.mlflow_flavour.load_model(folder).recipe == model.recipe
    weights = folder / "model" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(chiasm.ArtifactError, match="hash"):
        chiasm.mlflow_flavour.load_model(folder)


def test_a_place_that_is_none_is_said_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("mine")
    with pytest.raises(TrackingError, match="no folder of MLflow"):
        tracking_place(tmp_path / "full")
    with pytest.raises(TrackingError, match="no place to track in"):
        tracking_place(None)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(SystemExit) as stopped:
        main(["evaluate", str(tmp_path), "--out", str(tmp_path / "run"), "--track", "http://me:pass@127.0.0.1:9"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and "http://127.0.0.1:9" in said and "pass" not in said
    assert not (tmp_path / "run").exists()


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of MLflow's own tables
def test_a_database_in_a_folder(trial: chiasm.Trial, model: Any, cohort: Cohort, tmp_path: Path) -> None:
    done = chiasm.track(trial, tmp_path / "kept", cohort=cohort)
    again = tracking_place(tmp_path / "kept")
    assert again.client.get_run(done.run).info.status == "FINISHED" and done.look.endswith("mlflow.db")
    for number in ("1", "2"):
        logged = chiasm.mlflow_flavour.log_model(model, to=again, run=done.run, registered="late")
        assert logged.version == number
    for missing in ("models:/late/9", "models:/late@best", "runs:/none/model"):
        with pytest.raises(TrackingError, match="has not what was asked for"):
            chiasm.mlflow_flavour.load_model(missing, to=again)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow warns of types in its own code while it is imported
        import mlflow.pyfunc

    served = mlflow.pyfunc.load_model(
        again.client.get_logged_model(logged.uri.removeprefix("models:/")).artifact_location
    )
    columns = {f"{modality}.{column}" for modality, own in model.columns.items() for column in own}
    assert {own.name for own in served.metadata.signature.inputs.inputs} == columns
    pd.testing.assert_frame_equal(
        chiasm.mlflow_flavour.load_model("models:/late/2", to=tmp_path / "kept").predict(cohort), model.predict(cohort)
    )
    assert MARK.encode() not in (tmp_path / "kept" / "mlflow.db").read_bytes()
    assert str(Path.home()).encode() not in (tmp_path / "kept" / "mlflow.db").read_bytes()
