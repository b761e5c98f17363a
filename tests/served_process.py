"""A service in a process of its own, forked from this one, which has imported everything."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import chiasm
import chiasm.serving.application
import chiasm.serving.server


class Process:
    """A running service."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid, self.log = pid, log
        self.port = 0
        self.code: int | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []

    def until(self, event: str, seconds: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + seconds
        while not (found := [own for own in self.events if own["event"] == event]):
            assert time.monotonic() < end and not self.ended(), f"'{event}' did not come: {self.events}"
            time.sleep(0.02)
        return found[-1]

    def ended(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if pid else None
        return self.code is not None

    def wait(self, seconds: float = 30.0) -> int:
        end = time.monotonic() + seconds
        while not self.ended():
            assert time.monotonic() < end, "the service did not end"
            time.sleep(0.02)
        assert self.code is not None
        return self.code

    def kill(self, sent: int = signal.SIGTERM) -> None:
        os.kill(self.pid, sent)

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Status, JSON and headers of one request on a connection of its own."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            sent = None if body is None else json.dumps(body).encode()
            connection.request(method, path, sent, {"content-type": "application/json", **headers})
            found = connection.getresponse()
            text = found.read()
            return found.status, json.loads(text) if text else None, dict(found.getheaders())
        finally:
            connection.close()

    def connect(self) -> socket.socket:
        own = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        own.settimeout(30)
        return own


@contextmanager
def service(folder: Path, models: Any, **options: Any) -> Iterator[Process]:
    """A service on a free port, which is killed at the end if it has not ended."""
    log = folder / f"events-{time.monotonic_ns()}.jsonl"

    def told(event: str, **facts: Any) -> None:
        with log.open("a") as file:
            file.write(json.dumps({"event": event, **facts}) + "\n")

    pid = os.fork()
    if not pid:
        code = 1
        try:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            chiasm.serve(models, listen="127.0.0.1:0", told=told, **options)
            code = 0
        except BaseException as error:
            told("broken", error=repr(error))
        finally:
            os._exit(code)
    own = Process(pid, log)
    try:
        own.port = own.until("listening")["port"]
        yield own
    finally:
        if not own.ended():
            own.kill(signal.SIGKILL)
            own.wait()
