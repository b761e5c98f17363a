"""Convert one patient's FHIR R4 Bundle or NDJSON to MEDS rows: what was coded and when, never names or notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.readers.reading import LIMITS, Limits, ReadError, check_size
from chiasm.readers.record.conventions import BIRTH
from chiasm.readers.record.fhir_files import UNREAD, read_resources

ZONES = timedelta(hours=14)  # how far a local day may begin before or end after the day in UTC

# Resource -> the prefix of its codes, and where its time stands, in order of preference.
TIMES = {
    "Observation": ("", ("effectiveDateTime", "effectiveInstant", "effectivePeriod", "issued")),
    "Condition": ("CONDITION//", ("onsetDateTime", "onsetPeriod", "recordedDate")),
    "Procedure": ("PROCEDURE//", ("performedDateTime", "performedPeriod")),
    "MedicationRequest": ("MEDICATION_REQUEST//", ("authoredOn",)),
    "MedicationAdministration": ("MEDICATION_ADMINISTRATION//", ("effectiveDateTime", "effectivePeriod")),
    "MedicationStatement": ("MEDICATION_STATEMENT//", ("effectiveDateTime", "effectivePeriod", "dateAsserted")),
    "MedicationDispense": ("MEDICATION_DISPENSE//", ("whenHandedOver", "whenPrepared")),
    "Immunization": ("IMMUNIZATION//", ("occurrenceDateTime",)),
    "AllergyIntolerance": ("ALLERGY//", ("onsetDateTime", "onsetPeriod", "recordedDate")),
    "Encounter": ("", ("period",)),
}
# Status of what did not happen, or was taken back.
VOID = {
    *(
        "entered-in-error",
        "cancelled",
        "not-done",
        "refuted",
        "draft",
        "preparation",
        "planned",
        "proposed",
        "declined",
    ),
    *("not-taken", "intended"),
}
WISHED = {"proposal", "plan", "option"}  # intents of a request that nobody has ordered
SYSTEMS = {
    "http://loinc.org": "LOINC",
    "http://snomed.info/sct": "SNOMED",
    "http://www.nlm.nih.gov/research/umls/rxnorm": "RXNORM",
    "http://hl7.org/fhir/sid/icd-10": "ICD10",
    "http://hl7.org/fhir/sid/icd-10-cm": "ICD10CM",
    "http://hl7.org/fhir/sid/icd-9-cm": "ICD9CM",
    "http://www.ama-assn.org/go/cpt": "CPT",
    "http://www.whocc.no/atc": "ATC",
    "http://terminology.hl7.org/CodeSystem/v3-ActCode": "ACT",
}


@dataclass(frozen=True)
class Record:
    """Record of one patient: MEDS `rows` (see `read_fhir`); `left_out` counts resources without an event, by reason."""

    rows: pd.DataFrame
    left_out: dict[str, int]


@dataclass(frozen=True)
class Event:
    """Coded event: code, value, and the span of time that the file allows for it, None for a static fact."""

    code: str
    value: float
    span: tuple[datetime, datetime] | None


def read_fhir(path: Path, limits: Limits = LIMITS, subject_id: int = 0) -> Record:
    """Read the coded events of one patient.

    Codes have the form `system//code`, after `CONDITION//`, `PROCEDURE//`, `IMMUNIZATION//`, `ALLERGY//` or one of
    `MEDICATION_REQUEST//`, `MEDICATION_ADMINISTRATION//`, `MEDICATION_STATEMENT//`, `MEDICATION_DISPENSE//`. Those of
    an Observation (each component) are followed by `//unit` of a quantity or `//system//code` of a coded answer. A
    bound (`<0.01`) is no value: the code is followed by its comparator too. An Encounter gives `ADMISSION//class` and
    `DISCHARGE//class`, a Patient `MEDS_BIRTH` and, without a time, `GENDER//gender`. Of several
    codings the one that the user selected counts, else the first. What was entered in error, not done, cancelled or
    only proposed is left out and counted, as are resources of a type that is not read.

    Times are UTC. A partial date counts as its first moment (2021-03: midnight of 1 March UTC), or as the birth if that
    lies inside the span that the date allows: a condition of the year of birth does not precede it.

    Args:
        path: a Bundle (`.json`, up to 64 MB) or NDJSON, one resource per line (up to 16 MB).
        limits: `bytes` on disk; `characters` bounds the number of events.
        subject_id: identifier in the MEDS rows; the identifiers of the file are never passed on.

    Returns:
        Rows of `subject_id`, `time` (datetime64[us]), `code` and `numeric_value` (float32), sorted by time and code.

    Raises:
        ReadError: not JSON, not FHIR R4, nested too deeply, several patients or another one's resource, an invalid
            date, an event before the birth, one page of a search, no event, over a limit.
        Unsupported: the package fhir.resources is missing.
    """
    check_size(path, limits)
    resources = read_resources(path)
    patients, drugs = patients_of_one(resources), drugs_of(resources)
    birth = next((span_of(item["birthDate"]) for item in patients if "birthDate" in item), None)
    events, left_out = list[Event](), Counter[str]()
    for item in patients:
        events += [Event(f"GENDER//{item['gender']}", np.nan, None)] if "gender" in item else []
    facts = len(events)
    for _, item in resources:
        kind = item["resourceType"]
        if kind.startswith(UNREAD):
            left_out[f"of a type that is not read ({kind.removeprefix(UNREAD)})"] += 1
        if kind in TIMES:
            found = events_of(item, drugs)
            if isinstance(found, str):
                left_out[found] += 1
            else:
                events += found
        if len(events) > limits.characters:
            raise ReadError("there are too many events", "check the file, or write the record as MEDS")
    if len(events) == facts:
        raise ReadError("there are no events", "take the file away if the patient has none")
    events += [Event(BIRTH, np.nan, birth)] if birth else []
    return Record(_rows(events, birth, subject_id), dict(left_out))


def _rows(events: list[Event], birth: tuple[datetime, datetime] | None, subject_id: int) -> pd.DataFrame:
    times: list[np.datetime64] = []
    for event in events:
        if event.span is None:
            times.append(np.datetime64("NaT"))
            continue
        moment, last = event.span
        # Dates are local to the patient, as the birth is; a time is UTC.
        if birth and (birth[0] - last > ZONES if moment == last else last <= birth[0]):
            raise ReadError("an event lies before the birth of the patient", "correct its time, or the birthDate")
        if birth:
            moment = max(moment, birth[0])
        times.append(np.datetime64(moment.replace(tzinfo=None), "us"))
    with np.errstate(over="ignore"):  # an infinite value is refused where it is read
        values = np.array([event.value for event in events], np.float64).astype(np.float32)
    stamps, names = np.array(times, "datetime64[us]"), [event.code for event in events]
    place = {name: number for number, name in enumerate(sorted(set(names)))}
    known = ~np.isnan(values)  # what has no time or no value comes first
    places = np.array([place[name] for name in names])
    order = np.lexsort((np.where(known, values, 0), known, places, stamps, ~np.isnat(stamps)))
    return pd.DataFrame(
        {
            "subject_id": np.full(len(events), subject_id, np.int64),
            "time": stamps[order],
            "code": [names[number] for number in order],
            "numeric_value": values[order],
        }
    )


def drugs_of(resources: list[tuple[str, dict[str, Any]]]) -> dict[str, Any]:
    """Map the address, and type and id, of each Medication to its code."""
    return {
        name: item["code"] for where, item in resources if item["resourceType"] == "Medication" and "code" in item
        for name in (where, f"Medication/{item['id']}" if "id" in item else "") if name
    }  # fmt: skip


def patients_of_one(resources: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the Patient, if there is one; refuse resources about anybody else.

    Raises:
        ReadError: there are several patients, or a resource is about another one.
    """
    own = [(where, item) for where, item in resources if item["resourceType"] == "Patient"]
    if len(own) > 1:
        raise ReadError("the file holds several patients", "write a file a patient")
    names = {name for where, item in own for name in (where, f"Patient/{item['id']}" if "id" in item else "") if name}
    searched = set[str]()
    for _, item in resources:
        about = item.get("subject", item.get("patient", {})).get("reference")
        if not isinstance(about, str) or about.startswith("Patient?"):  # a search for the patient: see below
            searched |= {about} if isinstance(about, str) else set()
            continue
        about = about.split("/_history/")[0]
        if not own:
            names = names or {about}
        if about not in names and not any(about.endswith("/" + name) for name in names if name.startswith("Patient/")):
            raise ReadError("a resource is about another patient", "write a file a patient")
    if len(searched) > 1:  # the identifiers of the Patient are not read, but one search finds one patient
        raise ReadError("resources name their patient by different searches", "write a file a patient")
    return [item for _, item in own]


