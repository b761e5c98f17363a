"""The DICOMweb face of the service: a study's series is fetched, predicted, and answered with a structured report."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from chiasm.serving.application import require
from chiasm.serving.documents import document_of
from chiasm.serving.faults import refused
from chiasm.serving.guard import Asked as Asking
from chiasm.serving.hospital.dicomweb import DicomServer, fetch_series, require_uid, series_of, store
from chiasm.serving.hospital.facts import Asked
from chiasm.serving.hospital.fhir import answer_one, sent
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.structured_report import report_of

KNOWN = ("study", "series", "patient", "store")


def imaging_routes(mapped: Mapped, server: DicomServer) -> APIRouter:
    """The route under `/dicomweb`.

    Args:
        server: where studies are, and reports are stored.
    """
    router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])

    @router.post("/$predict", response_class=Response, summary="A study to a prediction, stored as a report")
    async def predict(request: Request) -> Response:
        asking = require(request, "predict", "dicomweb-predict")
        document = await document_of(await request.body())
        return sent(await assessed(mapped, server, document, asking))

    return router


async def assessed(mapped: Mapped, server: DicomServer, document: Any, asking: Asking) -> dict[str, Any]:
    """Answer a study.

    Args:
        document: `study`, and where wanted `series` (modality to UID), `patient` (other modalities, as of `/predict`)
            and `store` (false keeps the report from the server).
    """
    if not isinstance(document, dict):
        raise refused(422, "not-an-object", f"a request is an object of {', '.join(KNOWN)}")
    if not document.keys() <= set(KNOWN):
        raise refused(422, "unknown-field", f"a request has {', '.join(KNOWN)}, and nothing else")
    study = require_uid(document.get("study"), "study")
    named, patient, keep = document.get("series", {}), document.get("patient", {}), document.get("store", True)
    if not isinstance(named, dict) or not isinstance(patient, dict) or not isinstance(keep, bool):
        raise refused(422, "not-an-object", "`series` and `patient` are objects, and `store` is true or false")
    loaded, mapping = mapped.now()
    with tempfile.TemporaryDirectory(dir=mapped.service.scratch) as folder:
        sources, files = dict[str, Path](), list[Path]()
        async with server.client() as client:
            for image in mapping.images:
                wanted = named.get(image.modality)
                wanted = None if wanted is None else require_uid(wanted, f"series.{image.modality}")
                series, number = await series_of(client, study, image.dicom, wanted)
                place = Path(folder) / f"series-{len(sources)}"
                place.mkdir()
                found = await fetch_series(server, client, study, series, place, number)
                sources[image.modality] = found[0] if len(found) == 1 else place
                files += found
        given = {**patient, **{name: {"upload": name} for name in sources}}
        now = datetime.now(UTC)
        resource = await answer_one(mapped.service, loaded, Asked(given, "", (), now), asking, sources)
        if keep:
            report = await asyncio.to_thread(report_of, files, resource, version("chiasm"))
            async with server.client() as client:
                await store(client, report)
    return resource
