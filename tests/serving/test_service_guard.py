"""Who may ask, how much, and what is written down of it."""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from chiasm.api.serving import serving_app
from chiasm.serving.access import access_of
from chiasm.serving.address import address_of, require_safe
from chiasm.serving.audit import Audit, AuditFull, verify_audit
from chiasm.serving.settings import Limits
from served_models import asked

WARD, ADMIN = "w" * 32, "a" * 32
BODY = {"patients": [{"lab": {"crp": 4.5}}]}


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("guarded")
    tokens = folder / "tokens.toml"
    tokens.write_text(f'[ward]\ntoken = "{WARD}"\n[boss]\ntoken = "{ADMIN}"\nroles = ["admin", "metrics"]\n')
    tokens.chmod(0o600)
    return {"tokens": tokens, "audit": folder / "audit.jsonl"}


@pytest.fixture(scope="module")
def client(served_folder: Path, places: dict[str, Path]) -> Iterator[TestClient]:
    limits = Limits(wait_seconds=0.0, body_bytes=20_000)
    with asked([served_folder], limits=limits, **places) as own:
        yield own


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_without_a_token_nothing_is_answered_but_health(client: TestClient) -> None:
    assert client.get("/health").status_code == 200
    for headers in ({}, bearer("x" * 32), {"authorization": f"Basic {WARD}"}):
        found = client.post("/predict", json=BODY, headers=headers)
        assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")


def test_an_address_that_only_begins_as_that_of_health_needs_a_token(client: TestClient) -> None:
    assert client.get("/health-records").status_code == 401


def test_a_role_opens_its_own_doors(client: TestClient) -> None:
    assert client.post("/predict", json=BODY, headers=bearer(WARD)).status_code == 200
    assert client.post("/explain", json=BODY, headers=bearer(WARD)).status_code == 403
    assert client.get("/metrics", headers=bearer(WARD)).status_code == 403
    assert client.post("/predict", json=BODY, headers=bearer(ADMIN)).status_code == 403
    assert client.get("/metrics", headers=bearer(ADMIN)).status_code == 200
    assert client.post("/admin/reload", headers=bearer(ADMIN)).status_code == 200


def test_other_hosts_and_origins_are_turned_away(client: TestClient) -> None:
    own = bearer(WARD)
    assert client.post("/predict", json=BODY, headers={**own, "host": "evil.example"}).status_code == 421
    assert client.post("/predict", json=BODY, headers={**own, "origin": "https://evil.example"}).status_code == 403
    found = client.post("/predict", json=BODY, headers={**own, "origin": "http://localhost"})
    assert found.status_code == 200 and "access-control-allow-origin" not in found.headers
    assert found.headers["x-content-type-options"] == "nosniff" and found.headers["cache-control"] == "no-store"


def test_a_large_body_is_refused_before_it_is_read(client: TestClient) -> None:
    def sent() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 1_000

    own = {**bearer(WARD), "content-type": "application/json"}
    whole = client.post("/predict", content=b" " * 30_000, headers=own)
    assert whole.status_code == 413 and "may have 0.0191 MB" in whole.text
    assert client.post("/predict", content=sent(), headers=own).status_code == 413  # without a length
    packed = client.post("/predict", content=b"x", headers={**own, "content-encoding": "gzip"})
    assert packed.status_code == 415


def test_a_client_that_does_not_take_its_answer_is_let_go_of(served_folder: Path) -> None:
    sent = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message["type"])
        await asyncio.Event().wait()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/health",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }
    guard = serving_app([served_folder], limits=Limits(send_seconds=0.05))
    asyncio.run(asyncio.wait_for(guard(scope, receive, send), 10))
    assert sent == ["http.response.start"]


def test_no_value_stands_in_metrics_or_audit(client: TestClient, places: dict[str, Path]) -> None:
    for _ in range(6):
        client.post("/predict", json={"patients": [{"lab": {"crp": 4.6789}}]}, headers=bearer(WARD))
    client.post("/predict", json={"patients": [{"Schmidt": {"crp": 4.6789}}]}, headers=bearer(WARD))
    client.get("/Schmidt?name=Schmidt", headers=bearer(WARD))
    metrics = client.get("/metrics", headers=bearer(ADMIN)).text
    trail = places["audit"].read_text()
    for text in (metrics, trail):
        assert "4.678" not in text and "Schmidt" not in text and WARD not in text
    assert 'chiasm_patients_total{model="risk",pattern="lab"}' in metrics
    lines = [json.loads(line) for line in trail.splitlines()]
    last = [line for line in lines if line["what"] == "predict" and line["status"] == 200][-1]
    assert (last["who"], last["model"], last["patterns"]) == ("ward", "risk", {"lab": 1})
    assert verify_audit(places["audit"]).wrong is None and verify_audit(places["audit"]).lines == len(lines)