def events_of(item: Mapping[str, Any], drugs: Mapping[str, Any]) -> list[Event] | str:
    """Extract the events of a resource of `TIMES`, or the reason why it is left out; `drugs` as `drugs_of` gives them.

    Raises:
        ReadError: it has no code, or a date is not one of FHIR.
    """
    kind = item["resourceType"]
    status = {item.get("status")} | {code.get("code") for code in item.get("verificationStatus", {}).get("coding", [])}
    if status & VOID or item.get("doNotPerform") or "focus" in item:
        return "void or about something else"
    if item.get("intent") in WISHED:
        return "proposed or planned, not ordered"
    if kind == "Encounter":
        name = _code(item["class"])
        ends = [
            ("ADMISSION//", item.get("period", {}).get("start")),
            ("DISCHARGE//", item.get("period", {}).get("end")),
        ]
        found = [Event(end + name, np.nan, span_of(moment)) for end, moment in ends if name and moment is not None]
        return found or "without a code or a time"
    coded = coded_parts(item, drugs)
    if isinstance(coded, str):
        return coded
    span, parts = coded
    events = [own for concept, part in parts if (own := event_of(kind, concept, part, span)) is not None]
    return events or "without a code or a time"


def event_of(
    kind: str, concept: Mapping[str, Any], part: Mapping[str, Any], span: tuple[datetime, datetime]
) -> Event | None:
    """Return the event of a coded part of a resource of a kind; None where it has no code, or says why it is absent."""
    name, (suffix, value) = _concept(concept), _answer(part) or ("", np.nan)
    return Event(TIMES[kind][0] + name + suffix, value, span) if name and "dataAbsentReason" not in part else None


