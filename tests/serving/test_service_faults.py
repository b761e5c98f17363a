"""What goes wrong around a service: its thread is ended, its disk is full, it is told to stop under load."""

from __future__ import annotations

import ctypes
import json
import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from chiasm.serving import batching
from chiasm.serving.audit import verify_audit
from chiasm.serving.service import Service
from chiasm.serving.settings import Limits
from served_process import Process, service

BODY: dict[str, Any] = {"patients": [{"lab": {"crp": 4.5}}]}


class EndsItsThread:
    """An extension: `/end` raises `SystemExit` in the thread of the models, wherever that is; `/slow` keeps it busy."""

    def __call__(self, app: FastAPI, own: Service) -> None:
        whole, busy, begun = batching.answers_of, threading.Event(), threading.Event()

        def answers(*given: Any) -> Any:
            if busy.is_set():
                begun.set()
            until = time.monotonic() + (10.0 if busy.is_set() else 0.0)
            while time.monotonic() < until:  # in steps of Python, between which it can be ended
                pass
            return whole(*given)

        batching.answers_of = answers

        @app.get("/end")
        async def end() -> int:
            (thread,) = (one for one in threading.enumerate() if one.name == "model")
            ended = ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit)
            )
            busy.clear()
            return int(ended)

        @app.get("/slow")
        async def slow() -> None:
            busy.set()

        @app.get("/begun")
        async def has_begun() -> bool:
            return begun.is_set()


def test_a_thread_that_is_ended_goes_on(served_folder: Path, tmp_path: Path) -> None:
    limits = Limits(wait_seconds=0.0, answer_seconds=20)
    with service(tmp_path, [served_folder], extensions=[EndsItsThread()], limits=limits) as own:
        assert own.ask("POST", "/predict", BODY)[0] == 200
        assert own.ask("GET", "/end")[1] == 1  # as it waits
        assert own.ask("POST", "/predict", BODY)[0] == 200
        assert own.ask("GET", "/slow")[0] == 200
        with ThreadPoolExecutor(2) as pool:  # as it works: that request fails, and the one that waits does not
            first = pool.submit(own.ask, "POST", "/predict", BODY)
            while not own.ask("GET", "/begun")[1]:
                time.sleep(0.02)
            second = pool.submit(own.ask, "POST", "/predict", BODY)
            time.sleep(0.1)
            assert own.ask("GET", "/end")[1] == 1
            status, told, _ = first.result()
            assert (status, told["error"]["code"]) == (500, "failed")
            assert second.result()[0] == 200
        assert own.ask("GET", "/health/ready")[0] == 200 and not own.ended()
        assert {event["error"] for event in own.events if event["event"] == "failed"} == {"SystemExit"}


class LittleRoom:
    """An extension: files of this process may have so many bytes, until `/room` is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, app: FastAPI, own: Service) -> None:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, most))

        @app.get("/room")
        async def room() -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))


def test_a_disk_without_room_for_the_trail_stops_answers_and_no_line_is_cut(
    served_folder: Path, tmp_path: Path
) -> None:
    trail = tmp_path / "audit.jsonl"
    with service(tmp_path, [served_folder], extensions=[LittleRoom(3_000)], audit=trail) as own:
        answered = 0
        while (found := own.ask("POST", "/predict", BODY))[0] == 200:
            answered += 1
        assert (found[0], found[1]["error"]["code"]) == (503, "audit-full") and 2 < answered < 10
        assert len(trail.read_bytes()) <= 3_000 and trail.read_bytes().endswith(b"\n")
        assert own.ask("GET", "/health/ready")[0] == 503 and own.ask("GET", "/health/live")[0] == 200
        assert own.until("audit-full")["refusing"]
        assert own.ask("GET", "/room")[0] == 200
        assert own.ask("POST", "/predict", BODY)[0] == 200 and own.ask("GET", "/health/ready")[0] == 200
        own.kill()
        assert own.wait() == 0
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    assert sum(line["status"] == 200 and line["what"] == "predict" for line in lines) == answered + 1
    assert verify_audit(trail).wrong is None and verify_audit(trail).lines == len(lines)


def test_it_is_told_to_stop_under_load(served_folder: Path, tmp_path: Path) -> None:
    trail = tmp_path / "audit.jsonl"
    found: list[int] = []

    def asking(own: Process) -> None:
        while True:
            try:
                found.append(own.ask("POST", "/predict", BODY)[0])
            except OSError:  # nobody listens any more
                return

    with service(tmp_path, [served_folder], audit=trail) as own:
        threads = [threading.Thread(target=asking, args=(own,)) for _ in range(6)]
        for one in threads:
            one.start()
        while len(found) < 20:
            time.sleep(0.02)
        own.kill()
        assert own.wait() == 0
        for one in threads:
            one.join()
    lines = [json.loads(line) for line in trail.read_text().splitlines()]
    kept = sum(line["status"] == 200 and line["what"] == "predict" for line in lines)
    assert set(found) <= {200, 503} and kept == found.count(200), "an answer that is not written down, or was lost"
    assert lines[-1]["what"] == "stop" and verify_audit(trail).wrong is None
