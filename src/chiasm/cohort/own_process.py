"""Read a file with a C library in a process of its own, which may break down without taking this one with it.

A script beside this file does the reading; the script imports nothing of chiasm, so that it starts quickly. What it
writes to its standard output is the length of a header (8 bytes), the header as JSON, and arrays.
"""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chiasm.errors import Unsupported


def require_package(package: str, what: str, extra: str) -> None:
    """Raise `Unsupported` if a package that reads such files is missing, which is not imported here."""
    if find_spec(package) is None:
        raise Unsupported(f'{what} need {package.replace("_", "-")}: pip install "chiasm[{extra}]"')


@dataclass(frozen=True)
class Answer:
    """What a script left: its exit code, 0 where all is well, then `header` and `rest`; else the numbers it `said`."""

    code: int
    header: dict[str, Any]
    rest: memoryview
    said: tuple[int, ...] = ()


def ask(script: str, *words: object) -> Answer:
    """Run a script of this folder on a file and return what it found; a code below zero is a break-down."""
    command = [sys.executable, "-P", str(Path(__file__).with_name(script)), *map(str, words)]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").splitlines()
        numbers = [int(word) for word in (lines[-1].split() if lines else []) if word.isdecimal()]
        return Answer(done.returncode, {}, memoryview(b""), tuple(numbers))
    (length,) = struct.unpack("<Q", done.stdout[:8])
    header = json.loads(done.stdout[8 : 8 + length].decode("utf-8", "surrogatepass"))
    return Answer(0, header, memoryview(done.stdout)[8 + length :])
