"""CDS Hooks: discovery, a card that says what `/fhir` says, and clients who sign."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hospital_messages import CONDITIONS, MAPPING, OBSERVATIONS, PATIENT, mapping_file, searched
from served_models import asked

NAME = "/cds-services/chiasm-risk"
BEFORE = OBSERVATIONS[:4]
"""Those of the past."""
AUDIENCE = "https://risk.hospital.example/cds-services"


@pytest.fixture(scope="module")
def client(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    text = MAPPING.replace("within_days = 30", "")  # the time of a hook is now
    with asked([served_folder], hospital=mapping_file(tmp_path_factory.mktemp("hospital"), text)) as own:
        yield own


def request(**changed: Any) -> dict[str, Any]:
    prefetch = {
        "patient": PATIENT, "observations": searched(BEFORE), "conditions": searched(CONDITIONS),
        "procedures": None, "allergies": None, "immunizations": None, "requests": searched([]), "statements": None,
        "administrations": None, "dispenses": None,
    }  # fmt: skip
    return {
        "hook": "patient-view", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea",
        "context": {"userId": "Practitioner/1", "patientId": "p1"}, "prefetch": prefetch, **changed,
    }  # fmt: skip


def test_the_services_are_discovered_with_the_searches_that_they_need(client: TestClient) -> None:
    (service,) = client.get("/cds-services").json()["services"]
    assert (service["id"], service["hook"]) == ("chiasm-risk", "patient-view")
    found = service["prefetch"]
    assert found["patient"] == "Patient/{{context.patientId}}"
    assert "http://loinc.org|1988-5" in found["observations"] and "E11" not in found["observations"]
    assert found["conditions"].endswith("code=http://hl7.org/fhir/sid/icd-10|E11")


def test_a_card_tells_the_prediction_and_what_was_missing(client: TestClient) -> None:
    found = client.post(NAME, json=request())
    assert found.status_code == 200
    (card,) = found.json()["cards"]
    assert card["indicator"] == "info" and len(card["summary"]) <= 140 and "%" in card["summary"]
    assert "Absent, and not guessed: rna" in card["detail"] and "no certified medical device" not in card["summary"]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [
        {"resource": own} for own in [PATIENT, *BEFORE, *CONDITIONS]
    ]}  # fmt: skip
    outcomes = client.post("/fhir/$predict", json=bundle).json()["prediction"]
    likeliest = max(outcomes, key=lambda own: own["probabilityDecimal"])
    assert card["summary"] == f"{likeliest['outcome']['text']}: {likeliest['probabilityDecimal']:.1%}"
    assert likeliest["outcome"]["text"] in ("sick: yes", "sick: no")


def test_nothing_known_is_no_card(client: TestClient) -> None:
    prefetch = request()["prefetch"] | {"observations": None, "conditions": None}
    bare = request(prefetch=prefetch | {"patient": {"resourceType": "Patient", "id": "p1"}})
    assert client.post(NAME, json=bare).json() == {"cards": []}


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"hook": "order-sign"}, 400, "unknown-hook"),
        ({"prefetch": {"patient": PATIENT}}, 412, "not-prefetched"),
        ({"prefetch": None}, 412, "not-prefetched"),
        ({"context": {"patientId": "p2"}}, 400, "another-patient"),
        ({"context": None}, 400, "not-a-request"),
    ],
)
def test_requests_that_cannot_be_answered_rightly_are_refused(
    client: TestClient, changed: dict[str, Any], status: int, code: str
) -> None:
    found = client.post(NAME, json=request(**changed))
    assert (found.status_code, found.json()["error"]["code"]) == (status, code)


def test_one_page_of_a_search_is_refused(client: TestClient) -> None:
    document = request()
    document["prefetch"]["observations"]["link"] = [{"relation": "next", "url": "https://fhir.example/page2"}]
    assert client.post(NAME, json=document).json()["error"]["code"] == "one-page"


def test_feedback_is_taken_and_unlike_feedback_refused(client: TestClient) -> None:
    card = {"card": "d1577c69", "outcome": "overridden", "outcomeTimestamp": "2026-03-01T12:00:00Z"}
    assert client.post(f"{NAME}/feedback", json={"feedback": [card]}).status_code == 200
    assert client.post(f"{NAME}/feedback", json={"feedback": [card | {"outcome": "?"}]}).status_code == 422
    assert client.post(f"{NAME}/feedback", json={}).status_code == 422
    assert client.post("/cds-services/other", json=request()).status_code == 404


def test_clients_sign_each_request_once(served_folder: Path, tmp_path: Path) -> None:
    jwt = pytest.importorskip("jwt")
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    key, stranger = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    (tmp_path / "clients.jwks").write_text(
        json.dumps({"keys": [{**public, "kid": "k1", "iss": "https://ehr.example"}]})
    )
    text = MAPPING.replace("[cds_hooks]", f'[cds_hooks]\nkeys = "clients.jwks"\naudience = "{AUDIENCE}"')

    def signed(by: Any = key, kid: str = "k1", seconds: float = 60, **claims: Any) -> dict[str, str]:
        now = int(time.time())
        given = {"iss": "https://ehr.example", "aud": AUDIENCE, "iat": now, "exp": now + seconds, "jti": "1", **claims}
        return {"Authorization": "Bearer " + jwt.encode(given, by, algorithm="ES384", headers={"kid": kid})}

    with asked([served_folder], hospital=mapping_file(tmp_path, text)) as client:
        good = signed()
        assert client.post(NAME, json=request(), headers=good).status_code == 200
        assert client.post(NAME, json=request(), headers=good).status_code == 401  # the same one again
        assert client.post(NAME, json=request()).status_code == 401
        for wrong in (
            signed(by=stranger, jti="2"), signed(kid="k2", jti="3"), signed(aud="https://other.example", jti="4"),
            signed(iss="https://other.example", jti="5"), signed(seconds=-60, jti="6"), signed(seconds=3600, jti="7"),
            {"Authorization": "Bearer " + jwt.encode({"iss": "https://ehr.example"}, "", algorithm="none")},
        ):  # fmt: skip
            assert client.post(NAME, json=request(), headers=wrong).status_code == 401
        assert client.get("/metrics", headers=signed(jti="8")).status_code == 403
        assert client.post("/predict", json={}, headers=signed(jti="9")).status_code == 403  # CDS Hooks alone
        assert (
            client.post(NAME, json=request(), headers=signed(aud=f"{AUDIENCE}/chiasm-risk", jti="10")).status_code
            == 200
        )


def test_a_private_key_among_the_clients_is_refused(served_folder: Path, tmp_path: Path) -> None:
    jwt = pytest.importorskip("jwt")
    ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
    private = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP384R1())))
    (tmp_path / "clients.jwks").write_text(json.dumps({"keys": [{**private, "kid": "k1", "iss": "x"}]}))
    text = MAPPING.replace("[cds_hooks]", f'[cds_hooks]\nkeys = "clients.jwks"\naudience = "{AUDIENCE}"')
    with pytest.raises(ValueError, match="private key"), asked([served_folder], hospital=mapping_file(tmp_path, text)):
        raise AssertionError("it was served")
