"""What the service answers is what the offline prediction answers, and what it cannot read it names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import chiasm
from served_models import OPENLY, as_json, asked, cohort, frames


@pytest.fixture(scope="module")
def client(served_folder: Path) -> Iterator[TestClient]:
    with asked([served_folder]) as own:
        yield own


def test_the_service_is_the_offline_prediction_for_500_patients_of_every_pattern(served_folder: Path) -> None:
    patients, blocks = frames(500, seed=3)
    offline = chiasm.load_model(served_folder).predict(cohort(500, seed=3, target=False))
    assert offline["pattern"].nunique() == 7
    outputs = [name for name in offline.columns if name != "pattern"]
    ids = list(patients.index)
    with asked([served_folder], policy=OPENLY) as own:
        for start in range(0, 500, 125):
            part = ids[start : start + 125]
            found = own.post("/predict", json=as_json(blocks, part)).json()["patients"]
            there = offline.loc[part]
            assert [answer["pattern"] for answer in found] == there["pattern"].tolist()
            numbers = np.array([[answer["prediction"][name] for name in outputs] for answer in found])
            np.testing.assert_allclose(numbers, there[outputs].to_numpy(), rtol=0, atol=1e-6)


def test_a_patient_alone_is_answered_as_among_others(client: TestClient) -> None:
    patients, blocks = frames(14, seed=4)
    together = client.post("/predict", json=as_json(blocks, patients.index)).json()["patients"]
    for row in (0, 6):
        (alone,) = client.post("/predict", json=as_json(blocks, [patients.index[row]])).json()["patients"]
        for name, number in together[row]["prediction"].items():
            assert alone["prediction"][name] == pytest.approx(number, abs=1e-6)


def test_an_answer_says_what_was_missing(client: TestClient) -> None:
    body = {"patients": [{"clinical": {"age": None, "bmi": 25, "stage": "I", "code": "250.00"}, "rna": None}]}
    (answer,) = client.post("/predict", json=body).json()["patients"]
    assert (answer["pattern"], answer["missing"]) == ("clinical", ["lab", "rna"])
    assert answer["missing_cells"] == {"clinical": ["age"]} and answer["unseen"] is False


def test_codes_stay_as_they_are_written(client: TestClient) -> None:
    """`250.10` is a level, and 250.1 is none: where it were read as a number, both levels would be missing."""
    bodies = [{"patients": [{"clinical": GOOD | {"code": code}}]} for code in ("250.00", "250.10")]
    answers = [client.post("/predict", json=body).json() for body in bodies]
    assert answers[0]["patients"][0]["prediction"] != answers[1]["patients"][0]["prediction"]


def test_blanks_around_a_word_are_taken_away_as_a_reader_of_files_does(client: TestClient) -> None:
    bodies = [{"patients": [{"clinical": GOOD | {"stage": stage}}]} for stage in ("I", " I ")]
    answers = [client.post("/predict", json=body) for body in bodies]
    assert answers[1].status_code == 200 and answers[0].json()["patients"] == answers[1].json()["patients"]


WORDS = {"bmi": 25, "stage": "I", "code": "250.00"}
GOOD = {"age": 60} | WORDS


@pytest.mark.parametrize(
    ("patient", "field", "code"),
    [
        ({"clinical": GOOD | {"age": 6000}}, "patients[0].clinical.age", "out-of-range"),
        ({"clinical": GOOD | {"age": "sixty"}}, "patients[0].clinical.age", "not-a-number"),
        ({"clinical": GOOD | {"age": 10**400}}, "patients[0].clinical", "not-a-number"),
        ({"clinical": GOOD | {"stage": "V"}}, "patients[0].clinical.stage", "unknown-level"),
        ({"clinical": {"agee": 60} | WORDS}, "patients[0].clinical.age", "missing-column"),
        ({"clinical": GOOD | {"weight": 70}}, "patients[0].clinical", "unknown-column"),
        ({"clinicl": GOOD}, "patients[0]", "unknown-modality"),
        ({"clinical": [1]}, "patients[0].clinical", "not-an-object"),
        ({"rna": {f"G{number}": 1e9 for number in range(6)}}, "patients[0].rna", "out-of-range"),
        ({"rna": {f"G{number}": None for number in range(6)}}, "patients[0]", "no-modality"),
        ({}, "patients[0]", "no-modality"),
    ],
)
def test_what_cannot_be_read_is_refused_by_its_field(client: TestClient, patient: Any, field: str, code: str) -> None:
    found = client.post("/predict", content=json.dumps({"patients": [patient]}), headers=JSON)
    assert found.status_code == 422
    told = found.json()["error"]
    assert (told["field"], told["code"]) == (field, code)
    assert "6000" not in found.text and "sixty" not in found.text and "'V'" not in found.text


JSON = {"content-type": "application/json"}


def test_a_name_that_is_near_is_told_and_another_one_is_not_quoted(client: TestClient) -> None:
    assert "'clinical'" in client.post("/predict", json={"patients": [{"clinicl": GOOD}]}).text
    assert "Schmidt" not in client.post("/predict", json={"patients": [{"Schmidt, Hans": GOOD}]}).text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b"\xff", 400), (b'{"patients": [NaN]}', 400), (b"[" * 100_000, 400), (b"[]", 422),
        (b'{"patients": []}', 422), (b'{"patients": [{"lab": {"crp": 1, "crp": 2}}]}', 422),
        (b'{"patients": [{}], "model": "x"}', 422), (b'{"patients": {}}', 422),
    ],
)  # fmt: skip
def test_what_is_no_request_is_refused(client: TestClient, body: bytes, status: int) -> None:
    assert client.post("/predict", content=body, headers=JSON).status_code == status


def test_what_is_unlike_training_may_be_flagged(served_folder: Path) -> None:
    with asked([served_folder], policy=OPENLY) as own:
        (answer,) = own.post("/predict", json={"patients": [{"clinical": GOOD | {"age": 6000}}]}).json()["patients"]
    assert answer["prediction"] is not None and answer["notes"] == ["clinical.age: far outside of training"]


def test_shares_of_one_patient_sum_to_the_prediction(client: TestClient) -> None:
    patients, blocks = frames(7, seed=5)
    body = as_json(blocks, patients.index[6:7])
    (answer,) = client.post("/explain", json=body).json()["patients"]
    (predicted,) = client.post("/predict", json=body).json()["patients"]
    for own in answer["outputs"]:
        assert set(own["shares"]) == {"clinical", "rna", "lab"}
        assert own["base"] + sum(own["shares"].values()) == pytest.approx(own["prediction"], abs=1e-9)
        assert own["prediction"] == pytest.approx(predicted["prediction"][own["output"]], abs=1e-9)


def test_the_schema_says_what_is_read_and_no_value_of_training(client: TestClient) -> None:
    schema = client.get("/schema").json()
    columns = schema["properties"]["patients"]["items"]["properties"]["clinical"]["properties"]
    assert columns["stage"]["enum"] == ["I", "II", "IV", None]
    own = cohort(140).raw("clinical")["age"]
    assert columns["age"]["minimum"] < own.min() < own.max() < columns["age"]["maximum"]
    follows = (2 * columns["age"]["minimum"] + columns["age"]["maximum"]) / 3
    assert own.min() != pytest.approx(follows), "the smallest age of training follows from its reach"
