"""The FHIR R4 face of the service: `$predict` takes a Bundle of one patient and answers with a RiskAssessment."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chiasm.serving.application import answered, require
from chiasm.serving.documents import document_of
from chiasm.serving.faults import Refused, refused
from chiasm.serving.guard import Asked as Asking
from chiasm.serving.hospital.bundle import asked_of, time_of
from chiasm.serving.hospital.facts import Asked, require_known
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.risk import answer_of, outcome_of
from chiasm.serving.hospital.writing import FhirServer, write_back
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import patients_of
from chiasm.serving.service import Service

FHIR_JSON = "application/fhir+json"
TYPES = (FHIR_JSON, "application/json")


def fhir_routes(mapped: Mapped, server: FhirServer | None) -> APIRouter:
    """Routes under `/fhir`; what is refused is an OperationOutcome.

    Args:
        server: where answers are written on `?write=true`; None: nowhere.
    """
    router = APIRouter(prefix="/fhir", tags=["fhir"])
    since = datetime.now(UTC)

    @router.get("/metadata", response_class=Response, summary="What is spoken here")
    async def metadata() -> Response:
        return sent(capabilities(server is not None, since))

    @router.post("/$predict", response_class=Response, summary="A Bundle of one patient to a RiskAssessment")
    async def predict(request: Request) -> Response:
        asking = require(request, "predict", "fhir-predict")
        try:
            return sent(await assessed(mapped, server, request, asking))
        except Refused as fault:
            asking.outcome = fault.code
            found = sent(outcome_of(fault), fault.status)
            if fault.retry_after:
                found.headers["Retry-After"] = str(fault.retry_after)
            return found

    return router


async def assessed(mapped: Mapped, server: FhirServer | None, request: Request, asking: Asking) -> dict[str, Any]:
    """Answer one Bundle, and write the answer where that is asked."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TYPES:
        raise refused(415, "content-type", f"send {FHIR_JSON}")
    write = request.query_params.get("write", "false")
    if write not in ("true", "false"):
        raise refused(422, "not-a-boolean", "write is true or false", "write")
    if write == "true" and server is None:
        raise refused(
            422, "no-server", "no FHIR server is named to write to: `server` in [fhir] of the mapping", "write"
        )
    at = time_of(request.query_params.get("at"))
    bundle = await document_of(await request.body())
    if not isinstance(bundle, dict):
        raise refused(422, "not-an-object", "send a Bundle of FHIR R4", "Bundle")
    loaded, mapping = mapped.now()
    resource = await answer_one(mapped.service, loaded, asked_of(bundle, mapping, at), asking)
    if write == "true" and server is not None:
        reference = await write_back(server, resource)
        resource |= {"id": reference.rpartition("/")[2]} if reference else {}
    return resource


async def answer_one(
    service: Service, loaded: Loaded, asked: Asked, asking: Asking, sources: dict[str, Path] | None = None
) -> dict[str, Any]:
    """Return the resource that answers a patient, predicted as by `/predict`, its limits and policies included."""
    asking.model, asking.version, asking.digest = loaded.name, loaded.version, loaded.digest
    require_known(asked)
    files = sources or {}
    document = {"patients": [asked.patient]}
    patients = patients_of(
        document, loaded.reads, service.limits, loaded.policy, frozenset(files), chooses=loaded.chooses
    )
    asking.patients = 1
    (answer,) = await answered(service, loaded, patients, files, asking)
    return answer_of(asked, answer, model_facts(loaded), loaded.model.target)


def model_facts(loaded: Loaded) -> dict[str, str]:
    """What an answer tells of its model."""
    return {"name": loaded.name, "version": loaded.version, "sha256": loaded.digest, "recipe": loaded.model.recipe}


def sent(resource: dict[str, Any], status: int = 200) -> Response:
    """Send a resource."""
    return Response(json.dumps(resource, allow_nan=False).encode(), status, media_type=FHIR_JSON)


def capabilities(writes: bool, since: datetime) -> dict[str, Any]:
    """Return the CapabilityStatement; `since` the service runs."""
    words = "Predicts from a Bundle of one patient" + (
        ", and writes the answer to a FHIR server on ?write=true." if writes else "."
    )
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": since.isoformat(timespec="seconds"),
        "kind": "instance",
        "software": {"name": "chiasm", "version": version("chiasm")},
        "implementation": {"description": words},
        "fhirVersion": "4.0.1",
        "format": [FHIR_JSON],
        "rest": [
            {
                "mode": "server",
                "operation": [{"name": "predict", "definition": "urn:chiasm:operation:predict"}],
            }
        ],
    }
