"""Read FHIR R4 files (Bundle or NDJSON) within bounds, keeping and validating only the elements that are used."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from chiasm.readers.reading import ReadError
from chiasm.readers.record.conventions import NDJSON
from chiasm.readers.registry import missing

BUNDLE_BYTES, LINE_BYTES = 64 << 20, 16 << 20  # parsed at once: JSON takes up to twenty times that in memory
DEEPEST = 40

# Resource -> the elements that are used. The rest is dropped before anything else sees it: names, addresses,
# identifiers, narrative, notes, attachments, extensions.
ELEMENTS = {
    "Patient": "id birthDate gender deceasedBoolean deceasedDateTime",
    "Observation": "id status code subject focus effectiveDateTime effectivePeriod effectiveInstant issued "
    "valueQuantity valueCodeableConcept valueBoolean valueInteger component dataAbsentReason",
    "Condition": "id clinicalStatus verificationStatus code subject onsetDateTime onsetPeriod recordedDate "
    "abatementDateTime abatementPeriod",
    "Procedure": "id status code subject performedDateTime performedPeriod",
    "Medication": "id code",
    "MedicationRequest": "id status intent doNotPerform medicationCodeableConcept medicationReference subject "
    "authoredOn contained",
    "MedicationAdministration": "id status medicationCodeableConcept medicationReference subject effectiveDateTime "
    "effectivePeriod contained",
    "MedicationStatement": "id status medicationCodeableConcept medicationReference subject effectiveDateTime "
    "effectivePeriod dateAsserted contained",
    "MedicationDispense": "id status medicationCodeableConcept medicationReference subject whenHandedOver "
    "whenPrepared contained",
    "Immunization": "id status vaccineCode patient occurrenceDateTime occurrenceString",
    "AllergyIntolerance": "id clinicalStatus verificationStatus code patient onsetDateTime onsetPeriod recordedDate",
    "Encounter": "id status class subject period",
}
# Resources that hold no coded event of the patient, whose absence is no loss.
SILENT = {
    *("Organization", "Practitioner", "PractitionerRole", "Location", "Provenance", "Coverage", "Claim", "Device"),
    *("ExplanationOfBenefit", "CareTeam", "RelatedPerson", "Endpoint", "HealthcareService", "Account", "Group", "List"),
    *("OperationOutcome", "Parameters", "Composition", "StructureDefinition", "ValueSet", "CodeSystem", "Binary"),
    *("Consent", "AuditEvent", "Schedule", "Slot", "Subscription", "MessageHeader", "Substance", "InsurancePlan"),
    *("SearchParameter", "CapabilityStatement", "ConceptMap", "NamingSystem", "Person", "Specimen", "Appointment"),
}
# Elements by which resources of other releases are known.
ELSEWHERE = {
    "MedicationRequest": {"medication": "R5", "context": "STU3"},
    "MedicationAdministration": {
        "medication": "R5",
        "occurenceDateTime": "R5",
        "occurencePeriod": "R5",
        "notGiven": "STU3",
    },
    "MedicationStatement": {"medication": "R5", "taken": "STU3"},
    "MedicationDispense": {"medication": "R5", "notDone": "STU3"},
    "Procedure": {"occurrenceDateTime": "R5", "occurrencePeriod": "R5", "notDone": "STU3"},
    "Encounter": {"actualPeriod": "R5", "plannedStartDate": "R5"},
    "Immunization": {"notGiven": "STU3", "date": "STU3"},
    "Condition": {"assertedDate": "STU3"},
    "AllergyIntolerance": {"assertedDate": "STU3"},
}
LONGEST_TYPE = 64
UNREAD = "?"  # before the type of a resource that is not read


def read_resources(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """List the address (`fullUrl`, "" if none) and the kept elements of each resource of a type that is used.

    Args:
        path: a Bundle (`.json`, up to 64 MB) or NDJSON, one resource per line (up to 16 MB).

    Raises:
        ReadError: not JSON, not FHIR R4, nested too deeply, one page of a search, two resources of one id.
        Unsupported: the package fhir.resources is missing.
    """
    if path.suffix.lower() == NDJSON:
        return list(_unique(_lines(path)))
    if path.stat().st_size > BUNDLE_BYTES:
        raise ReadError(f"the Bundle is over {BUNDLE_BYTES >> 20} MB", f"write it as {NDJSON}, a resource a line")
    return resources_of(json_object(path.read_bytes()))


def resources_of(bundle: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """As `read_resources`, of a parsed Bundle."""
    return list(_unique(_bundle(bundle)))


def _bundle(bundle: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if bundle.get("resourceType") != "Bundle" or not isinstance(bundle.get("entry", []), list):
        raise ReadError("the file is not a FHIR Bundle", f"bring a Bundle of one patient, or {NDJSON}")
    if bundle.get("type") == "history":
        raise ReadError("the Bundle is a history, which holds a resource several times", "export the current state")
    links = bundle.get("link", [])
    if not isinstance(links, list) or any(isinstance(link, dict) and link.get("relation") == "next" for link in links):
        raise ReadError("the Bundle is one page of a search", "join the pages: no link is followed")
    for entry in bundle.get("entry", []):
        if not isinstance(entry, dict):
            raise ReadError("an entry of the Bundle is not an object", "export the Bundle again")
        if "resource" in entry:
            url = entry.get("fullUrl", "")
            yield url if isinstance(url, str) else "", _kept(entry["resource"])


def _lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(LINE_BYTES + 1):
            number += 1
            if len(line) > LINE_BYTES:
                raise ReadError(f"line {number} is over {LINE_BYTES >> 20} MB", "leave attachments out")
            if line.strip():
                try:
                    yield "", _kept(json_object(line))
                except ReadError as error:
                    raise ReadError(f"line {number}: {error.what}", error.fix) from None


def json_object(data: bytes) -> dict[str, Any]:
    """Parse a JSON object; NaN and infinities, which JSON does not have, are refused.

    Raises:
        ReadError: it is no JSON, is nested too deeply, or is no object.
    """
    try:
        found = json.loads(data, parse_constant=_no_constant)
    except (ValueError, RecursionError):  # not UTF-8, NaN, a number of thousands of digits, thousands of brackets
        raise ReadError("the text is not JSON, or is nested too deeply", "export the file again") from None
    if not isinstance(found, dict):
        raise ReadError("the JSON is not an object", "bring a Bundle or resources of FHIR R4")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError("JSON has no such number")


def _kept(resource: object) -> dict[str, Any]:
    """Select the elements of a resource that are used, validated against FHIR R4; none for other types."""
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(resource, dict) or not isinstance(kind, str):
        raise ReadError("a resource has no resourceType", "export the file again, as FHIR R4")
    if kind not in ELEMENTS:
        _no_bundle(kind)
        known = kind.isascii() and kind.isalpha() and len(kind) < LONGEST_TYPE
        return {"resourceType": "" if kind in SILENT else UNREAD + (kind if known else "unknown type")}
    kept = {name: resource[name] for name in ELEMENTS[kind].split() if resource.get(name) is not None}
    kept["resourceType"] = kind
    if _deeper(kept, DEEPEST):
        raise ReadError(f"a resource of type {kind} is nested too deeply", "export the file again")
    plain: dict[str, Any] = _without_null(kept)
    contained = plain.pop("contained", [])
    _of_release(resource, kind)
    try:
        from fhir.resources.R4B import get_fhir_model_class
    except ImportError:
        raise missing("fhir.resources", "ehr", "FHIR files") from None
    try:
        get_fhir_model_class(kind).model_validate(plain)
    except (ValueError, TypeError, ArithmeticError, AttributeError, RecursionError) as error:
        places = error.errors() if hasattr(error, "errors") else []
        names = {str(place["loc"][0]) for place in places if place["loc"]} & set(ELEMENTS[kind].split())
        where = f": {', '.join(sorted(names))}" if names else ""
        raise ReadError(f"a resource of type {kind} is not FHIR R4{where}", "correct it, or export it again") from None
    if contained:
        plain["contained"] = [
            _kept(item)
            for item in (contained if isinstance(contained, list) else [contained])
            if isinstance(item, dict) and item.get("resourceType") == "Medication" and isinstance(item.get("id"), str)
        ]
    return plain


def _of_release(resource: dict[str, Any], kind: str) -> None:
    """Refuse by its name a resource that another release of FHIR writes in another way."""
    signs = ELSEWHERE.get(kind, {})
    for name, release in signs.items():
        if name in resource:
            raise ReadError(
                f"a resource of type {kind} is not FHIR R4 but {release}: {name}",
                "export the record as R4, or convert it with the HL7 FHIR validator",
            )


def _no_bundle(kind: str) -> None:
    if kind == "Bundle":
        raise ReadError("a Bundle stands inside", "bring the resources of one Bundle")


def _without_null(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: _without_null(item) for name, item in tree.items() if item is not None}
    return [_without_null(item) for item in tree if item is not None] if isinstance(tree, list) else tree


def _deeper(tree: object, levels: int) -> bool:
    level = [tree]
    for _ in range(levels):
        level = [
            item
            for node in level
            if isinstance(node, dict | list)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _unique(found: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each resource once; refuse two different ones of the same type and id."""
    seen: dict[tuple[str, str], dict[str, Any]] = {}
    for where, item in found:
        if item["resourceType"].startswith(UNREAD):
            yield where, item
            continue
        key = (item["resourceType"], item.get("id", where))
        if not item["resourceType"] or (key[1] and seen.get(key) == item):
            continue
        if key[1] and key in seen:
            raise ReadError(f"two resources of type {key[0]} have the same id", "keep the current one")
        seen[key] = item
        yield where, item
