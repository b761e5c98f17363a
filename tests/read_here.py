"""Files that C libraries read in a process of their own are read in the test's, which saves the start of one each."""

from __future__ import annotations

import inspect
import io
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path

import pytest

from chiasm.cohort import own_process


def read_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the scripts of `own_process` in this process, until the end of the test."""

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        main = import_module(f"chiasm.cohort.{Path(command[2]).stem}").main
        kinds = [own.annotation for own in inspect.signature(main).parameters.values()]
        out, said = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with redirect_stdout(out), redirect_stderr(said):
            code = main(*(int(word) if kind == "int" else word for word, kind in zip(command[3:], kinds, strict=True)))
        out.flush()
        return subprocess.CompletedProcess(command, code, out.buffer.getvalue(), said.getvalue().encode())

    monkeypatch.setattr(own_process.subprocess, "run", run)
