"""The audit trail: a line of JSON for each request, appended, and chained by hashes so that a changed line is found.

    {"at": ..., "who": ..., "what": "predict", "model": ..., "sha256": ..., "patterns": {...}, "status": 200, ...,
     "previous": hash of the line before, "hash": SHA-256 of this line without it}

No identifier and no value of a patient stands in it. The chain finds a line that was changed, taken out or put in. Who
can write the file can write it all anew: keep the last hash elsewhere, or the file where it can only be appended to.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

if sys.platform != "win32":
    import fcntl

START = "0" * 64
LONGEST = 1 << 16  # bytes of a line
AFTER_TORN = "torn"  # key of the first line after one that a crash cut short


class AuditFull(OSError):
    """The audit trail cannot be written."""


class Audit:
    """An open audit trail, whose only writer this process is.

    Args:
        path: the file, made with mode 600 where there is none.

    Raises:
        OSError: it cannot be opened.
        ValueError: another process writes it, or its last line is not one of a trail.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o600)
        try:
            if sys.platform != "win32":
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise ValueError(
                        f"'{path}' is the audit trail of another service that runs: name another"
                    ) from None
            self.last, self._torn = self._tail()
        except BaseException:
            os.close(self._file)
            raise
        self.full = False

    def _tail(self) -> tuple[str, bool]:
        size = os.fstat(self._file).st_size
        if not size:
            return START, False
        os.lseek(self._file, max(0, size - 2 * LONGEST), os.SEEK_SET)
        lines = os.read(self._file, 2 * LONGEST).split(b"\n")
        torn = lines[-1] != b""
        for line in reversed(lines[:-1]):
            if (found := _line(line)) is not None:
                return str(found["hash"]), torn
            torn = True  # a cut line that was ended since
        if size > 2 * LONGEST or len(lines) > 1:
            raise ValueError(f"'{self.path}' is no audit trail: name another file")
        return START, torn

    def write(self, **facts: Any) -> None:
        """Append a line.

        Raises:
            AuditFull: it cannot be written, and nothing of it stands in the file.
        """
        with self._lock:
            record = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **facts, "previous": self.last}
            if self._torn:
                record[AFTER_TORN] = True
            digest = digest_of(record)
            line = json.dumps({**record, "hash": digest}, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
            line = b"\n" + line if self._torn else line
            before = os.fstat(self._file).st_size
            try:
                written = os.write(self._file, line)
                if written < len(line):
                    raise OSError("the line was cut short")
            except OSError as error:
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, before)
                self.full = True
                raise AuditFull(f"the audit trail cannot be written: {error.strerror or error}") from None
            self.full, self._torn, self.last = False, False, digest

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        os.close(self._file)


@dataclass(frozen=True)
class Verified:
    """What was found in an audit trail: its number of lines, the last hash, the first line that is wrong and why."""

    lines: int
    last: str
    wrong: int | None = None
    why: str = ""


def verify_audit(path: Path | str) -> Verified:
    """Follow the chain of an audit trail from its first line to its last.

    A line that a crash cut short is no fault where the next line says so.
    """
    last, number, cut = START, 0, 0
    with Path(path).open("rb") as file:
        for number, raw in enumerate(file, 1):
            if not raw.strip():
                continue
            record = _line(raw)
            if record is None:
                if cut:
                    return Verified(number - 1, last, cut, "it is no line of an audit trail")
                cut = number
                continue
            if cut and not record.get(AFTER_TORN):
                return Verified(number - 1, last, cut, "it is no line of an audit trail")
            cut = 0
            claimed = record.pop("hash")
            if record.get("previous") != last:
                return Verified(number - 1, last, number, "a line before it was taken out, put in or changed")
            if digest_of(record) != claimed:
                return Verified(number - 1, last, number, "it was changed")
            last = claimed
    if cut:
        return Verified(number - 1, last, cut, "it was cut short")
    return Verified(number, last)


def digest_of(record: dict[str, Any]) -> str:
    """Return the hash of a line without its own."""
    text = json.dumps(record, ensure_ascii=True, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _line(raw: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("hash"), str) else None
