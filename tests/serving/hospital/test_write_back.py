"""Answers are written to a real FHIR server, once each, whatever it loses on the way."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hospital_messages import AT, MAPPING, bundle, mapping_file
from served_models import asked

httpx = pytest.importorskip("httpx")
ROOT = Path(__file__).parents[3]
MODULES = ROOT / ".services" / "node_modules"
pytestmark = pytest.mark.skipif(
    not (MODULES / "@medplum" / "fhir-router").is_dir(), reason="no FHIR server: make services brings it"
)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    script = Path(__file__).with_name("fhir_server.mjs")
    with subprocess.Popen(["node", script, str(MODULES)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        process.kill()


@pytest.fixture(scope="module")
def client(served_folder: Path, server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("hospital")
    (folder / "token").write_text("secret-of-the-fhir-server\n")
    (folder / "token").chmod(0o600)
    text = MAPPING.replace("[fhir]", f'[fhir]\nserver = "{server}/"\ntoken = "token"')
    with asked([served_folder], hospital=mapping_file(folder, text)) as own:
        yield own


def written(client: TestClient, at: str) -> Any:
    return client.post(f"/fhir/$predict?write=true&at={at.replace('+', '%2B')}", json=bundle())


def stored(server: str, identifier: str) -> list[Any]:
    found = httpx.get(f"{server}/RiskAssessment", params={"identifier": identifier})
    return [own["resource"] for own in found.json().get("entry", [])]


@pytest.mark.parametrize(
    ("fault", "at"), [("", AT), ("busy/2", "2026-03-01T13:00:00Z"), ("dropped/1", "2026-03-01T14:00:00Z")]
)
def test_an_answer_is_stored_once(client: TestClient, server: str, fault: str, at: str) -> None:
    if fault:
        httpx.get(f"{server}/control/{fault}")
    first, again = written(client, at), written(client, at)
    assert first.status_code == again.status_code == 200
    identifier = first.json()["identifier"][0]
    (resource,) = stored(server, f"{identifier['system']}|{identifier['value']}")
    assert resource["id"] == first.json()["id"] == again.json()["id"]
    assert resource["prediction"] == first.json()["prediction"]


def test_a_server_that_does_not_answer_is_told_so(client: TestClient, server: str) -> None:
    httpx.get(f"{server}/control/busy/3")
    found = written(client, "2026-03-01T15:00:00Z")
    assert found.status_code == 504 and found.headers["retry-after"]
    assert found.json()["issue"][0]["details"] == {"text": "not-written"}
    assert "secret" not in found.text


def test_a_correction_is_stored_beside_what_it_corrects(client: TestClient, server: str) -> None:
    at = "2026-03-01T16:00:00Z"
    first = written(client, at)
    corrected = bundle()
    corrected["entry"][1]["resource"]["valueQuantity"]["value"] = 4.0
    second = client.post(f"/fhir/$predict?write=true&at={at}", json=corrected)
    assert first.json()["id"] != second.json()["id"] and second.status_code == 200


def test_an_answer_about_nobody_is_not_written(client: TestClient) -> None:
    bare = bundle()
    for own in bare["entry"]:
        own["resource"].pop("subject", None)
    bare["entry"] = [own for own in bare["entry"] if own["resource"]["resourceType"] == "Observation"]
    found = client.post("/fhir/$predict?write=true&at=2026-03-01T17:00:00Z", json=bare)
    assert found.status_code == 422 and found.json()["issue"][0]["details"] == {"text": "no-subject"}
