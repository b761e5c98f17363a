"""CDS Hooks 2.0: `patient-view` asks the model of the patient whose record a clinician opens, and shows a card."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chiasm.readers.record.fhir import SYSTEMS
from chiasm.serving.application import asked_of as asked_of_request
from chiasm.serving.application import require
from chiasm.serving.documents import document_of
from chiasm.serving.faults import refused
from chiasm.serving.hospital.bundle import asked_of, time_of
from chiasm.serving.hospital.client_keys import CDS
from chiasm.serving.hospital.fhir import answer_one
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.mapping import CodeMap
from chiasm.serving.loaded import Loaded

HOOK = "patient-view"
SUMMARY_LETTERS = 140  # of the standard
SOURCE = "chiasm"
OUTCOMES = ("accepted", "overridden")
MOST_FEEDBACK = 100
HELD = (
    ("conditions", "Condition", "code", ""),
    ("procedures", "Procedure", "code", ""),
    ("allergies", "AllergyIntolerance", "code", ""),
    ("immunizations", "Immunization", "vaccine-code", ""),
    ("requests", "MedicationRequest", "code", "&_include=MedicationRequest:medication"),
    ("statements", "MedicationStatement", "code", "&_include=MedicationStatement:medication"),
    ("administrations", "MedicationAdministration", "code", "&_include=MedicationAdministration:medication"),
    ("dispenses", "MedicationDispense", "code", "&_include=MedicationDispense:medication"),
)
"""Where somebody's conditions and drugs stand: the key, the resource, its search by code, and what is sent with it."""
ADDRESSES = {short: address for address, short in SYSTEMS.items()}


def cds_routes(mapped: Mapped) -> APIRouter:
    """Routes of the standard: discovery, the service, and what became of its cards."""
    router = APIRouter(prefix="/cds-services", tags=["cds-hooks"])

    @router.get("", response_class=Response, summary="Which services there are")
    async def discovery() -> Response:
        return _sent({"services": [described(*mapped.now())]})

    @router.post("/{name}", response_class=Response, summary="Ask on opening a record")
    async def ask(request: Request) -> Response:
        asking = require(request, role_of(request), "cds-hooks")
        loaded, mapping = mapped.now()
        if request.path_params["name"] != service_id(loaded.name):
            raise refused(404, "unknown-service", "there is no such service: GET /cds-services lists them")
        bundle = _bundle(await document_of(await request.body()), prefetch_of(mapping))
        asked = asked_of(bundle, mapping, time_of(None))
        if not asked.patient:
            asking.outcome = "nothing-known"
            return _sent({"cards": []})
        resource = await answer_one(mapped.service, loaded, asked, asking)
        return _sent({"cards": [card(resource)]})

    @router.post("/{name}/feedback", response_class=Response, summary="What became of cards")
    async def feedback(request: Request) -> Response:
        require(request, role_of(request), "cds-feedback")
        if request.path_params["name"] != service_id(mapped.now()[0].name):
            raise refused(404, "unknown-service", "there is no such service: GET /cds-services lists them")
        document = await document_of(await request.body())
        given = document.get("feedback") if isinstance(document, dict) else None
        if not isinstance(given, list) or not 0 < len(given) <= MOST_FEEDBACK:
            raise refused(422, "no-feedback", f"`feedback` is a list of 1 to {MOST_FEEDBACK}", "feedback")
        if any(not isinstance(one, dict) or one.get("outcome") not in OUTCOMES for one in given):
            raise refused(422, "no-outcome", f"an outcome is {' or '.join(OUTCOMES)}", "feedback.outcome")
        for one in given:
            mapped.service.told("cds-feedback", outcome=one["outcome"])
        return Response(status_code=200)

    return router


def role_of(request: Request) -> str:
    """The role that answers here: `cds` of a client that signs, else `predict`."""
    caller = asked_of_request(request).caller
    return CDS if caller is not None and CDS in caller.roles else "predict"


def service_id(model: str) -> str:
    """Return the id of the service of a model."""
    return f"chiasm-{model}"


def described(loaded: Loaded, mapping: CodeMap) -> dict[str, Any]:
    """Describe the service of a model, with the searches whose results it needs."""
    return {
        "hook": HOOK,
        "id": service_id(loaded.name),
        "title": f"chiasm: {loaded.name}",
        "description": f"What the model '{loaded.model.recipe}' predicts from what is coded in the record.",
        "usageRequirements": "A research tool, and no certified medical device. Only mapped codes are read.",
        "prefetch": prefetch_of(mapping),
    }


