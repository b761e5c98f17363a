"""Models behind a service: how sure they are, patterns that they have not seen, several at once, requests together."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.api.serving import service_of
from chiasm.errors import Unsupported
from chiasm.serving import batching
from chiasm.serving.batching import Worker
from chiasm.serving.patients import Patient
from chiasm.serving.settings import Limits, Policy
from chiasm.serving.shelf import places_of
from lighter_trials import only_ridges
from served_models import OPENLY, as_json, asked, cohort, frames, stored

LAB: dict[str, Any] = {"patients": [{"lab": {"crp": 4.5}}]}
BOTH: dict[str, Any] = {"patients": [{"lab": {"crp": 4.5}, "rna": {f"G{k}": 0.0 for k in range(6)}}]}


def test_sets_are_those_of_the_offline_calibration(served_folder: Path) -> None:
    held_out = cohort(280, seed=11)
    patients, blocks = frames(21, seed=12)
    offline = chiasm.conformal(chiasm.load_model(served_folder), held_out, coverage=0.8, within=["pattern"])
    expected = offline.predict(cohort(21, seed=12, target=False))
    with asked([served_folder], policy=OPENLY, calibrate=held_out, coverage=0.8) as own:
        found = own.post("/predict", json=as_json(blocks, patients.index)).json()["patients"]
    assert [answer["sure"]["set"] for answer in found] == expected["set"].tolist()
    assert {answer["sure"]["coverage"] for answer in found} == {0.8} and expected["set"].nunique() > 1


def test_a_calibration_that_does_not_fit_names_the_model(served_folder: Path) -> None:
    held_out = cohort(30, seed=11, target=False)
    with pytest.raises(Unsupported, match="model 'risk' and --calibrate, which has to fit every model"):
        chiasm.serving_app([f"risk={served_folder}"], calibrate=held_out)


def test_a_pattern_never_seen_is_flagged_or_not_predicted(served_folder: Path, tmp_path: Path) -> None:
    model: Any = chiasm.load_model(served_folder)
    replace(model, patterns=("lab", "clinical+lab")).save(tmp_path / "risk")
    with asked([tmp_path / "risk"]) as own:
        (seen,), (flagged,) = (own.post("/predict", json=body).json()["patients"] for body in (LAB, BOTH))
    with asked([tmp_path / "risk"], policy=Policy(unseen="refuse")) as own:
        (refused,) = own.post("/predict", json=BOTH).json()["patients"]
    assert (seen["unseen"], flagged["unseen"], refused["unseen"]) == (False, True, True)
    assert flagged["prediction"] is not None and refused["prediction"] is None
    assert flagged["notes"] == ["a pattern never seen in training"] and "no prediction" in refused["notes"][0]


def test_several_models_each_under_its_name(served_folder: Path, tmp_path: Path) -> None:
    with only_ridges():
        versions = tmp_path / "triage"
        stored(versions / "v9", seed=1)
        stored(versions / "v10", seed=2)
    with asked([f"risk={served_folder}", versions], default="triage") as own:
        told = {path: own.post(path, json=LAB).json().get("model", {}) for path in (
            "/predict", "/models/risk/predict", "/models/triage/versions/v9/predict"
        )}  # fmt: skip
        assert [(model["name"], model["version"]) for model in told.values()][::2] == [
            ("triage", "v10"),
            ("triage", "v9"),
        ]
        assert told["/models/risk/predict"]["sha256"].startswith(told["/models/risk/predict"]["version"])
        assert own.post("/models/rsk/predict", json=LAB).status_code == 404
        assert own.post("/models/triage/versions/v11/predict", json=LAB).status_code == 404
    with pytest.raises(ValueError, match="did you mean 'risk'"):
        service_of([f"risk={served_folder}"], default="rsk")
    with pytest.raises(ValueError, match="two models are called 'a'"):
        places_of(["a=x", "a=y"])
    with pytest.raises(chiasm.ArtifactError, match="no model folder"):
        service_of([tmp_path / "nowhere"])


def test_what_fails_in_one_request_fails_that_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def answers(loaded: Any, patients: Any, sources: Any, scratch: Path) -> list[Any]:
        seen.append(len(patients))
        if any("bad" in patient.given for patient in patients):
            raise RuntimeError("the value of a patient")
        return [{"pattern": str(k)} for k in range(len(patients))]

    monkeypatch.setattr(batching, "answers_of", answers)
    worker = Worker(Limits(wait_seconds=0.2, batch_patients=6), tmp_path, lambda patients, seconds: None)

    async def several() -> list[Any]:
        loaded: Any = object()
        asked = [[Patient({"a": 1})] * 2, [Patient({"bad": 1})], [Patient({"a": 1})] * 3]
        worker.start()
        return await asyncio.gather(*(worker.predict(loaded, own) for own in asked), return_exceptions=True)

    first, second, third = asyncio.run(several())
    assert worker.stop(5)
    assert seen == [6, 2, 1, 3] and (len(first), len(third)) == (2, 3) and isinstance(second, RuntimeError)


def test_an_error_that_a_request_has_is_not_told_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    def observed(patients: int, seconds: float) -> None:
        raise RuntimeError("it cannot be counted")

    monkeypatch.setattr(batching, "answers_of", lambda *given: [{"pattern": ""}])
    worker = Worker(Limits(wait_seconds=0.0), tmp_path, observed, lambda error: told.append(type(error).__name__))

    async def one() -> list[Any]:
        loaded: Any = object()
        worker.start()
        return await asyncio.gather(worker.predict(loaded, [Patient({"a": 1})]), return_exceptions=True)

    (found,) = asyncio.run(one())
    assert worker.stop(5)
    assert isinstance(found, RuntimeError) and told == []


def test_an_answer_that_takes_too_long_is_a_503(served_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    whole = batching.answers_of
    monkeypatch.setattr(batching, "answers_of", lambda *given: time.sleep(0.4) or whole(*given))
    with asked([served_folder], limits=Limits(wait_seconds=0.0, answer_seconds=0.1)) as own:
        found = own.post("/predict", json=LAB)
        assert (found.status_code, found.json()["error"]["code"]) == (503, "too-slow")
        assert found.headers["retry-after"] == "5"


def test_a_failure_tells_its_place_and_none_of_its_words(served_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> Any:
        raise KeyError("Schmidt, 4.567")

    said: list[dict[str, Any]] = []
    monkeypatch.setattr(batching, "answers_of", fails)
    with asked([served_folder], told=lambda event, **facts: said.append({"event": event, **facts})) as own:
        found = own.post("/predict", json=LAB)
        assert found.status_code == 500 and "4.567" not in found.text
    (failure,) = (own for own in said if own["event"] == "failed")
    assert failure["error"] == "KeyError" and "Schmidt" not in str(said)


def test_one_patient_whom_the_model_cannot_read_is_named_and_others_have_answers(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids = [f"case-{number}" for number in range(40)]
    y = pd.DataFrame({"y": rng.normal(size=40)}, index=ids)
    bags = {name: rng.normal(size=(1 + k % 3, 4)).astype(np.float32) for k, name in enumerate(ids)}
    chiasm.fit(chiasm.cohort_from_frames(y, {"bag": bags}, target=chiasm.Regression("y")), "single:bag").save(
        tmp_path / "bags"
    )
    good, narrow = {"bag": [[0.1, 0.2, 0.3, 0.4]]}, {"bag": [[0.1, 0.2, 0.3]]}
    with asked([tmp_path / "bags"]) as own:
        found = own.post("/predict", json={"patients": [good, narrow]})
        assert found.status_code == 422 and found.json()["error"]["field"] == "patients[1]"
        assert "at fit" in found.json()["error"]["message"] and "0.3" not in found.text
        assert own.post("/predict", json={"patients": [good]}).status_code == 200


def test_only_models_that_a_trusted_key_signed_are_served(served_folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = Ed25519PrivateKey.generate().public_key()
    key = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(chiasm.ArtifactError):
        service_of([served_folder], trusted=[key])


def test_a_client_that_has_its_share_is_told_to_wait(served_folder: Path) -> None:
    with asked([served_folder], limits=Limits(wait_seconds=0.0, per_client=1)) as own:
        guard: Any = own.app
        guard._in_work["at testclient"] = 1
        found = own.post("/predict", json=LAB)
        assert (found.status_code, found.headers["retry-after"]) == (429, "1")
        guard._in_work["at testclient"] = 0
        assert own.post("/predict", json=LAB).status_code == 200
