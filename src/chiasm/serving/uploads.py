"""The parts of a request that are files: written to a private folder, under plain names, for the readers to open."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from chiasm.serving.faults import refused

PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")
ENDING = re.compile(r"(\.[A-Za-z0-9]{1,8}){1,2}$")
HEADER = ".hea"  # of a WFDB record, which is opened by the name that its files share


class Part(NamedTuple):
    """One file of a request: the name of the source that it belongs to, its own name, and its bytes."""

    source: str
    filename: str
    content: BinaryIO


def written(parts: Sequence[Part], folder: Path) -> Mapping[str, Path]:
    """Write the files of each source; returns where each is to be opened.

    One part is a file. Several are the files of a record, where a header is among them, or else of a folder.

    Raises:
        Refused: 422, two files of a source have one name.
    """
    found: dict[str, list[Path]] = {}
    places: dict[str, Path] = {}
    for number, part in enumerate(parts):
        own = places.setdefault(part.source, folder / f"source-{len(places)}")
        own.mkdir(mode=0o700, exist_ok=True)
        path = own / plain_name(part.filename, number)
        if path.exists():
            raise refused(422, "repeated-file", "two files of one source have the same name: rename one", "upload")
        with path.open("xb") as file:
            shutil.copyfileobj(part.content, file)
        path.chmod(0o600)
        found.setdefault(part.source, []).append(path)
    return {source: _opened(places[source], paths) for source, paths in found.items()}


def _opened(folder: Path, paths: list[Path]) -> Path:
    headers = [path for path in paths if path.suffix == HEADER]
    if len(headers) == 1:
        return headers[0].with_suffix("")
    return paths[0] if len(paths) == 1 else folder


def plain_name(filename: str, number: int) -> str:
    """Return a file's own name where it is plain, since records name their files; else a number with its ending."""
    name = re.split(r"[/\\]", filename)[-1]
    if PLAIN.fullmatch(name):
        return name
    ending = ENDING.search(name)
    return f"part-{number}{ending[0].lower() if ending else ''}"
