"""A FHIR R4 Bundle of one patient as coded facts and notes, read as the records of a cohort are."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from chiasm.readers.reading import ReadError
from chiasm.readers.record.fhir import SYSTEMS, TIMES, Event, drugs_of, events_of, patients_of_one, span_of
from chiasm.readers.record.fhir_files import resources_of
from chiasm.serving.faults import refused
from chiasm.serving.hospital.facts import Asked, Fact, Note, Person, asked_from
from chiasm.serving.hospital.mapping import CodeMap

PREFIXES = (
    *("CONDITION//", "PROCEDURE//", "MEDICATION_REQUEST//", "MEDICATION_ADMINISTRATION//", "MEDICATION_STATEMENT//"),
    *("MEDICATION_DISPENSE//", "IMMUNIZATION//", "ALLERGY//"),
)
COMPARATORS = ("<", "<=", ">", ">=", "ad")
NOTE_LETTERS = 1_000_000


def asked_of(bundle: Mapping[str, Any], mapping: CodeMap, at: datetime) -> Asked:
    """Read the patient of a Bundle, as `asked_from` says.

    Raises:
        Refused: 422 with every fault; the Bundle is no FHIR R4, or of several patients.
    """
    try:
        resources = resources_of(bundle)
        people = patients_of_one(resources)
        facts, left_out = facts_of(resources)
        person = people[0] if people else {}
        born = span_of(person["birthDate"])[0] if "birthDate" in person else None
    except ReadError as error:
        raise refused(422, "not-readable", f"{error.what}: {error.fix}", "Bundle") from None
    own = Person(_about(bundle, person), born, person.get("gender"))
    return asked_from(facts, notes_of(bundle), own, mapping, at, left_out)


def facts_of(resources: list[tuple[str, dict[str, Any]]]) -> tuple[list[Fact], Counter[str]]:
    """List the coded facts, and count by reason what was left out.

    Raises:
        ReadError: as `readers.record.fhir.read_fhir` says.
    """
    drugs, left_out, found = drugs_of(resources), Counter[str](), list[Fact]()
    for where, item in resources:
        if item["resourceType"] not in TIMES:
            continue
        events = events_of(item, drugs)
        if isinstance(events, str):
            left_out[events] += 1
            continue
        source = f"{item['resourceType']}/{item['id']}" if "id" in item else where
        found += [own for event in events if (own := _fact(event, source)) is not None]
    return found, left_out


def _fact(event: Event, source: str) -> Fact | None:
    if event.span is None:
        return None
    prefix = next((own for own in PREFIXES if event.code.startswith(own)), "")
    system, _, rest = event.code.removeprefix(prefix).partition("//")
    if system.endswith(":"):  # the address of a system, as in http://hospital.example/codes
        host, _, rest = rest.partition("//")
        system = f"{system}//{host}"
    code, _, rest = rest.partition("//")
    before, _, last = rest.rpartition("//")
    bound = last in COMPARATORS
    rest = before if bound else rest
    return Fact(event.code, f"{system}//{code}", rest, event.value, bound, bool(prefix), event.span[0], source)


def notes_of(bundle: Mapping[str, Any]) -> list[Note]:
    """List the plain texts of the DocumentReferences that are current, each once for every code of its type.

    Raises:
        Refused: a text is no base64 of UTF-8, or too long.
    """
    found = []
    for entry in bundle.get("entry", []):
        item = entry.get("resource", {}) if isinstance(entry, dict) else {}
        if not isinstance(item, dict) or item.get("resourceType") != "DocumentReference":
            continue
        if item.get("status") not in (None, "current") or item.get("docStatus") == "entered-in-error":
            continue
        try:
            when = span_of(item["date"])[0]
            codings = [own for own in item["type"]["coding"] if own.get("code")]
            attachments = [own["attachment"] for own in item["content"]]
            texts = [own["data"] for own in attachments if str(own.get("contentType", "")).startswith("text/plain")]
        except (KeyError, TypeError, AttributeError, ReadError):
            continue  # without a date, a type or a text in it: no note of any modality
        for text in texts[:1]:
            try:
                plain = base64.b64decode(text, validate=True).decode("utf-8")
            except (binascii.Error, ValueError, TypeError):
                raise refused(422, "not-a-text", "its text is no base64 of UTF-8", "DocumentReference") from None
            if len(plain) > NOTE_LETTERS:
                raise refused(422, "too-long", f"its text has over {NOTE_LETTERS:,} letters", "DocumentReference")
            source = f"DocumentReference/{item['id']}" if isinstance(item.get("id"), str) else ""
            found += [Note(when, _code_of(own), plain, source) for own in codings]
    return found


def _code_of(coding: Mapping[str, Any]) -> str:
    system = str(coding.get("system", "LOCAL"))
    return f"{SYSTEMS.get(system, system)}//{coding['code']}"


def _about(bundle: Mapping[str, Any], person: Mapping[str, Any]) -> str:
    """Reference of the Patient: the way by which the Bundle's own resources name him."""
    if isinstance(person.get("id"), str):
        return f"Patient/{person['id']}"
    for entry in bundle.get("entry", []):
        if isinstance(entry, dict) and entry.get("resource", {}).get("resourceType") == "Patient":
            url = entry.get("fullUrl")
            return url if isinstance(url, str) else ""
    return ""


def time_of(text: str | None) -> datetime:
    """Read the time of the question, now where none is given.

    Raises:
        Refused: it is no moment with a zone.
    """
    if text is None:
        return datetime.now(UTC)
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min
    if found.tzinfo is None:
        raise refused(422, "not-a-time", "write a moment with its zone, as in 2026-03-01T08:00:00Z", "at")
    return found.astimezone(UTC)
