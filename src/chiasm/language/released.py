"""Files of a release as they lie on this machine: found, and read as text, JSON or rows, or refused with what to do."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

from chiasm.errors import nearest

MOST_BYTES = 1 << 30
NO_NAME = re.compile("[\\0\ud800-\udfff]")
PICTURES = ("image", "image_bytes")
"""Columns of pictures in tables, which are not read: a candidate is handed the path of a file."""


def found_file(folder: Path, *names: str, source: str = "") -> Path:
    """Return the first of these files that lies in the folder.

    Raises:
        ValueError: none of them does, or the folder lacks.
    """
    if not folder.is_dir():
        raise ValueError(f"there is no folder '{folder.name}': name the one that holds {' or '.join(names)}")
    for name in names:
        if (folder / name).is_file():
            return folder / name
    inside = sorted(own.name for own in folder.iterdir() if own.is_file())
    like = nearest(names[0], inside)
    hint = f"; did you rename '{like}'?" if like else ""
    where = f", from {source}" if source else ""
    raise ValueError(f"'{folder.name}' lacks {' or '.join(names)}{where}{hint}")


def text_of(path: Path) -> str:
    """Read a text file in UTF-8.

    Raises:
        ValueError: it is empty, too large or not in UTF-8.
    """
    size = path.stat().st_size
    if size == 0:
        raise ValueError(f"'{path.name}' is empty: fetch it again")
    if size > MOST_BYTES:
        raise ValueError(f"'{path.name}' has over {MOST_BYTES >> 30} GB: it is not a file of questions")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"'{path.name}' is not text in UTF-8: fetch it again") from None


def json_of(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text_of(path))
    except json.JSONDecodeError as error:
        raise ValueError(f"'{path.name}' is not JSON from line {error.lineno} on: fetch it again") from None
    except RecursionError:
        raise ValueError(f"'{path.name}' is nested too deeply to be read: fetch it again") from None


def json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the number and the object of each line that is not blank.

    Raises:
        ValueError: a line is no JSON object; only its number is told.
    """
    for number, line in enumerate(text_of(path).split("\n"), start=1):  # other signs that end a line stand in texts
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            raise ValueError(f"line {number} of '{path.name}' is not JSON: fetch it again") from None
        except RecursionError:
            raise ValueError(f"line {number} of '{path.name}' is nested too deeply: fetch it again") from None
        if not isinstance(row, dict):
            raise ValueError(f"line {number} of '{path.name}' is no JSON object: fetch it again")
        yield number, row


def rows_of(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the number, from 1, and the fields of each row of JSON (a list), JSON lines, CSV, Parquet or Arrow.

    Raises:
        ValueError: the file is none of these, or cannot be read.
    """
    if path.suffix in (".jsonl", ".ndjson"):
        yield from json_lines(path)
    elif path.suffix == ".json":
        content = json_of(path)
        if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
            raise ValueError(f"'{path.name}' is no list of objects: fetch it again")
        yield from enumerate(content, start=1)
    elif path.suffix in (".csv", ".parquet", ".arrow"):
        yield from enumerate(_table(path), start=1)
    else:
        raise ValueError(f"'{path.name}' is none of .json, .jsonl, .csv, .parquet and .arrow")


def _table(path: Path) -> list[dict[str, Any]]:
    import pandas as pd
    import pyarrow as pa  # type: ignore[import-untyped]
    from pyarrow import parquet

    if path.suffix == ".csv":
        text_of(path)  # refuses what is empty, too large or not in UTF-8
    try:
        if path.suffix == ".csv":
            read = pd.read_csv(path, dtype=str, keep_default_na=False)  # "None" and "NA" are answers
            return [{str(k): v for k, v in row.items()} for row in read.to_dict("records")]
        if path.suffix == ".parquet":
            names = [name for name in parquet.read_schema(path).names if name not in PICTURES]
            rows: list[dict[str, Any]] = parquet.read_table(path, columns=names).to_pylist()
            return rows
        with pa.memory_map(str(path)) as source:
            table = pa.ipc.open_stream(source).read_all()
            rows = table.select([name for name in table.column_names if name not in PICTURES]).to_pylist()
            return rows
    except (pa.ArrowException, pd.errors.ParserError, OSError, UnicodeDecodeError):
        raise ValueError(f"'{path.name}' cannot be read as a table: fetch it again") from None


def words(row: Mapping[str, Any], *names: str) -> str:
    """Return the first of these fields that is not empty, as text; "" if all are."""
    for name in names:
        value = row.get(name)
        if value is not None and value == value and str(value).strip():  # NaN is not itself
            return str(value).strip()
    return ""


def needed(row: Mapping[str, Any], name: str) -> str:
    """Return a field that has to be there.

    Raises:
        KeyError: it lacks.
        ValueError: it is empty.
    """
    if name not in row:
        raise KeyError(name)
    if not (value := words(row, name)):
        raise ValueError(f"'{name}' is empty")
    return value


def stays_inside(name: str) -> bool:
    """Whether a path, as it is written, leads to something in a folder; a folder may be a link to where images lie."""
    path = PureWindowsPath(name)  # knows both slashes
    return bool(path.parts) and not path.drive and not path.root and ".." not in path.parts and not NO_NAME.search(name)
