"""A FHIR R4 Bundle of one patient as coded facts and notes, read as the records of a cohort are."""

from __future__ import annotations

import base64
import binascii
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chiasm.readers.reading import ReadError
from chiasm.readers.record.fhir import (
    SYSTEMS,
    TIMES,
    coded_parts,
    codes_of,
    drugs_of,
    event_of,
    events_of,
    patients_of_one,
    span_of,
)
from chiasm.readers.record.fhir_files import resources_of
from chiasm.serving.faults import refused
from chiasm.serving.hospital.facts import ANY, Asked, Fact, Note, Person, asked_from
from chiasm.serving.hospital.mapping import CodeMap

HELD = (
    *("Condition", "Procedure", "MedicationRequest", "MedicationAdministration", "MedicationStatement"),
    *("MedicationDispense", "Immunization", "AllergyIntolerance"),
)
"""Resources of what somebody has or gets."""
UNCERTAIN = {"unconfirmed", "provisional", "differential", "inactive", "resolved", "remission", "stopped"}
NOTE_LETTERS = 1_000_000
EARLIEST, LATEST = 1900, 2200  # years of a question


def asked_of(bundle: Mapping[str, Any], mapping: CodeMap, at: datetime) -> Asked:
    """Read the patient of a Bundle, as `asked_from` says.

    Raises:
        Refused: 422 with every fault; the Bundle is no FHIR R4, or of several patients.
    """
    try:
        resources = resources_of(bundle)
        people = patients_of_one(resources)
        facts, left_out, doubted = facts_of(resources, at)
        person = people[0] if people else {}
        born = _local(person["birthDate"], at) if "birthDate" in person else None
        died = person.get("deceasedDateTime")
        dead = person.get("deceasedBoolean") is True or (died is not None and _local(died, at)[0] <= at)
    except ReadError as error:
        raise refused(422, "not-readable", f"{error.what}: {error.fix}", "Bundle") from None
    about, names = _about(bundle, person, resources)
    own = Person(about, born, person.get("gender"), dead)
    return asked_from(facts, notes_of(bundle, names, at), own, mapping, at, left_out, doubted)


def facts_of(resources: list[tuple[str, dict[str, Any]]], at: datetime) -> tuple[list[Fact], Counter[str], set[str]]:
    """List the coded facts, count by reason what was left out, and name the codes that may have been among it.

    Raises:
        ReadError: as `readers.record.fhir.read_fhir` says.
    """
    drugs, left_out, found, doubted = drugs_of(resources), Counter[str](), list[Fact](), set[str]()
    for where, item in resources:
        kind = item["resourceType"]
        if kind not in TIMES:
            continue
        events = events_of(item, drugs)
        source = f"{kind}/{item['id']}" if "id" in item else where
        if isinstance(events, str):
            left_out[events] += 1
            if kind in HELD:
                concept = item.get("medicationCodeableConcept", item.get("vaccineCode", item.get("code")))
                doubted.update(codes_of(concept) if concept else (ANY,))
        elif kind == "Encounter":
            found += [Fact(own.code, (), own.span[0], source) for own in events if own.span]
        else:
            found += _facts(item, drugs, source, at)
    return found, left_out, doubted


def _facts(item: Mapping[str, Any], drugs: Mapping[str, Any], source: str, at: datetime) -> list[Fact]:
    """The facts of a resource that `events_of` reads."""
    kind = item["resourceType"]
    parts = coded_parts(item, drugs)
    if isinstance(parts, str):
        return []
    found = []
    for concept, part in parts[1]:
        event = event_of(kind, concept, part, parts[0])
        if event is None or event.span is None:
            continue
        quantity = part.get("valueQuantity", {})
        found.append(
            Fact(
                event.code, codes_of(concept), _moment(item, event.span[0], at), source,
                answers=codes_of(part.get("valueCodeableConcept", {})),
                unit=str(quantity.get("code") or quantity.get("unit") or "").strip(),
                value=event.value, bound="comparator" in quantity, occurs=kind in HELD, ended=_ended(item, at),
                issued=span_of(item["issued"])[0] if "issued" in item else None,
            )
        )  # fmt: skip
    return found


