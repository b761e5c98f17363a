"""A service as a process: it ends well, loads new models without losing a request, and outlives slow clients."""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from chiasm.serving.settings import Limits
from lighter_trials import only_ridges
from served_models import stored
from served_process import Process, service

BODY: dict[str, Any] = {"patients": [{"lab": {"crp": 4.5}}]}
SENT = json.dumps(BODY).encode()
TYPE = "Content-Type: application/json"
HEAD = f"POST /predict HTTP/1.1\r\nHost: localhost\r\n{TYPE}\r\nContent-Length: {len(SENT)}\r\n\r\n"
SLOW = Limits(wait_seconds=0.0, header_seconds=0.6, body_seconds=0.6, concurrency=2, grace_seconds=10)


def rest_of(own: socket.socket) -> bytes:
    found = b""
    try:
        while part := own.recv(65536):
            found += part
    except ConnectionResetError:
        pass
    return found


def test_what_was_begun_is_finished_when_it_is_told_to_stop(served_folder: Path, tmp_path: Path) -> None:
    audit = tmp_path / "audit.jsonl"
    with service(tmp_path, [served_folder], audit=audit) as own:
        assert own.ask("POST", "/predict", BODY)[0] == 200
        scratch = list(Path(os.environ.get("TMPDIR", "/tmp")).glob(f"chiasm-serve-{own.pid}-*"))
        assert len(scratch) == 1 and scratch[0].stat().st_mode & 0o077 == 0
        with own.connect() as begun:
            begun.sendall(HEAD.encode() + SENT[:10])
            time.sleep(0.3)
            own.kill()
            own.until("stopping")
            time.sleep(0.3)
            with pytest.raises(OSError):
                own.connect().close()
            begun.sendall(SENT[10:])
            answer = rest_of(begun)
        assert answer.startswith(b"HTTP/1.1 200") and b'"prediction"' in answer
        assert own.wait() == 0 and not scratch[0].exists()
    assert json.loads(audit.read_text().splitlines()[-1])["what"] == "stop"


def trickled(own: socket.socket, text: bytes) -> bytes:
    """What comes back of a client that sends a byte each tenth of a second, and never all of it."""
    start = time.monotonic()
    with suppress(ConnectionError):
        for byte in text:
            own.sendall(bytes([byte]))
            time.sleep(0.1)
    found = rest_of(own)
    assert time.monotonic() - start < 2, "each byte gave it time anew"
    return found


def test_slow_clients_are_let_go_of_and_others_are_answered(served_folder: Path, tmp_path: Path) -> None:
    with service(tmp_path, [served_folder], limits=SLOW) as own, ExitStack() as sockets:
        silent, *holding = (sockets.enter_context(own.connect()) for _ in range(3))
        for one in holding:
            one.sendall(HEAD.encode() + SENT[:5])
        time.sleep(0.3)
        status, told, headers = own.ask("POST", "/predict", BODY)
        assert (status, told["error"]["code"], headers["retry-after"]) == (503, "busy", "1")
        assert own.ask("GET", "/health/ready")[0] == 200
        assert trickled(holding[0], SENT[5:-1]).startswith(b"HTTP/1.1 408")
        assert rest_of(holding[1]).startswith(b"HTTP/1.1 408")
        assert rest_of(silent) == b""
        assert trickled(sockets.enter_context(own.connect()), HEAD.encode()[:24]) == b""
        assert own.ask("POST", "/predict", BODY)[0] == 200


@pytest.mark.nightly
def test_200_clients_at_once_are_answered_without_an_error(served_folder: Path, tmp_path: Path) -> None:
    with service(tmp_path, [served_folder]) as own:
        (alone,) = own.ask("POST", "/predict", BODY)[1]["patients"]
        found: list[tuple[int, Any]] = []
        here = threading.Barrier(200)

        def client() -> None:
            here.wait(60)
            for _ in range(3):
                status, told, _ = own.ask("POST", "/predict", BODY)
                found.append((status, told["patients"][0]["prediction"]["p_yes"] if status == 200 else told))

        threads = [threading.Thread(target=client) for _ in range(200)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert own.ask("GET", "/health/ready")[0] == 200
    assert len(found) == 600 and {status for status, _ in found} == {200}
    answers = [answer for _, answer in found]
    assert answers == pytest.approx([alone["prediction"]["p_yes"]] * 600, abs=1e-6)


def asking(own: Process, found: list[tuple[int, str, float]], end: threading.Event) -> None:
    while not end.is_set():
        status, told, _ = own.ask("POST", "/predict", BODY)
        answer = told["patients"][0]["prediction"]["p_yes"] if status == 200 else -1.0
        found.append((status, told.get("model", {}).get("sha256", ""), answer))


def test_a_model_is_replaced_and_no_request_is_lost(tmp_path: Path) -> None:
    with only_ridges():
        folder = stored(tmp_path / "risk")
        other = stored(tmp_path / "other", seed=7)
    with service(tmp_path, [folder]) as own:
        found: list[tuple[int, str, float]] = []
        end = threading.Event()
        threads = [threading.Thread(target=asking, args=(own, found, end)) for _ in range(3)]
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        folder.rename(tmp_path / "old")
        own.kill(signal.SIGHUP)
        assert "gone" in own.until("kept")["reason"]  # and the one before goes on
        other.rename(folder)
        own.kill(signal.SIGHUP)
        own.until("loaded")
        while len({digest for _, digest, _ in list(found)}) < 2:
            own.until("loaded")
            time.sleep(0.02)
        end.set()
        for thread in threads:
            thread.join()
    assert {status for status, _, _ in found} == {200}
    assert len({(digest, answer) for _, digest, answer in found}) == 2, "an answer of one model under the other's hash"


def test_a_broken_model_leaves_the_one_before(tmp_path: Path, served_folder: Path) -> None:
    versions = tmp_path / "risk"
    versions.mkdir()
    (versions / "v2").symlink_to(served_folder)
    with service(tmp_path, [versions]) as own:
        broken = versions / "v10"
        broken.mkdir()
        (broken / "model.json").write_text("{}")
        own.kill(signal.SIGHUP)
        assert own.until("kept")["model"] == "risk/v10"
        _, told, _ = own.ask("GET", "/models")
        assert [model["version"] for model in told["models"]] == ["v2"] and list(told["failed"]) == ["risk/v10"]
        assert own.ask("POST", "/models/risk/versions/v2/predict", BODY)[0] == 200
        assert own.ask("POST", "/models/risk/versions/v10/predict", BODY)[0] == 404
