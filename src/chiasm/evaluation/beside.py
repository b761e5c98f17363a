"""Results about a finished trial that are kept in its folder for its page, each with a hash of what it is about.

A file holds what was asked, the answer, and the SHA-256 of the predictions and outcomes of the folder. Where these have
changed since, the answer is about another trial: it is read back with `changed`, and none of its numbers are shown.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.artifact import write_text
from chiasm.limits import RUN_JSON_BYTES, TABLE_BYTES, require_regular

NOT_AT_RANDOM, INTERACTION = "not_at_random", "interaction"
EXPLAINED, SURE, COLLECTED, STRESSED = "explained", "sure", "collected", "stressed"
MODEL, WHOLE = "model", "full_report.json"
PARTS = {
    NOT_AT_RANDOM: ("asked", "number", "of", "reported", "tipping", "imputations", "sentence", "rows"),
    INTERACTION: ("asked", "leaks", "rows"),
    EXPLAINED: ("asked", "said", "columns", "checks", "rows"),
    SURE: ("asked", "said", "rows"),
    COLLECTED: ("asked", "leaks", "rows"),
    STRESSED: ("asked", "metric", "leaks", "not_attacked", "attacks", "rows"),
}
"""What each file holds, beside the hash; rows are those of a table."""
ABOUT = ("predictions.parquet", "outcomes.parquet")
_PIECE = 1 << 20


def keep(folder: Path, name: str, table: pd.DataFrame, **answer: Any) -> Path:
    """Write a result of `PARTS` into a run folder, whole or not at all, and return the file; an older one is replaced.

    Args:
        folder: of a finished trial.
        table: the rows of the result.
        answer: its other parts.
    """
    parts = {**answer, "rows": rows_held(table)}
    file = folder / f"{name}.json"
    document = {"about": hash_of(folder), **{part: parts[part] for part in PARTS[name]}}
    write_text(file, json.dumps(document, indent=1, allow_nan=False, ensure_ascii=False))
    return file


def begun_anew(folder: Path, asked: dict[str, Any]) -> None:
    """Note what a full report is asked with; parts and a model of an earlier one that was asked otherwise are removed.

    Raises:
        FileExistsError: the folder holds a model that no full report has made.
    """
    file = folder / WHOLE
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else None
    if before == asked:
        return
    if before is None and (folder / MODEL).exists():
        raise FileExistsError(17, "was there before, and is no model of a full report: move it", str(folder / MODEL))
    for name in (EXPLAINED, SURE, COLLECTED, STRESSED):
        (folder / f"{name}.json").unlink(missing_ok=True)
    if (folder / MODEL).exists():
        shutil.rmtree(folder / MODEL)
    write_text(file, json.dumps(asked, indent=1))


def rows_held(table: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows of a table as JSON can hold them: None where there is no number, or where it has no end."""
    return [{str(key): _held(value) for key, value in row.items()} for row in table.to_dict("records")]


def beside(folder: Path, error: type[ValueError]) -> dict[str, Any]:
    """Read back the results that a run folder keeps, by name; `changed` says that its predictions are others since.

    Args:
        error: raised of a file that does not hold what it should.
    """
    found: dict[str, Any] = {}
    for name, parts in PARTS.items():
        file = folder / f"{name}.json"
        if not file.is_file():
            continue
        try:
            require_regular(file, RUN_JSON_BYTES)
            own = json.loads(file.read_text(encoding="utf-8"))
            sound = isinstance(own, dict) and {"about", *parts} <= own.keys() and _are_rows(own["rows"])
        except (ValueError, OSError, RecursionError):  # a LimitError among them
            sound = False
        if not sound:
            raise error(f"'{folder.name}/{file.name}' is damaged: delete it, or have it written again")
        found[name] = {**own, "changed": own["about"] != hash_of(folder)}
    return found


def table_of(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows that were kept, as their table again: NaN where there was no number."""
    return pd.DataFrame([{key: math.nan if value is None else value for key, value in row.items()} for row in rows])


def hash_of(folder: Path) -> str:
    """SHA-256 of the predictions and outcomes of a run folder, in hexadecimal digits."""
    found = hashlib.sha256()
    for name in ABOUT:
        file = folder / name
        require_regular(file, TABLE_BYTES)
        with file.open("rb") as content:
            while piece := content.read(_PIECE):
                found.update(piece)
    return found.hexdigest()


def _held(value: Any) -> Any:
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value.item() if isinstance(value, np.generic) else value


def _are_rows(rows: object) -> bool:
    """True of a list of dictionaries with the same keys, one or more."""
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return False
    return all(row.keys() == rows[0].keys() for row in rows)
