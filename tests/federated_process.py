"""The command line in processes of their own, forked from one that has imported everything once."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PRELOAD = ["chiasm.api", "chiasm.cli", "chiasm.federated.client", "chiasm.federated.server", "peft"]


def start(log: Path, *words: object) -> Any:
    """`chiasm federate ...` as a process; standard output and error go to a file."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    process = context.Process(
        target=_run, args=(str(log), [str(word) for word in words], dict(os.environ)), daemon=True
    )
    process.start()
    return process


def _run(log: str, words: list[str], environment: dict[str, str]) -> None:
    from chiasm.cli import main

    os.environ.update(environment)
    number = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(number, 1)
    os.dup2(number, 2)
    main(["federate", *words])
    sys.exit(0)


def until(true: Callable[[], bool], what: str, seconds: float = 90.0) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


def ended(process: Any, log: Path, seconds: float = 90.0) -> str:
    """What it said, once it has ended well."""
    process.join(seconds)
    text = log.read_text() if log.exists() else ""
    assert process.exitcode == 0, f"{log.name}: exit {process.exitcode}\n{text}"
    return text
