"""A candidate that is a command: one line of JSON in for each item, one line of JSON out, in bounded time.

The item's line is written once the one before is answered, so the command has to flush what it writes. A command
that ends, or writes what is no answer to the item, has failed at this item; one that writes nothing in time was
silent. In both cases it is started again for the next one.
"""

from __future__ import annotations

import hashlib
import json
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from chiasm.bench.candidates.callables import reply_of
from chiasm.bench.item import Asked
from chiasm.bench.reply import Reply
from chiasm.bench.shots import Shot

MOST_BYTES = 1 << 20
"""Length of a line that is read; a longer one is an answer that is too long."""
STEP = 65_536


@dataclass
class CommandCandidate:
    """A program that answers a line of JSON with a line of JSON: `{"id": ..., "answer": ...}` or `"scores"`."""

    words: tuple[str, ...]
    name: str
    identity: str
    timeout: float = 60.0
    sees_attachments: bool = True

    @property
    def told(self) -> str:
        """How it was asked."""
        return f"A command got a line of JSON for each item, and had {self.timeout:g} s for its line."

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Ask one item after another; the command is started anew after a failure, and ended at last."""
        running: _Running | None = None
        try:
            for item in items:
                if running is None:
                    running = _Running(self.words)
                reply = running.ask(item, self.timeout)
                if reply.failure:
                    running.end()
                    running = None
                yield reply
        finally:
            if running is not None:
                running.end()


def open_command(text: str, *, shots: Sequence[Shot] = (), timeout: float = 60.0) -> CommandCandidate:
    """Open a command, of words as in a shell; no shell reads them.

    Raises:
        ValueError: there is no such program, or the time is not above zero.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError("the command has a quotation mark that is not closed: write it as in a shell") from None
    program = shutil.which(words[0]) if words else None
    if program is None:
        raise ValueError(f"there is no program '{words[0] if words else ''}' that can be run: name it with its path")
    if not timeout > 0:
        raise ValueError(f"a command needs more than {timeout:g} s for an item: choose a --timeout above 0")
    seen = hashlib.sha256("\0".join(words).encode())
    for file in (Path(program), *files_of(words[1:])):
        with file.open("rb") as opened:
            seen.update(hashlib.file_digest(opened, "sha256").digest())
    return CommandCandidate(tuple(words), text, seen.hexdigest(), timeout)


def files_of(words: Sequence[str]) -> list[Path]:
    """Return the files that words name: alone, behind `=`, in a command within a command, and modules behind `-m`."""
    found: list[Path] = []
    for number, word in enumerate(words):
        before = words[number - 1] if number else ""
        if before == "-m" or word.startswith("-m"):
            found += _files_of_module(word if before == "-m" else word.removeprefix("-m"))
        within = _split(word)
        places = (Path(place) for place in dict.fromkeys((word, word.partition("=")[2])) if place)
        for place in places:
            try:
                found += [own for own in (place, place / "__main__.py") if own.is_file()]
            except OSError:  # too long for a name
                continue
        if len(within) > 1:
            found += files_of(within)
    return found


def _split(word: str) -> list[str]:
    try:
        return shlex.split(word)
    except ValueError:
        return [word]


def _files_of_module(name: str) -> list[Path]:
    """Find a module as Python started here would: a file, or all files of Python in its outermost package."""
    if not all(part.isidentifier() for part in name.split(".")):
        return []
    parts = name.split(".")
    for root in (Path.cwd(), *map(Path, os.environ.get("PYTHONPATH", "").split(os.pathsep))):
        if (root / parts[0]).is_dir():
            return sorted(own for own in (root / parts[0]).rglob("*.py") if own.is_file())
        if (root / f"{name}.py").is_file():
            return [root / f"{name}.py"]
    return []


class _Running:
    """A process of a group of its own, with pipes; what it writes on standard error goes where ours goes."""

    def __init__(self, words: Sequence[str]) -> None:
        self.process = subprocess.Popen(
            list(words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.into, self.out = self.process.stdin.fileno(), self.process.stdout.fileno()
        os.set_blocking(self.into, False)
        os.set_blocking(self.out, False)
        self.rest = b""

    def ask(self, item: Asked, timeout: float) -> Reply:
        """Write the item's line and read the answer's, both before the time is over."""
        pending = (json.dumps(item.as_json()) + "\n").encode()
        end = time.monotonic() + timeout
        with selectors.DefaultSelector() as ready:
            ready.register(self.out, selectors.EVENT_READ)
            ready.register(self.into, selectors.EVENT_WRITE)
            while b"\n" not in self.rest:
                left = end - time.monotonic()
                if left <= 0:
                    return Reply(item.key, failure="silent")
                for key, _ in ready.select(left):
                    if key.fd == self.into:
                        try:
                            pending = pending[os.write(self.into, pending[:STEP]) :]
                        except BrokenPipeError:
                            pending = b""
                        if not pending:
                            ready.unregister(self.into)
                        continue
                    got = os.read(self.out, STEP)
                    if not got:
                        return Reply(item.key, failure="crashed", note=self._ended())
                    self.rest += got
                if len(self.rest) > MOST_BYTES:
                    return Reply(item.key, failure="too long")
        line, _, self.rest = self.rest.partition(b"\n")
        return self._read(item, line)

    def _read(self, item: Asked, line: bytes) -> Reply:
        if self.rest:
            return Reply(item.key, failure="crashed", note="more than one line for an item")
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            return Reply(item.key, failure="crashed", note="a line that is no JSON")
        if not isinstance(row, dict) or row.get("id") != item.key:
            return Reply(item.key, failure="crashed", note="a line without the item's id")
        if not {"answer", "scores"} & set(row):
            return Reply(item.key, failure="crashed", note="a line with neither answer nor scores")
        return reply_of(item, row["scores"] if row.get("scores") is not None else row.get("answer"))

    def _ended(self) -> str:
        try:
            return f"the command ended with {self.process.wait(1)}"
        except subprocess.TimeoutExpired:
            return "the command closed its output"

    def end(self) -> None:
        """Close its input, and end it with whatever it has started."""
        assert self.process.stdin is not None and self.process.stdout is not None
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                continue
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(0.2)
        with suppress(ProcessLookupError, PermissionError):  # none of them is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