def test_a_prediction_that_is_split_is_written_down_with_its_patterns(served_folder: Path, tmp_path: Path) -> None:
    with asked([served_folder], audit=tmp_path / "a.jsonl") as own:
        assert own.post("/explain", json=BODY).status_code == 200
    line = json.loads((tmp_path / "a.jsonl").read_text().splitlines()[0])
    assert (line["what"], line["patients"], line["patterns"]) == ("explain", 1, {"lab": 1})


def test_patterns_of_few_patients_are_not_told_nor_follow_from_the_others(served_folder: Path) -> None:
    lab, rna = {"lab": {"crp": 4.5}}, {"rna": {f"G{k}": 0.1 for k in range(6)}}
    with asked([served_folder]) as own:
        assert own.post("/predict", json={"patients": [lab] * 6 + [rna] * 2 + [lab | rna] * 9}).status_code == 200
        told = own.get("/metrics").text
    assert "chiasm_batch_patients_sum 17.0" in told  # from which the two would follow beside both others
    assert 'pattern="lab+rna"} 9.0' in told and 'pattern="rna"' not in told and 'pattern="lab"' not in told


def test_a_changed_line_of_the_trail_is_found(tmp_path: Path) -> None:
    path = tmp_path / "trail.jsonl"
    trail = Audit(path)
    for number in range(4):
        trail.write(who="ward", what="predict", status=200 + number)
    with pytest.raises(ValueError, match="another service"):
        Audit(path)
    trail.close()
    lines = path.read_bytes().splitlines(keepends=True)
    assert (verify_audit(path).lines, verify_audit(path).wrong) == (4, None)
    for changed, wrong in (
        ([lines[0], lines[1].replace(b"201", b"500"), *lines[2:]], 2),
        ([lines[0], *lines[2:]], 2),
        ([lines[1], lines[0], *lines[2:]], 1),
        ([*lines[:3], lines[3][:20]], 4),
    ):
        path.write_bytes(b"".join(changed))
        assert verify_audit(path).wrong == wrong
    again = Audit(path)  # after a crash that cut the last line short
    again.write(who="ward", what="predict", status=200)
    again.close()
    assert verify_audit(path).wrong is None


def test_what_cannot_be_written_down_is_not_told(
    served_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    full = False
    real = os.write

    def write(file: int, line: bytes) -> int:
        if full and line.lstrip().startswith(b'{"at"'):
            real(file, line[:10])
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, line)

    monkeypatch.setattr(os, "write", write)
    options: dict[str, Any] = {"told": lambda event, **facts: said.append(event)}
    with asked([served_folder], audit=tmp_path / "a.jsonl", **options) as own:
        full = True
        found = own.post("/predict", json=BODY)
        assert (found.status_code, found.json()["error"]["code"]) == (503, "audit-full")
        assert "prediction" not in found.text and own.get("/health/ready").status_code == 503
        full = False
        assert own.post("/predict", json=BODY).status_code == 200 and own.get("/health/ready").status_code == 200
    assert said.count("audit-full") == 1 and verify_audit(tmp_path / "a.jsonl").wrong is None
    with asked([served_folder], audit=tmp_path / "b.jsonl", audit_full="serve") as own:
        full = True
        assert own.post("/predict", json=BODY).status_code == 200
        full = False


def test_a_trail_that_is_full_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trail = Audit(tmp_path / "trail.jsonl")
    monkeypatch.setattr(os, "write", lambda file, line: 3)
    with pytest.raises(AuditFull):
        trail.write(who="-")
    trail.close()


def test_elsewhere_needs_tokens_and_tls(tmp_path: Path) -> None:
    require_safe(address_of("127.0.0.1:8000"), 0, None, None, False)
    with pytest.raises(ValueError, match="give --tokens"):
        require_safe(address_of("0.0.0.0:8000"), 0, None, None, True)
    with pytest.raises(ValueError, match="--behind-proxy"):
        require_safe(address_of("[::]:8000"), 1, None, None, False)
    require_safe(address_of("0.0.0.0:8000"), 1, None, None, True)
    with pytest.raises(ValueError, match="no PEM file"):
        file = tmp_path / "key.pem"
        file.write_text("x")
        require_safe(address_of("0.0.0.0:8000"), 1, file, file, False)


def test_tokens_that_others_can_read_or_guess_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("k" * 32 + "\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        access_of(file)
    file.chmod(0o600)
    own = access_of(file)
    assert own.caller("Bearer " + "k" * 32) is not None and own.caller("Bearer " + "k" * 31) is None
    assert "kkk" not in repr(own)
    file.write_text("short")
    with pytest.raises(ValueError, match="fewer than 16"):
        access_of(file)
    file.write_text(f'[ward]\ntoken = "{WARD}"\nroles = ["predct"]')
    with pytest.raises(ValueError, match="did you mean 'predict'"):
        access_of(file)
