"""What `own_process` reads in a process of its own, in a fork of the fuzzer's: thousands a minute, each apart.

A fork that breaks down is no broken law, since nothing but that process ends; one that goes on without end, or takes
more memory than it may, is.
"""

from __future__ import annotations

import inspect
import io
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

from chiasm.cohort import own_process

MOST_SECONDS, MOST_MEGABYTES = 5, 1000


class OwnProcessError(Exception):
    """A process that went on, or grew, too far."""


def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
    """In place of `subprocess.run`."""
    main = import_module(f"chiasm.cohort.{Path(command[2]).stem}").main
    kinds = [own.annotation for own in inspect.signature(main).parameters.values()]
    words = [int(word) if kind == "int" else word for word, kind in zip(command[3:], kinds, strict=True)]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = os.fork()
        if not child:
            _child(main, words, out.fileno(), said.fileno())
        _, status, used = os.wait4(child, 0)
        if used.ru_utime + used.ru_stime > MOST_SECONDS:
            raise OwnProcessError(f"{used.ru_utime + used.ru_stime:.1f} s")
        if used.ru_maxrss > MOST_MEGABYTES << 10:
            raise OwnProcessError(f"{used.ru_maxrss >> 10} MB")
        out.seek(0)
        said.seek(0)
        return subprocess.CompletedProcess(command, os.waitstatus_to_exitcode(status), out.read(), said.read())


def _child(main: Callable[..., int], words: list[str | int], out: int, said: int) -> None:
    """Run the script, and end."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS + 1, MOST_SECONDS + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        sys.stdout = io.TextIOWrapper(io.FileIO(out, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(io.FileIO(said, "w", closefd=False))
        os.dup2(said, 2)  # of C libraries
        code = main(*words)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


@contextmanager
def forks() -> Iterator[None]:
    """Read in forks, which find imported what the scripts import."""
    for package in ("pyreadstat", "cyvcf2"):
        import_module(package)
    with patch.object(own_process.subprocess, "run", run):
        yield
