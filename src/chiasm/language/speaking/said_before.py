"""What was said before, on disk: an answer that was given is not asked for again, also after a kill.

A file of SQLite. It holds hashes of prompts and the answers, no prompt, and only its owner reads it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chiasm.language.speaking.speaker import Manner, Said, Weighed

SECONDS = 60.0
"""How long another process may hold the file."""
SCHEMA = 1


class SaidBefore:
    """Answers by what was asked: of whom, in which words, and in which manner.

    Raises:
        ValueError: the file is none of answers, or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600, exist_ok=True)
        with self._open() as held:
            (version,) = held.execute("PRAGMA user_version").fetchone()
            if version not in (0, SCHEMA):
                raise ValueError(f"'{path.name}' holds answers of another version: name another file")
            held.execute("CREATE TABLE IF NOT EXISTS answers (asked TEXT PRIMARY KEY, said TEXT NOT NULL)")
            held.execute(f"PRAGMA user_version = {SCHEMA}")

    def said(self, identity: str, prompt: str, manner: Manner) -> Said | None:
        """The answer that was given to a prompt, None where there is none yet."""
        row = self._of(key_of(identity, prompt, manner))
        return None if row is None else Said(**row)

    def weighed(self, identity: str, prompt: str, names: Sequence[str]) -> Weighed | None:
        """What was weighed behind a prompt, None where nothing was yet."""
        row = self._of(key_of(identity, prompt, names))
        return None if row is None else Weighed(tuple(row["scores"]), row["read"], row["cut"])

    def keep(self, identity: str, prompt: str, how: Manner | Sequence[str], given: Said | Weighed) -> None:
        """Keep an answer, whole or not at all; one that is there stays."""
        row = (key_of(identity, prompt, how), json.dumps(vars(given)))
        with self._open() as held:
            held.execute("INSERT OR IGNORE INTO answers VALUES (?, ?)", row)

    def __len__(self) -> int:
        with self._open() as held:
            return int(held.execute("SELECT COUNT(*) FROM answers").fetchone()[0])

    def _of(self, key: str) -> dict[str, Any] | None:
        with self._open() as held:
            row = held.execute("SELECT said FROM answers WHERE asked = ?", (key,)).fetchone()
        return None if row is None else dict(json.loads(row[0]))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection, and a transaction that ends with it."""
        try:
            held = sqlite3.connect(self.path, timeout=SECONDS)
            try:
                with held:
                    yield held
            finally:
                held.close()
        except sqlite3.OperationalError as error:
            raise ValueError(f"'{self.path.name}' cannot be read or written ({error}): name another file") from None
        except sqlite3.DatabaseError:
            raise ValueError(
                f"'{self.path.name}' holds no answers that can be read: name another file, or remove it"
            ) from None


def key_of(identity: str, prompt: str, how: Manner | Sequence[str]) -> str:
    """Hash of who is asked, what, and how: a manner, or the names that are weighed."""
    way = ["says", *vars(how).values()] if isinstance(how, Manner) else ["weighs", *how]
    return hashlib.sha256(json.dumps([identity, prompt, way]).encode()).hexdigest()
