"""Limits of a server: calls that one hospital has open, seconds that a call may take, lines that an event may log."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

MOST_CALLS = 4  # of one hospital at once: a poll, an answer, and those of a client that was killed and started again
THREADS_BESIDE = 8  # beside those that all hospitals together can hold: they turn away what is over a limit
WAITING_CALLS = 1000  # that wait for a thread; more are refused by gRPC itself, and tried again by a hospital's client
DOCUMENT_SECONDS = 20.0  # for the document that begins an answer
SEND_SECONDS = 3600.0  # for the adapter that follows it
CALL_SECONDS = 3600.0  # how long a hospital waits for the end of one call
SELDOM = ("joined", "left", "lost", "refused", "turned-away")  # events that a caller can bring about at will
KEEPALIVE = [("grpc.keepalive_time_ms", 30_000), ("grpc.keepalive_timeout_ms", 20_000)]
SERVER_OPTIONS = [
    *KEEPALIVE,
    ("grpc.http2.min_ping_interval_without_data_ms", 15_000),
    ("grpc.max_concurrent_streams", 100),  # of one connection
    ("grpc.max_metadata_size", 8192),
]


class OpenCalls:
    """Count of the calls that each hospital has open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one_of(self, name: str) -> Iterator[bool]:
        """Count a call while it is open; yield False if the hospital has `MOST_CALLS` open without it."""
        with self._lock:
            free = self._open[name] < MOST_CALLS
            self._open[name] += free
        try:
            yield free
        finally:
            with self._lock:
                self._open[name] -= free


@contextmanager
def within(seconds: float, context: Any, late: Callable[[], None]) -> Iterator[None]:
    """Cancel a call whose block is not finished in time, after calling `late`."""

    def end() -> None:
        late()
        context.cancel()

    clock = threading.Timer(seconds, end)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()


class Seldom:
    """Callback that passes on the 1st, 10th, 100th ... event of a kind by one hospital in a round, with its number.

    A hospital or a stranger can bring the events of `SELDOM` about as often as it likes, and fills no disk with them.
    """

    def __init__(self, told: Callable[..., None]) -> None:
        self.told = told
        self._times: Counter[tuple[str, Any, Any]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, event: str, **facts: Any) -> None:
        if event not in SELDOM:
            if event == "round":
                with self._lock:
                    self._times.clear()
            self.told(event, **facts)
            return
        with self._lock:
            key = event, facts.get("client"), facts.get("reason") if event == "turned-away" else None
            self._times[key] += 1
            times = self._times[key]
        if times == 10 ** (len(str(times)) - 1):
            shown = {"times": times} if event == "turned-away" or times > 1 else {}
            self.told(event, **facts, **shown)
