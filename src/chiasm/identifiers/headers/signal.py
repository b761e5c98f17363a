"""Labels of EDF, BDF and WFDB headers: the patient, the recording, its day, the devices and annotations."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from chiasm.identifiers.headers.label import TEXT_BYTES, Label
from chiasm.readers.reading import ReadError

EDF_PATIENT = ("code", None), ("sex", None), ("birth date", "date"), ("name", "name")
DAY = re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}")
NOTHING = {"", "X", "X X X X"}
NO_START = {"01.01.85", "00.00.00", "01.01.00", "01.01.01"}  # what programs write where the day is left out
PATIENT, RECORDING, START, HEADER_SIZE, LEADS = (
    slice(8, 88),
    slice(88, 168),
    slice(168, 176),
    slice(184, 192),
    slice(252, 256),
)
USUAL = {"age", "sex", "dx", "rx", "hx", "sx", "diagnosis", "diagnoses", "medications", "history", "reason for "
    "admission",
         "date of birth", "name", "patient name", "patient id"}  # fmt: skip
WFDB_DAY = re.compile(r"\d{1,2}/\d{1,2}/\d{4}")


def edf_labels(path: Path) -> Iterator[Label]:
    """Yield the labels of an EDF or BDF header, and of the annotations in its first megabyte; inside `guarded`."""
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256:
            raise ReadError("the header is truncated", "copy the file again")
        leads = min(int(_plain(head[LEADS]) or 0), 1000)
        of_leads = file.read(256 * leads)
        file.seek(int(_plain(head[HEADER_SIZE]) or 256 * (leads + 1)))
        body = file.read(TEXT_BYTES)
    yield from _patient(_plain(head[PATIENT]))
    yield from _recording(_plain(head[RECORDING]))
    if (start := _plain(head[START])) not in NO_START:
        yield Label("start date", start, "date")
    names = [_plain(of_leads[16 * k : 16 * k + 16]) for k in range(leads)]
    transducers = {_plain(of_leads[16 * leads + 80 * k : 16 * leads + 80 * k + 80]) for k in range(leads)}
    for text in sorted({*names} - {""}):
        yield Label("lead", text)
    for text in sorted(transducers - {""}):
        yield Label("transducer", text)
    if any(name.endswith("Annotations") for name in names):
        for text in re.findall(rb"\x14([\x20-\xff]+)\x14", body)[:1000]:
            yield Label("annotation", text.decode("utf-8", "replace"))


def _plain(text: bytes) -> str:
    return text.decode("latin-1").strip("\0 ")


def _patient(text: str) -> Iterator[Label]:
    parts = text.split(" ")
    if text in NOTHING:
        return
    if len(parts) >= 4 and parts[1] in ("M", "F", "X"):  # EDF+ gives each part its place
        for (name, kind), part in zip(EDF_PATIENT, [*parts[:3], " ".join(parts[3:])], strict=True):
            if part.replace("_", " ").strip() not in NOTHING and name != "sex":
                yield Label(f"patient, {name}", part.replace("_", " "), kind or "record")
        return
    yield Label("patient", text, "name" if not re.search(r"\d", text) else "record")


def _recording(text: str) -> Iterator[Label]:
    parts = text.split(" ")
    if parts[0] != "Startdate":
        if text not in NOTHING:
            yield Label("recording", text)
        return
    names = ("recording, start date", "date"), ("recording, number", "record"), ("recording, technician", "name"), \
        ("recording, equipment", None)  # fmt: skip
    for (name, kind), part in zip(names, [*parts[1:4], " ".join(parts[4:])], strict=False):
        if part not in NOTHING:
            yield Label(name, part.replace("_", " "), kind)


def wfdb_labels(path: Path) -> Iterator[Label]:
    """Yield the day of recording, the descriptions of signals and the comments of a WFDB header; inside `guarded`."""
    with path.open("rb") as file:
        text = file.read(TEXT_BYTES).decode("utf-8", "replace")
    first = True
    for line in text.splitlines():
        if line.startswith("#"):
            name, sign, value = line.lstrip("# ").partition(":")
            key = name.strip(" <>").casefold()
            known = sign and key in USUAL
            yield Label(f"comment, {key}" if known else "comment", value if known else line.lstrip("# "))
        elif line.strip():
            parts = line.split(maxsplit=8)
            if first:
                for part in parts:
                    if WFDB_DAY.fullmatch(part):
                        yield Label("base date", part, "date")
            elif len(parts) == 9:
                yield Label("signal description", parts[8])
            first = False
