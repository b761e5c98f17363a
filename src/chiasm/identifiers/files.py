"""Fields of the files of a cohort: the labels of their headers, and the names of files and folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from chiasm.cohort import Cohort
from chiasm.cohort.sources import FileSource
from chiasm.identifiers.columns import Field
from chiasm.identifiers.headers.of_file import PACKAGES, NoPackage, format_of, labels_of
from chiasm.identifiers.tables import spread
from chiasm.readers.reading import ReadError

FILES = 200  # sources of a modality whose headers are read, evenly spread
PARTS = 3  # files of a source that is a folder: the first, the last and one between
NAMES = 20_000  # of files and folders that are looked at


@dataclass
class Headers:
    """What the headers of a modality said: fields by tag, sources looked at and all, and formats that were not read."""

    fields: dict[tuple[str, str | None], Field] = field(default_factory=dict)
    looked: int = 0
    everything: int = 0
    unread: Counter[str] = field(default_factory=Counter)
    missing: set[str] = field(default_factory=set)
    damaged: int = 0


def headers_of(cohort: Cohort, modality: str, go_on: Callable[[], bool], told: Callable[[int, int], None]) -> Headers:
    """Read the headers of a sample of a modality's files, as long as `go_on` says so."""
    found = Headers()
    source = cohort.sources[modality]
    if not isinstance(source, FileSource):
        return found
    rows = cohort.rows_of(modality)
    found.everything = len(rows)
    sample = [int(rows[at]) for at in spread(len(rows), FILES)]
    for number, row in enumerate(sample):
        if not go_on():
            break
        item = source.item(int(cohort.source_rows[modality][row]))
        if not isinstance(item, Path):
            found.everything -= 1
            continue
        for file in files_in(item)[1]:
            _add(found, file, source.path, modality, int(cohort.file_rows[row]), str(cohort.ids[row]))
        found.looked += 1
        told(number + 1, len(sample))
    return found


def _add(found: Headers, file: Path, template: str | None, modality: str, row: int, patient: str) -> None:
    try:
        labels = labels_of(file)
    except NoPackage as fault:
        found.missing.add(fault.what)
        return
    except (ReadError, ValueError, OSError):
        found.damaged += 1
        return
    if labels is None:
        found.unread[format_of(file)] += 1
        return
    for own in labels:
        kind = None if own.text.strip() == patient else own.kind  # the patient's code is known to the cohort
        key = (own.name, kind)
        place = "note" if own.name == "the note" else "header"
        held = found.fields.setdefault(key, Field(place, own.name, template, modality, known=kind))
        held.values.append(own.text)
        held.rows.append(row)


def files_in(item: Path) -> tuple[list[Path], list[Path]]:
    """Return all files of a source, and those of them whose headers are looked at; a WFDB record is its header."""
    if item.is_dir():
        every = sorted(own for own in item.rglob("*") if own.is_file() and not own.name.startswith("."))
        return every, [every[at] for at in spread(len(every), PARTS)]
    header = item.with_name(item.name + ".hea")
    alone = item if item.is_file() else header
    beside = [alone, header] if item.is_file() and header.is_file() else [alone]
    return beside, beside


def explained(found: Headers, modality: str) -> Iterator[str]:
    """Say which files of a modality were not looked at, and why."""
    for what in sorted(found.missing):
        package, extra = PACKAGES[what]
        yield f"headers of {what} in modality '{modality}', for want of {package}: pip install \"chiasm[{extra}]\""
    if found.unread:
        number = sum(found.unread.values())
        yield f"headers of {number:,} files of modality '{modality}' are of a format that the screen does not read"
    if found.damaged:
        yield f"headers of {found.damaged:,} files of modality '{modality}' could not be read"


def names_of(cohort: Cohort, folder: Path) -> tuple[Field, int]:
    """Return the names of files and folders below the manifest, each once, without patients' codes, and a count."""
    codes = {str(own) for own in cohort.ids}
    stems: dict[str, None] = {}
    number = 0
    for _, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in (*folders, *sorted(files)):
            if number >= NAMES:
                folders.clear()
                break
            number += 1
            stem = _without_suffix(name)
            if stem not in codes and not name.startswith("."):
                stems[_without_codes(stem, codes)] = None
    stems.pop("", None)
    own = Field("path", "", path=".", values=[*stems], rows=[0] * len(stems))
    return own, number


def _without_suffix(name: str) -> str:
    stem, _, suffix = name.rpartition(".")
    if not stem or suffix.lower() in PICTURES or not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{0,11}", suffix):
        return name
    return _without_suffix(stem) if suffix.lower() == "gz" else stem


PICTURES = ("jpg", "jpeg", "png", "heic", "tif", "tiff", "bmp", "gif")  # kept: such a name may say whose face it shows


def _without_codes(stem: str, codes: set[str]) -> str:
    parts = re.split(r"([_.\s]+)", stem)
    return "".join(part for part in parts if part not in codes).strip("_. ")
