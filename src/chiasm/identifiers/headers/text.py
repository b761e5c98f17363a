"""Labels of files of text: FHIR and other JSON, XML of devices, FASTA, VCF, signals as tables, and plain notes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from chiasm.identifiers.headers.label import LABELS, TEXT_BYTES, Label
from chiasm.readers.reading import ReadError

JSON_BYTES = 32 << 20
FHIR = (  # a part of the path within a resource, and the kind of what stands below
    (re.compile(r"^(?:Patient|RelatedPerson|Practitioner|Person)\.(?:\w+\.)*name\b"), "name"),
    (re.compile(r"\.(?:subject|patient|performer|author|recorder|asserter|requester|participant|individual|"
                r"source)\.(?:\w+\.)*display$"), "name"),
    (re.compile(r"\.(?:birthDate|deceasedDateTime)$"), "date"),
    (re.compile(r"\.(?:\w+\.)*(?:effectiveDateTime|issued|start|end|authoredOn|recordedDate|onsetDateTime|date|created|sent|occurrenceDateTime|"
                r"performedDateTime|collectedDateTime|receivedTime|assertedDate|time|lastUpdated|"
                r"effectiveInstant|abatementDateTime)$"), "date"),
    (re.compile(r"\baddress\.(?:text|line|city|district|postalCode)\b"), "place"),
    (re.compile(r"^(?:Patient|Person)\.identifier\.value$"), "record"),
    (re.compile(r"^(?:Patient|Person|RelatedPerson|Practitioner)\.photo\b"), "photo"),
    (re.compile(r"^Device\.(?:serialNumber|udiCarrier\.\w+|identifier\.value)$"), "device"),
    (re.compile(r"^Coverage\.(?:subscriberId|identifier\.value)$"), "plan"),
    (re.compile(r"^(?:Account)\.identifier\.value$"), "account"),
)  # fmt: skip
TELECOM = {"phone": "phone", "fax": "fax", "email": "email", "url": "url", "sms": "phone", "pager": "phone"}
STANDARD = re.compile(
    r"(?:^|\.)(?:system|code|unit|resourceType|status|reference|profile|url|fullUrl|version|xmlns\w*)$"
)


def json_labels(path: Path) -> Iterator[Label]:
    """Yield the texts of JSON, or of a line of JSON each, with the kinds that FHIR gives them; inside `guarded`."""
    if path.stat().st_size > JSON_BYTES:
        raise ReadError(f"the file has over {JSON_BYTES >> 20} MB, and is not looked at", "split it")
    text = path.read_text("utf-8-sig", "replace")
    try:
        documents = [json.loads(text)]
    except ValueError:
        documents = [json.loads(line) for line in text.splitlines() if line.strip()]
    count = 0
    for document in documents:
        for own in _below(document, "", 0):
            count += 1
            if count > LABELS:
                return
            yield own


def _below(value: Any, name: str, depth: int) -> Iterator[Label]:
    if depth > 40:
        return
    if isinstance(value, list):
        for item in value:
            yield from _below(item, name, depth + 1)
    elif isinstance(value, dict):
        resource = value.get("resourceType")
        start = str(resource) if isinstance(resource, str) and re.fullmatch(r"[A-Za-z]{1,40}", resource) else name
        if name.endswith(".telecom") and value.get("system") in TELECOM:
            yield Label(f"{name}.value", str(value.get("value", "")), TELECOM[value["system"]])
            return
        for key, below in value.items():
            plain = start not in ("", "JSON") and re.fullmatch(
                r"[A-Za-z]{1,40}", str(key)
            )  # elsewhere a key may be anything, a name too
            yield from _below(below, f"{start}.{key}" if plain else start or "JSON", depth + 1)
    elif isinstance(value, str) and value.strip() and not STANDARD.search(name):
        name = name or "JSON"
        text = re.sub(r"<[^>]*>", " ", value[:TEXT_BYTES]) if "<" in value else value[:TEXT_BYTES]
        yield Label(name, text, next((kind for shape, kind in FHIR if shape.search(name)), None))


def xml_labels(path: Path) -> Iterator[Label]:
    """Yield the texts and attributes of XML, by their tags; what defines entities of its own is refused."""
    with path.open("rb") as file:
        content = file.read(JSON_BYTES)
    if b"<!ENTITY" in content:
        raise ReadError("the file defines entities of its own, which are not read", "write it without them")
    for count, own in enumerate(ElementTree.fromstring(content).iter()):
        tag = own.tag.rpartition("}")[2]
        if count > 20 * LABELS:
            return
        if own.text and 1 < len(own.text.strip()) < 2_000:
            yield Label(tag, own.text.strip())
        for name, text in own.attrib.items():
            if name in ("extension", "value") and len(text) > 3:
                yield Label(f"{tag} {name}", text)


def fasta_labels(path: Path) -> Iterator[Label]:
    """Yield the headers of a FASTA file, and comments; at most 1,000."""
    yield from _lines(path, (">", ";"), "FASTA header")


def vcf_labels(path: Path) -> Iterator[Label]:
    """Yield the lines above the table of a VCF that are no definitions."""
    for own in _lines(path, ("##",), "VCF header"):
        if not re.match(r"(?:#?)(?:INFO|FORMAT|FILTER|contig|ALT|fileformat|reference)=", own.text):
            yield own


def _lines(path: Path, starts: tuple[str, ...], name: str) -> Iterator[Label]:
    with path.open("rb") as file:
        text = file.read(TEXT_BYTES).decode("utf-8", "replace")
    found = [line.lstrip(">;# ") for line in text.splitlines() if line.startswith(starts)]
    for line in found[:1000]:
        yield Label(name, line)


def plain_labels(path: Path) -> Iterator[Label]:
    """Yield the text of a note."""
    with path.open("rb") as file:
        yield Label("the note", file.read(TEXT_BYTES).decode("utf-8", "replace"))


def first_line(path: Path) -> Iterator[Label]:
    """Yield the first line of a table of a signal, its columns, and lines of comment above them."""
    with path.open("rb") as file:
        lines = file.read(TEXT_BYTES).decode("utf-8", "replace").splitlines()
    comments = [line for line in lines[:1000] if line.startswith("#")]
    for line in [*comments, *lines[:1]]:
        yield Label("first lines", line.lstrip("# "))