def codes_of(concept: Mapping[str, Any]) -> tuple[str, ...]:
    """Return every coding of a concept as `SYSTEM//code`, in their order."""
    return tuple(name for coding in concept.get("coding", []) if (name := _code(coding)))


def coded_parts(
    item: Mapping[str, Any], drugs: Mapping[str, Any]
) -> tuple[tuple[datetime, datetime], list[tuple[Mapping[str, Any], Mapping[str, Any]]]] | str:
    """Return the span of a resource's time, and each concept with the part that has its answer; or why it is left out.

    Raises:
        ReadError: it has no code, or a date is not one of FHIR.
    """
    kind = item["resourceType"]
    moment = next((item[name] for name in TIMES[kind][1] if name in item), None)
    moment = moment.get("start", moment.get("end")) if isinstance(moment, dict) else moment
    concept = item.get("medicationCodeableConcept", item.get("vaccineCode", item.get("code")))
    if "medicationReference" in item:
        concept = _drug(item, drugs)
        if concept is None:
            return "of a medication that is not in the file"
    if concept is None and kind != "AllergyIntolerance":  # of which R4 asks for none
        raise ReadError(f"a resource of type {kind} has no code", "code it, or leave it out")
    if concept is None or moment is None:
        return "without a code or a time"
    own = [(concept, item)] if kind != "Observation" or "component" not in item or _answer(item) else []
    return span_of(moment), [*own, *((part["code"], part) for part in item.get("component", []))]


def _drug(item: Mapping[str, Any], drugs: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Find the medication that a resource refers to: within it (`#m`), by the address or by type and id; else None."""
    reference = item["medicationReference"].get("reference")
    if not isinstance(reference, str):
        return None
    reference = reference.split("/_history/")[0]
    if reference.startswith("#"):
        inside = [own for own in item.get("contained", []) if own.get("id") in (reference, reference[1:])]
        return inside[0].get("code", {}) if inside else None
    by_type = "/".join(reference.split("/")[-2:])
    found: Mapping[str, Any] | None = drugs.get(reference, drugs.get(by_type))
    return found


def _answer(part: Mapping[str, Any]) -> tuple[str, float] | None:
    """Return the suffix of an observation's code, and its value; text is never an answer."""
    if "valueQuantity" in part:
        quantity = part["valueQuantity"]
        unit = str(quantity.get("code") or quantity.get("unit") or "").strip()
        suffix = f"//{unit}" if unit else ""
        if comparator := quantity.get("comparator"):
            return f"{suffix}//{comparator}", np.nan
        try:
            return suffix, float(quantity.get("value", np.nan))
        except OverflowError:
            raise ReadError("a quantity is too large to be held", "correct it, or write it in another unit") from None
    if "valueCodeableConcept" in part and (name := _concept(part["valueCodeableConcept"])):
        return f"//{name}", np.nan
    for name in ("valueInteger", "valueBoolean"):
        if isinstance(part.get(name), int):
            return "", float(part[name])
    return None


def _concept(concept: Mapping[str, Any]) -> str:
    codings = [coding for coding in concept.get("coding", []) if coding.get("code")]
    return _code(next((coding for coding in codings if coding.get("userSelected")), codings[0])) if codings else ""


def _code(coding: Mapping[str, Any]) -> str:
    system = str(coding.get("system", "LOCAL"))
    return f"{SYSTEMS.get(system, system)}//{coding['code']}" if coding.get("code") else ""


def span_of(moment: object) -> tuple[datetime, datetime]:
    """Return the first and the last moment that a validated FHIR date can mean; a time with an offset is both.

    Raises:
        ReadError: it is no date of FHIR.
    """
    try:
        if not isinstance(moment, str):
            raise TypeError("a number")
        if "T" in moment:
            exact = datetime.fromisoformat(moment).astimezone(UTC)
            return exact, exact
        year, month, day = (*map(int, moment.split("-")), 0, 0)[:3]
        if day:
            first = date(year, month, day)
            last = first + timedelta(days=1)
        else:
            first = date(year, month or 1, 1)
            last = date(year + (month in (0, 12)), month % 12 + 1 if month else 1, 1)
    except (ValueError, TypeError, OverflowError):
        raise ReadError(
            "a date is not one of FHIR", "write dates as 2021, 2021-03, 2021-03-04, or with an offset"
        ) from None
    return tuple(datetime(d.year, d.month, d.day, tzinfo=UTC) for d in (first, last))  # type: ignore[return-value]
