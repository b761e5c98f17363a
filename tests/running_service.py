"""A service that listens in a thread of this process, for a real browser."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


@contextlib.contextmanager
def running(folder: Path, **options: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """A service on a free port; and what ends it."""
    from chiasm.api.serving import serving_app

    uvicorn = pytest.importorskip("uvicorn")
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        app = serving_app([f"risk={folder}"], **options)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", ws="none", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [own]}, daemon=True)
        thread.start()
        until = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        assert server.started

        def stop() -> None:
            server.should_exit = True
            thread.join(20)

        yield f"http://127.0.0.1:{own.getsockname()[1]}", stop
        stop()
