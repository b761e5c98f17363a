"""What a target of the fuzzer is, and how sound files of its kind come to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from chiasm import artifact
from chiasm.cohort import Unsupported
from chiasm.errors import CohortError
from chiasm.limits import LimitError
from chiasm.readers import ReadError, reader_for

REFUSALS = (ReadError, CohortError, LimitError, Unsupported, artifact.ArtifactError)
LARGEST_SEED = 20_000  # bytes: the law is of the parser, and small files are mangled where it matters
Seeds = Callable[[Path], list[bytes]]


@dataclass(frozen=True)
class Target:
    """A kind of file: `seeds` makes sound ones in a folder, `attempt` reads one that lies at a path of `suffix`."""

    suffix: str
    seeds: Seeds
    attempt: Callable[[Path], object]
    mend: Callable[[bytes], bytes] = bytes


def read(kind: str, path: Path) -> None:
    """As `check` and `encode` do."""
    reader = reader_for(kind)
    reader.inspect(path)
    reader.read(path)


def cell(kind: str, path: Path) -> None:
    read(kind, path.read_bytes().decode("utf-8", errors="replace"))  # type: ignore[arg-type]


def of_cases(made: Callable[[Path], Any], suffix: str, folder: Path, every: int = 7) -> list[bytes]:
    """Files of the benchmark of readers."""
    found = [case.item for case in islice(made(folder), 0, None, every)]
    files = [file for item in found for file in ([item] if item.is_file() else [])]
    return [file.read_bytes() for file in files if file.name.endswith(suffix) and file.stat().st_size < LARGEST_SEED][
        :30
    ]


def cases(family: Callable[..., Any], suffix: str, every: int = 7) -> Seeds:
    return partial(of_cases, partial(family, []), suffix, every=every)


def written(family: Callable[[Path], Any], suffix: str, every: int = 7) -> Seeds:
    return partial(of_cases, family, suffix, every=every)


def texts(*found: bytes) -> Seeds:
    return lambda folder: list(found)


def made(name: str, *makers: Callable[[Path], object]) -> Seeds:
    """What each maker writes to a file of this name."""

    def seeds(folder: Path) -> list[bytes]:
        found = []
        for number, make in enumerate(makers):
            path = folder / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            make(path)
            found.append(path.read_bytes())
        return found

    return seeds