def prefetch_of(mapping: CodeMap) -> dict[str, str]:
    """Return the searches of a mapping: the Patient, and resources of its codes alone."""
    columns = [own for group in mapping.columns.values() for own in group if own.code]
    found = {"patient": "Patient/{{context.patientId}}"}
    values = sorted({_token(own.code) for own in columns if not own.present})
    held = sorted({_token(own.code) for own in columns if own.present})
    notes = sorted({_token(own.code) for own in mapping.notes if own.code})
    patient = "?patient={{context.patientId}}"
    if values:
        found["observations"] = f"Observation{patient}&combo-code={','.join(values)}"
    for key, kind, by, more in HELD if held else ():
        found[key] = f"{kind}{patient}&{by}={','.join(held)}{more}"
    if mapping.notes:
        found["documents"] = f"DocumentReference{patient}" + (f"&type={','.join(notes)}" if notes else "")
    return found


def _token(code: str) -> str:
    """A code as FHIR searches for it: system|code."""
    system, _, rest = code.rpartition("//")
    return f"{ADDRESSES.get(system, system)}|{rest}"


def _bundle(document: Any, searches: Mapping[str, str]) -> dict[str, Any]:
    """Join what was prefetched into one Bundle.

    Raises:
        Refused: 400 for another hook or a body that is no request, 412 where something was not prefetched.
    """
    if not isinstance(document, dict) or not isinstance(document.get("context"), dict):
        raise refused(400, "not-a-request", "the body is no request of CDS Hooks", "context")
    if document.get("hook") != HOOK:
        raise refused(400, "unknown-hook", f"this service answers the hook {HOOK}", "hook")
    given = document.get("prefetch")
    if not isinstance(given, dict):
        raise refused(412, "not-prefetched", f"send prefetch: {', '.join(searches)}", "prefetch")
    if lacking := sorted(searches.keys() - given.keys()):
        raise refused(412, "not-prefetched", f"prefetch lacks {', '.join(lacking)}", "prefetch")
    person = given["patient"]
    if not isinstance(person, dict) or person.get("id") != document["context"].get("patientId"):
        raise refused(
            400, "another-patient", "the Patient that was prefetched is not the one of the context", "prefetch.patient"
        )
    entries: list[Any] = [{"resource": person}]
    for name in searches:
        if name != "patient":
            entries += _entries(given[name], name)
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _entries(found: Any, name: str) -> Sequence[Any]:
    """The entries of one search; null is a search that found nothing."""
    if found is None:
        return []
    if (
        not isinstance(found, dict)
        or found.get("resourceType") != "Bundle"
        or not isinstance(found.get("entry", []), list)
    ):
        raise refused(400, "not-a-bundle", "what was prefetched is no Bundle", f"prefetch.{name}")
    links = found.get("link", [])
    if not isinstance(links, list) or any(isinstance(own, dict) and own.get("relation") == "next" for own in links):
        raise refused(
            412, "one-page", "what was prefetched is one page of several: prefetch all of it", f"prefetch.{name}"
        )
    return [
        own
        for own in found.get("entry", [])
        if isinstance(own, dict) and (own.get("search") or {}).get("mode") != "outcome"
    ]


def card(resource: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card of an answer: its first outcome as a summary, all of them and what was missing as its detail."""
    outcomes = resource.get("prediction") or []
    lines = [f"- {_outcome(own)}" for own in outcomes]
    if quantity := resource.get("valueQuantity"):
        lines = [f"- {resource['code']['text']}: {quantity['value']:.4g} {quantity.get('unit', '')}".rstrip()]
    likeliest = max(outcomes, key=lambda own: own["probabilityDecimal"]) if outcomes else None
    first = lines[0].removeprefix("- ") if lines else "No prediction: see why"
    summary = _outcome(likeliest) if likeliest is not None and "whenRange" not in likeliest else first
    notes = [own["text"] for own in resource["note"]]
    return {
        "uuid": str(uuid.uuid4()),
        "summary": summary if len(summary) <= SUMMARY_LETTERS else summary[: SUMMARY_LETTERS - 3] + "...",
        "detail": "\n".join([*lines, "", *notes]),
        "indicator": "info",
        "source": {"label": SOURCE},
    }


def _outcome(own: Mapping[str, Any]) -> str:
    found = f"{own['outcome']['text']}: {own['probabilityDecimal']:.1%}"
    if span := own.get("whenRange"):
        found += f" within {span['high']['value']:g} {span['high'].get('unit', '')}".rstrip()
    return found


def _sent(document: Mapping[str, Any]) -> Response:
    return Response(json.dumps(document, allow_nan=False).encode(), media_type="application/json")
