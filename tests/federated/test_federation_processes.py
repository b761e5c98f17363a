"""Real processes over TLS: a hospital is killed and comes back, the server is killed and goes on, nothing differs."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm import api, artifact
from chiasm.federated.folder import open_federation
from chiasm.recipes.hospitals.federation import SCALING, Participant, Plan, finished
from command_line import Run
from federated_hospitals import certificates, fitted_base
from federated_process import ended, start, until
from small_recipes import on_disk, parts

HOSPITALS = ("hospital-a", "hospital-b")
THREE = (*HOSPITALS, "hospital-c")
BLADDER = """\
name = "bladder"
[patients]
table = "patients.csv"
id = "case_id"
[target]
kind = "survival"
time = "survival_months"
event = "died"
[modalities.clinical]
kind = "table"
columns = ["age", "is_female"]
[modalities.mutation]
kind = "omics"
table = "mutation.parquet"
"""


@pytest.fixture
def processes() -> Iterator[list[Any]]:
    """What is started ends with the test."""
    started: list[Any] = []
    yield started
    for process in started:
        process.kill()


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_killed_and_resumed_is_as_if_nothing_had_happened(tmp_path: Path, run: Run, processes: list[Any]) -> None:
    manifests = {name: on_disk(tmp_path / name, parts("survival", 84, seed)) for seed, name in enumerate(HOSPITALS)}
    cohorts = {name: api.open_cohort(manifest) for name, manifest in manifests.items()}
    base = fitted_base(tmp_path / "base", api.encode(cohorts["hospital-a"]).cohort)
    place, pems = tmp_path / "federation", certificates(tmp_path / "pems")
    said = run("federate", "new", base, "--out", place, "--rounds", 3, "--epochs", 4, "--rank", 2)
    assert said.code == 0 and artifact.identity(base)[:16] in said.out
    for name in HOSPITALS:
        assert run("federate", "invite", place, name, "--out", tmp_path / f"{name}.token").code == 0
    address = f"localhost:{free_port()}"
    serve = ["server", place, "--listen", address, "--certificate", pems.certificate, "--key", pems.key, "--json"]

    def join(name: str) -> Any:
        words = ["client", base, manifests[name], "--server", address, "--authority", pems.authority, "--name", name]
        words += ["--token", tmp_path / f"{name}.token", "--out", tmp_path / f"{name}-model"]
        process = start(tmp_path / f"{name}.log", *words, *(["--rank", 3] if name == "hospital-b" else []))
        processes.append(process)
        return process

    processes.append(start(tmp_path / "server.log", *serve))
    server = processes[-1]
    until(lambda: (place / "log.jsonl").read_text().count("listening") == 1, "the server")
    stays, goes = join("hospital-a"), join("hospital-b")
    until(lambda: "Round 1: training" in read(tmp_path / "hospital-b.log"), "the first round")
    goes.kill()
    goes.join()
    assert not (place / "round-001" / "hospital-b.safetensors").exists()
    comes_back = join("hospital-b")
    until(lambda: (place / "round-001" / "update.safetensors").exists(), "the first round's end")
    server.kill()
    server.join()
    assert not (place / "model").exists()
    processes.append(start(tmp_path / "server-again.log", *serve, "--resume"))

    text = ended(processes[-1], tmp_path / "server-again.log")
    for process, name in ((stays, "hospital-a"), (comes_back, "hospital-b")):
        assert "in 3 rounds" in ended(process, tmp_path / f"{name}.log") or process is comes_back
    report = json.loads(text[text.index("{") :])
    assert [own["rank"] for own in report["rounds"]] == [5, 5, 5]

    plan = open_federation(place).plan
    assert plan == Plan(rounds=3, epochs=4, rank=2)
    model = api.load_model(base)
    encoded = {name: api.encode_for(model, cohort).cohort for name, cohort in cohorts.items()}
    alone = [Participant(model, encoded[name], plan, 2 + k, name) for k, name in enumerate(HOSPITALS)]
    for number in range(1, plan.rounds + 1):
        update = plan.put_together([own.train(number) for own in alone], [own.patients for own in alone])
        for own in alone:
            own.take(update, number)
    wanted = finished(model, plan, alone[0].updates).predictor.state
    for folder in (place / "model", tmp_path / "hospital-a-model", tmp_path / "hospital-b-model"):
        found = artifact.load(folder).predictor.state
        assert all(np.array_equal(found[key], value) for key, value in wanted.items())
    assert any(not np.array_equal(value, model.predictor.state[key]) for key, value in wanted.items())
    out = tmp_path / "predictions.csv"
    assert run("predict", place / "model", manifests["hospital-b"], "--out", out).code == 0
    assert len(pd.read_csv(out)) == 84

    identifiers = set(map(str, cohorts["hospital-a"].ids))
    for file in (*tmp_path.glob("*.log"), place / "log.jsonl", *place.rglob("round.json")):
        assert not any(identifier in file.read_text() for identifier in identifiers), file.name
    tokens = [(tmp_path / f"{name}.token").read_text().strip() for name in HOSPITALS]
    written = [file for file in place.rglob("*") if file.is_file()] + list(tmp_path.glob("*.log"))
    assert not any(token.encode() in file.read_bytes() for file in written for token in tokens)


@pytest.mark.slow
@pytest.mark.nightly
def test_three_hospitals_of_a_real_cohort(shared_data: Path, tmp_path: Path, run: Run, processes: list[Any]) -> None:
    """Bladder cancer by site: what the server wrote of every round is the weighted sum of what came."""
    patients = pd.read_csv(shared_data / "tcga-blca" / "patients.csv", dtype=str, keep_default_na=False)
    largest = list(patients["site"].value_counts().index)
    for k, name in enumerate(THREE):
        folder = tmp_path / name
        folder.mkdir()
        patients[patients["site"].isin(largest[k::3])].to_csv(folder / "patients.csv", index=False)
        shutil.copy(shared_data / "tcga-blca" / "mutation.parquet", folder)
        (folder / "cohort.toml").write_text(BLADDER)
    cohorts = {name: api.open_cohort(tmp_path / name / "cohort.toml") for name in THREE}
    base = fitted_base(tmp_path / "base", cohorts[THREE[0]])
    place, pems, address = tmp_path / "federation", certificates(tmp_path / "pems"), f"localhost:{free_port()}"
    assert run("federate", "new", base, "--out", place, "--rounds", 2, "--epochs", 2).code == 0
    serve = ["server", place, "--listen", address, "--certificate", pems.certificate, "--key", pems.key, "--json"]
    for name in THREE:
        assert run("federate", "invite", place, name, "--out", tmp_path / f"{name}.token").code == 0
    processes.append(start(tmp_path / "server.log", *serve))
    for rank, name in zip((6, 4, 2), THREE, strict=True):
        words = ["client", base, tmp_path / name, "--server", address, "--authority", pems.authority, "--name", name]
        words += ["--token", tmp_path / f"{name}.token", "--out", tmp_path / f"{name}-model", "--rank", rank]
        processes.append(start(tmp_path / f"{name}.log", *words))
    text = ended(processes[0], tmp_path / "server.log", 200.0)
    rounds = json.loads(text[text.index("{") :])["rounds"]
    federation = open_federation(place)
    assert [own["rank"] for own in rounds] == [12, 12]
    for number, update in enumerate(federation.updates(), start=1):
        answers = federation.answers(number)
        weights = {own["client"]: own["weight"] for own in rounds[number - 1]["clients"]}
        counts = {name: answer.patients or 0 for name, answer in answers.items()}
        assert weights == pytest.approx({name: count / sum(counts.values()) for name, count in counts.items()})
        assert 0.75 * 373 < sum(counts.values()) < 373
        for down in (name for name in update if ".lora_A." in name):
            up = down.replace("lora_A", "lora_B")
            found = update[up].double() @ update[down].double()
            wanted = sum(
                weights[name] * SCALING * answer.adapter[up].double() @ answer.adapter[down].double()
                for name, answer in answers.items()
            )
            assert float((found - wanted).norm() / wanted.norm()) < 1e-6
    for process, name in zip(processes[1:], THREE, strict=True):
        ended(process, tmp_path / f"{name}.log")
    assert len(api.load_model(place / "model").predict(cohorts[THREE[2]])) == len(cohorts[THREE[2]])
    ids = set(patients["case_id"])
    for file in (*tmp_path.glob("*.log"), place / "log.jsonl", *place.rglob("round.json")):
        assert not any(identifier in file.read_text() for identifier in ids), file.name


def read(file: Path) -> str:
    return file.read_text() if file.exists() else ""
