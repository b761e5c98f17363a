"""Rows of a release, whatever it is written in, and the fields that suites have in common."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

from chiasm.bench.item import LETTERS, Attachment, Item
from chiasm.bench.reading import json_lines, json_of, text_of

YES_NO = ("Yes", "No")
NO_NAME = re.compile("[\\0\ud800-\udfff]")
PICTURES = ("image", "image_bytes")
"""Columns of pictures in tables, which are not read: a candidate is handed the path of a file."""


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
            return [{str(k): v for k, v in row.items()} for row in pd.read_csv(path, dtype=str).to_dict("records")]
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


def picture(folder: Path, name: str, inside: str = "images", kind: str = "image") -> tuple[Attachment, ...]:
    """Where a picture should lie: in the folder named or beside; of a path that leaves the folder its last part there.

    Raises:
        ValueError: the path leaves the folder and names no file.
    """
    if not name:
        return ()
    own = name.lstrip("/")
    own = own if stays_inside(own) else PureWindowsPath(own).name
    if not stays_inside(own):
        raise ValueError("the path of a file leaves the folder, or is none")
    places = [folder / inside / own, folder / own]
    return (Attachment(kind, next((place for place in places if place.is_file()), places[0])),)


def place_of(answer: str, options: Sequence[str]) -> int:
    """Return the position of the option whose text the answer is.

    Raises:
        ValueError: it is the text of none, or of several.
    """
    places = [k for k, option in enumerate(options) if option == answer]
    if len(places) != 1:
        raise ValueError("the answer is the text of no option" if not places else "two options are the answer's text")
    return places[0]


def lettered(options: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts of options written as `A) text`.

    Raises:
        ValueError: one does not have its letter.
    """
    found = []
    for letter, option in zip(LETTERS, options, strict=False):
        text = str(option).strip()
        if text[:1].upper() != letter or text[1:2] not in (")", ".", ":"):
            raise ValueError("the options are not written as A) and B) and so on")
        found.append(text[2:].strip())
    return tuple(found)


def once(item: Item, seen: set[str]) -> Item:
    """Return an item whose id has not been seen, and remember it.

    Raises:
        ValueError: an item of this id stands before.
    """
    if item.id in seen:
        raise ValueError("an item with the same 'id' stands before")
    seen.add(item.id)
    return item


def stated_item(folder: Path, row: Mapping[str, Any], tags: Sequence[str], group: str = "group") -> Item:
    """Make an item of the fields that a suite without a public schema expects.

    `id`, `question`, `answer`; `options`, a list of texts one of which is the answer's, where there are any; `image`, a
    path under `images/`; `context`; `group`; and the tags.

    Raises:
        KeyError, ValueError: a field lacks, is empty, or is of another kind.
    """
    options = row.get("options") or ()
    if isinstance(options, str) or not isinstance(options, list | tuple):
        raise ValueError("'options' is no list of texts")
    texts = tuple(str(own).strip() for own in options)
    answer = needed(row, "answer")
    return Item(
        needed(row, "id"),
        needed(row, "question"),
        texts,
        (place_of(answer, texts),) if texts else (answer,),
        group=words(row, group, "image"),
        tags={name: words(row, name) for name in tags if words(row, name)},
        context=words(row, "context"),
        attachments=picture(folder, words(row, "image")),
    )
