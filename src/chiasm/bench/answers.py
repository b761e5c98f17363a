"""Answers on disk: JSON lines under a header of items and candidate; each item once, also after a kill.

An item at which the candidate failed has no answer: it is asked again when the run goes on.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from chiasm.artifact import write_text
from chiasm.bench.item import Asked
from chiasm.bench.reply import Candidate, Reply

SCHEMA = 2
FAILED = ("crashed", "silent")
"""Failures that may be over by the next time."""
STOP_AFTER = 20
"""Failures in a row, from the first item on, after which a candidate is not asked any more."""


def header_of(suite: str, items: str, candidate: str, asking: str, seed: int = 0) -> dict[str, Any]:
    """First line of a file of answers: the digests of what was asked and of who answered."""
    return {"schema": SCHEMA, "suite": suite, "items": items, "candidate": candidate, "asking": asking, "seed": seed}


def answered(
    path: Path,
    header: dict[str, Any],
    candidate: Candidate,
    items: Sequence[Asked],
    progress: Callable[[int, int], None] = lambda done, whole: None,
) -> list[Reply]:
    """Ask a candidate every item that the file has no answer to, or a failure, and write each answer as it comes.

    Items are asked in the order of their keys, which says nothing of their place in a pair or a file. A last line that
    was cut off by a kill is dropped and its item asked again.

    Args:
        path: the file of answers; a new one is begun, one with this header gone on with.
        header: of `header_of`.
        candidate: who answers.
        items: what is asked.
        progress: called with (answered, all).

    Returns:
        The replies in the order of the items.

    Raises:
        ValueError: the file is of other items or another candidate; or it failed at the first items in a row.
    """
    known = begun(path, header)
    left = sorted((item for item in items if item.key not in known), key=lambda item: item.key)
    progress(len(known), len(items))
    waiting = {item.key for item in left}
    failed = 0 if not any(not reply.failure for reply in known.values()) else -1
    with path.open("a", encoding="utf-8") as file:
        for reply in candidate.answer(left) if left else ():
            if reply.key not in waiting:
                raise ValueError(
                    f"'{candidate.name}' answered an item twice, or one that it was not asked: it has to answer each "
                    "once"
                )
            waiting.remove(reply.key)
            file.write(line_of(reply.as_json()))
            file.flush()
            known[reply.key] = reply
            progress(len(known), len(items))
            failed = -1 if not reply.failure or failed < 0 else failed + 1
            if failed >= STOP_AFTER:
                why = f" ({reply.note})" if reply.note else ""
                raise ValueError(
                    f"'{candidate.name}' gave no answer to any of the first {STOP_AFTER} items, the last one "
                    f"{reply.failure}{why}: try it on one item by hand, then run again"
                )
        os.fsync(file.fileno())
    lacking = [item for item in items if item.key not in known]
    if lacking:
        raise ValueError(
            f"'{candidate.name}' left out {len(lacking):,} of {len(items):,} items: it has to answer each once"
        )
    return [known[item.key] for item in items]


def begun(path: Path, header: dict[str, Any]) -> dict[str, Reply]:
    """Return the answers that a file holds already; begin it where there is none.

    A line that was cut off, and failures that may be over, are taken out of the file.

    Raises:
        ValueError: its header is another one.
    """
    raw, whole = require_header(path, header)
    if not whole:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(header) + "\n", encoding="utf-8")
        path.chmod(0o600)
        return {}
    _, rows = lines_of(path, whole)
    kept = {key: reply for key, reply in rows.items() if reply.failure not in FAILED}
    if len(kept) < len(rows) or len(whole) < len(raw):
        write_text(path, "".join(line_of(row) for row in (header, *(own.as_json() for own in kept.values()))))
        path.chmod(0o600)
    return kept


def require_header(path: Path, header: dict[str, Any]) -> tuple[bytes, bytes]:
    """Return what a file of answers holds, and its whole lines; nothing where there is none.

    Raises:
        ValueError: its header is another one.
    """
    raw = path.read_bytes() if path.exists() else b""
    whole = raw[: raw.rfind(b"\n") + 1]
    first, _ = lines_of(path, whole[: whole.find(b"\n") + 1])
    if whole and first != header:
        names = {
            "suite": "another suite",
            "items": "other items",
            "candidate": "another candidate",
            "asking": "another way of asking",
            "seed": "another seed",
        }
        other = [said for key, said in names.items() if first.get(key) != header[key]] or ["another version"]
        raise ValueError(
            f"'{path.name}' holds answers of {' and '.join(other)}: choose another --out, or remove the folder"
        )
    return raw, whole


def stored(path: Path) -> tuple[dict[str, Any], dict[str, Reply]]:
    """Read a file of answers: its header, and the replies by key.

    Raises:
        ValueError: it lacks or is damaged.
    """
    if not path.is_file():
        raise ValueError(f"'{path.name}' lacks in the folder of the run: run it again with the same --out")
    raw = path.read_bytes()
    return lines_of(path, raw[: raw.rfind(b"\n") + 1])


def lines_of(path: Path, raw: bytes) -> tuple[dict[str, Any], dict[str, Reply]]:
    """Read the header and the replies of whole lines.

    Raises:
        ValueError: a line is damaged, or an item is answered twice.
    """
    found: dict[str, Reply] = {}
    first: dict[str, Any] = {}
    for number, line in enumerate(raw.splitlines(), start=1):
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise TypeError
            if number == 1:
                first = row
                continue
            reply = Reply.from_json(row)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise ValueError(f"line {number} of '{path.name}' is damaged: remove the line, and run it again") from None
        if reply.key in found:
            raise ValueError(f"line {number} of '{path.name}' answers an item a second time: remove one of them")
        found[reply.key] = reply
    return first, found


def line_of(row: dict[str, Any]) -> str:
    """Return a line of the file."""
    return json.dumps(finite(row), allow_nan=False) + "\n"


def finite(row: dict[str, Any]) -> dict[str, Any]:
    """Replace scores that JSON cannot hold by null, which is read as no number."""
    if "scores" in row:
        row = {**row, "scores": [own if math.isfinite(own) else None for own in row["scores"]]}
    return row
