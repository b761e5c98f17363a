"""Replicas under Ray Serve: the same answers, and none lost when one is killed, behind the same guard and trail."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.errors import Unsupported
from chiasm.serving import batching
from chiasm.serving.audit import Audit
from chiasm.serving.batching import FailedElsewhere
from chiasm.serving.faults import Refused, refused
from chiasm.serving.replica import Replica
from chiasm.serving.replicas import require_possible
from chiasm.serving.settings import Limits
from lighter_trials import only_ridges
from served_models import as_json, asked, cohort, frames, stored

TOKEN = "w" * 32
VALUE = 4.678912
BODY: dict[str, Any] = {"patients": [{"lab": {"crp": VALUE}}]}


class Held:
    """What Ray would hold."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Iterator[Any]:
        yield from ()
        return self.value


def answered(replica: Replica, key: str, model: Any, live: tuple[str, ...] = ()) -> Any:
    return asyncio.run(replica.answer("predict", key, [Held(model)], live, [object()], {}))  # type: ignore[list-item]


def test_a_replica_raises_nothing_and_tells_no_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Replica(Limits(wait_seconds=0.0), str(tmp_path))
    does: Callable[..., Any] = lambda loaded, *_: [{"model": loaded}]  # noqa: E731
    monkeypatch.setattr(batching, "answers_of", lambda *given: does(*given))
    assert answered(replica, "a", "first").given() == [{"model": "first"}]
    reply = answered(replica, "b", "second", ("b",))
    assert reply.given() == [{"model": "second"}] and {number for number, _ in reply.batches} == {1}
    assert answered(replica, "a", "again").given() == [{"model": "again"}]  # it was forgotten: nobody serves it now

    def refuses(*_: Any) -> Any:
        raise refused(422, "odd", "it is odd", "patients[0]", retry_after=3)

    does = refuses
    with pytest.raises(Refused) as told:
        answered(replica, "a", "x").given()
    assert (told.value.status, told.value.code, told.value.retry_after) == (422, "odd", 3)

    def fails(*_: Any) -> Any:
        raise KeyError(f"Schmidt {VALUE}")

    does = fails
    reply = answered(replica, "a", "x")
    assert "Schmidt" not in repr(reply.failed) and str(VALUE) not in repr(reply.failed)
    with pytest.raises(FailedElsewhere) as failed:
        reply.given()
    assert failed.value.place[:2] == ("KeyError", __name__)


def test_what_cannot_be_is_told_before_anything_is_started(
    served_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="1 or more"):
        require_possible(-1, Path("/short"))
    with pytest.raises(ValueError, match="TMPDIR"):
        require_possible(2, Path("/" + "long" * 12))
    monkeypatch.setitem(sys.modules, "ray", None)  # as where it is not installed
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(Unsupported, match="scale"), asked([served_folder], replicas=2, audit=tmp_path / "a.jsonl"):
        pass
    assert [own.name for own in tmp_path.iterdir()] == ["a.jsonl"]
    Audit(tmp_path / "a.jsonl").close()  # nobody holds it