def _moment(item: Mapping[str, Any], first: datetime, at: datetime) -> datetime:
    """The first moment of a resource; a date alone is one of the place where it is asked."""
    kind = item["resourceType"]
    moment = next((item[name] for name in TIMES[kind][1] if name in item), None)
    moment = moment.get("start", moment.get("end")) if isinstance(moment, dict) else moment
    return first if isinstance(moment, str) and "T" in moment else first.replace(tzinfo=at.tzinfo)


def _local(moment: str, at: datetime) -> tuple[datetime, datetime]:
    """First and last moment that a date can mean, where it is asked; a time with an offset is both."""
    first, after = span_of(moment)
    if "T" in moment:
        return first.astimezone(at.tzinfo), first.astimezone(at.tzinfo)
    return first.replace(tzinfo=at.tzinfo), (after - timedelta(seconds=1)).replace(tzinfo=at.tzinfo)


def _ended(item: Mapping[str, Any], at: datetime) -> bool:
    """Tell whether what somebody had has ended, or is not certain."""
    stated = [own for name in ("clinicalStatus", "verificationStatus") for own in item.get(name, {}).get("coding", [])]
    status = {item.get("status")} | {own.get("code") for own in stated}
    until = item.get("abatementDateTime", item.get("abatementPeriod", {}).get("end"))
    return bool(status & UNCERTAIN) or (until is not None and _local(until, at)[0] <= at)


def notes_of(bundle: Mapping[str, Any], names: Collection[str], at: datetime) -> list[Note]:
    """List the plain texts of the DocumentReferences that are current, each once for every code of its type.

    Args:
        names: references of the patient; a text of another one is refused.

    Raises:
        Refused: a text is no base64 of UTF-8, too long, or of another patient.
    """
    found = []
    for entry in bundle.get("entry", []):
        item = entry.get("resource", {}) if isinstance(entry, dict) else {}
        if not isinstance(item, dict) or item.get("resourceType") != "DocumentReference":
            continue
        if item.get("status") not in (None, "current") or item.get("docStatus") == "entered-in-error":
            continue
        try:
            when = _local(item["date"], at)[0]
            subject = str(item.get("subject", {}).get("reference", "")).split("/_history/")[0]
            codings = [own for own in item["type"]["coding"] if own.get("code")]
            attachments = [own["attachment"] for own in item["content"]]
            texts = [own["data"] for own in attachments if str(own.get("contentType", "")).startswith("text/plain")]
        except (KeyError, TypeError, AttributeError, ReadError):
            continue  # without a date, a type or a text in it: no note of any modality
        if subject and subject not in names and not any(subject.endswith(f"/{own}") for own in names if "/" in own):
            raise refused(422, "another-patient", "a text is about another patient: send a Bundle a patient", "Bundle")
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


def _about(
    bundle: Mapping[str, Any], person: Mapping[str, Any], resources: list[tuple[str, dict[str, Any]]]
) -> tuple[str, set[str]]:
    """Reference of the patient for the answer, and every one by which the Bundle names him."""
    url = next((where for where, item in resources if item is person or item["resourceType"] == "Patient"), "")
    own = {name for name in (url, f"Patient/{person['id']}" if "id" in person else "") if name}
    said = {
        str(about).split("/_history/")[0]
        for _, item in resources
        if isinstance(about := item.get("subject", item.get("patient", {})).get("reference"), str)
    }
    about = f"Patient/{person['id']}" if "id" in person else url or next(iter(sorted(said)), "")
    return about, own | said


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
    if found.tzinfo is None or not EARLIEST <= found.year <= LATEST:
        what = "write a moment with its zone, as in 2026-03-01T08:00:00Z (a + in an address is written %2B)"
        raise refused(422, "not-a-time", what, "at")
    return found