class Served:
    """`chiasm serve --replicas 2` as a user starts it."""

    def __init__(self, folder: Path, model: Path, *words: str) -> None:
        self.out, self.err, self.audit = folder / "out.jsonl", folder / "err.txt", folder / "audit.jsonl"
        tokens = folder / "token"
        tokens.write_text(TOKEN)
        tokens.chmod(0o600)
        command = [sys.executable, "-m", "chiasm", "serve", str(model), "--listen", "127.0.0.1:0", "--json"]
        command += ["--tokens", str(tokens), "--audit", str(self.audit), *words]
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(command, stdout=out, stderr=err, env={**os.environ, "TMPDIR": "/tmp"})
        self.port = self.until("listening")["port"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def until(self, event: str, seconds: float = 400.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not (found := [own for own in self.events if own["event"] == event]):
            assert time.monotonic() < end and self.process.poll() is None, self.err.read_text()
            time.sleep(0.1)
        return found[-1]

    def ask(self, path: str, body: Any, token: str = TOKEN) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"content-type": "application/json", "authorization": f"Bearer {token}"}
            connection.request("POST", path, json.dumps(body), headers)
            found = connection.getresponse()
            return found.status, json.loads(found.read())
        finally:
            connection.close()

    def processes(self, name: str) -> list[int]:
        """Processes of Ray that this service, or one of its own, has started."""
        found, above = {}, {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                words = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                above[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if name in words.partition(" ")[0]:
                found[int(place.name)] = words
        return [pid for pid in found if self.process.pid in (above[pid], above.get(above[pid]))]

    def replicas(self, number: int = 2) -> list[int]:
        end = time.monotonic() + 120
        while len(found := self.processes("ServeReplica")) < number:
            assert time.monotonic() < end, "a lost replica was not replaced"
            time.sleep(0.2)
        return found


@pytest.fixture(scope="module")
def served(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    pytest.importorskip("ray.serve")
    folder = tmp_path_factory.mktemp("replicas")
    shutil.copytree(served_folder, folder / "risk")
    own = Served(folder, folder / "risk", "--replicas", "2", "--unfamiliar", "flag")
    yield own
    own.process.kill()
    own.process.wait()


@pytest.mark.nightly
def test_replicas_answer_as_the_model_does_and_none_is_lost(served: Served, served_folder: Path) -> None:
    ids, blocks = frames(21, seed=5)
    offline = chiasm.load_model(served_folder).predict(cohort(21, seed=5, target=False))["p_yes"].to_numpy()
    body = as_json(blocks, ids.index)

    def predicted() -> np.ndarray:
        status, told = served.ask("/predict", body)
        assert status == 200, told
        return np.array([own["prediction"]["p_yes"] for own in told["patients"]])

    assert np.abs(predicted() - offline).max() <= 1e-6
    assert served.ask("/predict", body, "x" * 32)[0] == 401
    status, told = served.ask("/explain", BODY)
    assert status == 200 and told["patients"][0]["outputs"]

    (store,) = served.processes("gcs_server")
    assert b"RAY_AUTH_MODE=token" in Path(f"/proc/{store}/environ").read_bytes()
    many = {"patients": body["patients"] * 10}

    def asked_for_many(_: int) -> list[float]:
        status, told = served.ask("/predict", many)
        assert status == 200, told
        return [own["prediction"]["p_yes"] for own in told["patients"]]

    for _ in range(4):  # until one was killed that had something in its hands
        victim, other = served.replicas()
        with ThreadPoolExecutor(12) as pool:
            waiting = [pool.submit(asked_for_many, k) for k in range(48)]
            waiting[6].result()  # both have answered
            os.kill(victim, signal.SIGSTOP)  # it takes requests, and answers none
            time.sleep(1.0)
            os.kill(victim, signal.SIGKILL)
            for own in waiting:
                assert np.abs(np.array(own.result()) - np.tile(offline, 10)).max() <= 1e-6
        assert victim not in (now := served.replicas()) and other in now
        if any(event["event"] == "asked-again" for event in served.events):
            break
    assert served.until("asked-again", 1.0)
    assert np.abs(predicted() - offline).max() <= 1e-6


@pytest.mark.nightly
def test_a_new_model_takes_its_place_in_every_replica(served: Served, tmp_path: Path) -> None:
    with only_ridges():
        other = stored(tmp_path / "other", seed=7)
    ids, blocks = frames(7, seed=5)
    expected = chiasm.load_model(other).predict(cohort(7, seed=5, target=False))["p_yes"].to_numpy()
    place = served.audit.parent / "risk"
    place.rename(tmp_path / "before")
    other.rename(place)
    assert served.ask("/admin/reload", {})[0] == 200
    for _ in range(12):  # each replica more than once
        status, told = served.ask("/predict", as_json(blocks, ids.index))
        found = [own["prediction"]["p_yes"] for own in told["patients"]]
        assert status == 200 and np.abs(np.array(found) - expected).max() <= 1e-6


@pytest.mark.nightly
def test_no_value_stands_in_what_ray_writes(served: Served) -> None:
    assert served.ask("/predict", BODY)[0] == 200
    assert served.ask("/predict", {"patients": [{"Schmidt": {"crp": VALUE}}]})[0] == 422
    assert served.ask(f"/models/Schmidt-{VALUE}/predict", BODY)[0] == 404
    (place,) = Path("/tmp").glob(f"chiasm-serve-{served.process.pid}-*")
    assert place.stat().st_mode & 0o077 == 0
    written = [own for own in place.rglob("*") if own.is_file()]
    assert any("replica_" in own.name for own in written)
    for own in (*written, served.out, served.err, served.audit):
        text = own.read_bytes()
        assert b"Schmidt" not in text and str(VALUE).encode() not in text and TOKEN.encode() not in text, own.name


@pytest.mark.nightly
def test_it_ends_under_load_and_every_answer_is_written_down(served: Served) -> None:
    stop = threading.Event()
    found: list[int] = []

    def asking() -> None:
        while not stop.is_set():
            try:
                found.append(served.ask("/predict", BODY)[0])
            except OSError:  # it does not listen any more
                return

    before = sum('"status":200' in line and '"predict"' in line for line in served.audit.read_text().splitlines())
    threads = [threading.Thread(target=asking) for _ in range(4)]
    for own in threads:
        own.start()
    time.sleep(1.5)
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(90) == 0
    stop.set()
    for own in threads:
        own.join()
    lines = [json.loads(line) for line in served.audit.read_text().splitlines()]
    kept = sum(line["what"] == "predict" and line["status"] == 200 for line in lines) - before
    assert set(found) <= {200, 503} and kept == found.count(200) > 10
    assert lines[-1]["what"] == "stop" and chiasm.verify_audit(served.audit).wrong is None
    assert not list(Path("/tmp").glob(f"chiasm-serve-{served.process.pid}-*"))
