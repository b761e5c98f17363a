"""The application: its routes, and what is added to them from elsewhere (a page, hospitals' standards)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from chiasm.serving.alike import require_keeps
from chiasm.serving.answers import Answer, placed
from chiasm.serving.documents import Answered, PartsOfRequest, document_of, parts_of
from chiasm.serving.explaining import require_explains
from chiasm.serving.faults import Refused, refusal, refused
from chiasm.serving.guard import ASKED, Asked, Guard
from chiasm.serving.loaded import Loaded
from chiasm.serving.openapi import BODY, RESPONSES, TAGS
from chiasm.serving.page import page_routes
from chiasm.serving.patients import Patient, patients_of
from chiasm.serving.service import Service, facts_of
from chiasm.serving.uploads import written
from chiasm.serving.works import EXPLAIN, SIMILAR

Extension = Callable[[FastAPI, Service], None]
WAYS = ("/{what}", "/models/{name}/{what}", "/models/{name}/versions/{version}/{what}")
MOST_EXPLAINED = 32
VERSION = "1"
"""Of the addresses and of what they answer."""
MEDIA = "application/json"


def application(service: Service, extensions: Sequence[Extension] = ()) -> Any:
    """Make the ASGI application of a service.

    Args:
        extensions: each is called with the FastAPI application and the service, and adds its routes; the guard stands
            before them too, and `answered` predicts for them.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await asyncio.to_thread(service.start)
        except Exception as error:
            service.broken = error
            raise
        if service.replicas and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))  # again: Ray took it, and tells a crash
        yield
        await asyncio.to_thread(service.stop)

    app = FastAPI(
        title="chiasm", version=VERSION, docs_url=None, redoc_url=None, lifespan=lifespan, openapi_tags=TAGS,
        redirect_slashes=False,
    )  # fmt: skip
    app.include_router(asking(service))
    app.include_router(keeping(service))
    app.include_router(page_routes())
    for extend in extensions:
        extend(app, service)

    @app.exception_handler(Refused)
    async def of_ours(request: Request, fault: Refused) -> Response:
        asked_of(request).outcome = fault.code
        return _refusal(fault)

    @app.exception_handler(HTTPException)
    async def of_the_framework(request: Request, error: HTTPException) -> Response:
        words = {
            404: "there is nothing at this address: /openapi.json lists what there is",
            405: "ask by another method",
        }
        status = error.status_code
        fault = refused(status, f"http-{status}", words.get(status, "the request cannot be read"))
        asked_of(request).outcome = fault.code
        found = _refusal(fault)
        if allow := (error.headers or {}).get("Allow"):
            found.headers["Allow"] = allow
        return found

    @app.exception_handler(Exception)
    async def of_nobody(request: Request, _: Exception) -> Response:
        asked_of(request).outcome = "failed"
        return _refusal(refused(500, "failed", "the service failed: its log says where"))

    return Guard(app, service)


class Straight(APIRoute):
    """A route whose endpoint is asked without looking for what else it might want: it takes the request alone."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler: Callable[[Request], Coroutine[Any, Any, Response]] = self.endpoint
        return handler


def asking(service: Service) -> APIRouter:
    """Routes that ask a model: schema, predict, explain; each for the default, for a model, and for a version of it."""
    router = APIRouter(tags=["models"], route_class=Straight)

    async def schema(request: Request) -> Response:
        return Response(_model_of(service, request).schema, media_type="application/schema+json")

    async def predict(request: Request) -> Response:
        asked = require(request, "predict", "predict")
        loaded = _model_of(service, request, asked)
        async with _patients(service, request, loaded, asked, service.limits.patients) as (patients, sources):
            return told(loaded, await answered(service, loaded, patients, sources, asked))

    async def explain(request: Request) -> Response:
        return await done(request, EXPLAIN, require_explains, MOST_EXPLAINED)

    async def similar(request: Request) -> Response:
        return await done(request, SIMILAR, require_keeps, service.limits.patients)

    async def done(request: Request, what: str, require_can: Callable[[Loaded], None], most: int) -> Response:
        """What needs the role to explain."""
        asked = require(request, "explain", what)
        loaded = _model_of(service, request, asked)
        require_can(loaded)
        async with _patients(service, request, loaded, asked, most) as (patients, sources):
            found = _whole(await service.worker.does(what, loaded, patients, sources))
            asked.patterns = Counter(own["pattern"] for own in found)
            return told(loaded, found)

    for number, way in enumerate(WAYS):
        at = ("", "_of_model", "_of_version")[number]
        responses: dict[int | str, dict[str, Any]] = dict(RESPONSES)
        router.add_api_route(
            way.format(what="schema", name="{name}", version="{version}"), schema, methods=["GET"],
            operation_id=f"schema{at}", response_class=Response, responses=responses, summary="What the model reads",
        )  # fmt: skip
        for what, does, words in (
            ("predict", predict, "Predict patients"),
            ("explain", explain, "What each modality brings"),
            ("similar", similar, "Whom a patient is like in training"),
        ):
            router.add_api_route(
                way.format(what=what, name="{name}", version="{version}"), does, methods=["POST"],
                operation_id=f"{what}{at}", response_model=Answered, responses=responses, summary=words,
                openapi_extra=BODY,
            )  # fmt: skip
    return router


def keeping(service: Service) -> APIRouter:
    """Routes that ask the service of itself: health, models, metrics, and to load what is new."""
    router = APIRouter(tags=["service"])

    @router.get("/health", responses=RESPONSES)
    @router.get("/health/ready", responses=RESPONSES)
    async def ready() -> Response:
        return _json({"live": True, "ready": service.ready}, 200 if service.ready else 503)

    @router.get("/health/live", responses=RESPONSES)
    async def live() -> Response:
        return _json({"live": True}, 200)

    @router.get("/models", responses=RESPONSES)
    async def models() -> Response:
        return _json(facts_of(service), 200)

    @router.get("/metrics", responses=RESPONSES, response_class=Response)
    async def metrics(request: Request) -> Response:
        require(request, "metrics")
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @router.post("/admin/reload", responses=RESPONSES)
    async def reload(request: Request) -> Response:
        require(request, "admin", "reload")
        failed = await asyncio.to_thread(service.refresh)
        return _json({**facts_of(service), "failed": dict(failed)}, 200)

    return router


async def answered(
    service: Service, loaded: Loaded, patients: Sequence[Patient], sources: dict[str, Path], asked: Asked
) -> list[dict[str, Any]]:
    """Predict patients together with those of other requests, and count their patterns.

    Raises:
        Refused: 422 where one of them cannot be predicted, 503 where it takes too long.
    """
    found = _whole(await service.worker.predict(loaded, patients, sources))
    asked.patterns = Counter(own["pattern"] for own in found)
    service.metrics.predicted(loaded.name, asked.patterns)
    return found


def _whole(found: Sequence[Answer]) -> list[dict[str, Any]]:
    """Return the answers, or refuse the request where one of its patients has none."""
    faults = [fault for row, own in enumerate(found) if not isinstance(own, dict) for fault in placed(own, row)]
    if faults:
        raise Refused(422, faults)
    return [own for own in found if isinstance(own, dict)]


def require(request: Request, role: str, what: str = "") -> Asked:
    """Return what is known of a request, once its caller has a role; `what` it asks stands in the audit trail.

    Raises:
        Refused: 403.
    """
    asked = asked_of(request)
    asked.what = what
    if asked.caller is None or role not in asked.caller.roles:
        raise refused(403, "no-role", f"the token has not the role '{role}'")
    return asked


def asked_of(request: Request) -> Asked:
    found: Asked = request.scope[ASKED]
    return found


def _model_of(service: Service, request: Request, asked: Asked | None = None) -> Loaded:
    loaded = service.shelf.get(request.path_params.get("name"), request.path_params.get("version"))
    if asked is not None:
        asked.model, asked.version, asked.digest = loaded.name, loaded.version, loaded.digest
    return loaded


@contextlib.asynccontextmanager
async def _patients(
    service: Service, request: Request, loaded: Loaded, asked: Asked, most: int
) -> AsyncIterator[tuple[list[Patient], dict[str, Path]]]:
    """Read the patients of a request; the folder of their files is gone once they are answered."""
    sent: PartsOfRequest = await parts_of(request, service.limits)
    try:
        document = await document_of(sent.document)
        names = frozenset(part.source for part in sent.files)
        patients = patients_of(document, loaded.reads, service.limits, loaded.policy, names, chooses=loaded.chooses)
        if len(patients) > most:
            raise refused(422, "too-many-patients", f"{most} patients are answered at most: send several", "patients")
        asked.patients = len(patients)
        if not sent.files:
            yield patients, {}
            return
        with tempfile.TemporaryDirectory(dir=service.scratch) as folder:
            sources = await asyncio.to_thread(written, sent.files, Path(folder))
            yield patients, dict(sources)
    finally:
        await sent.close()


def told(loaded: Loaded, answers: list[dict[str, Any]]) -> Response:
    """Return the answer of a request."""
    model = {
        "name": loaded.name, "version": loaded.version, "sha256": loaded.digest, "recipe": loaded.model.recipe,
    }  # fmt: skip
    return _json({"model": model, "target": loaded.model.target, "patients": answers}, 200)


def _json(document: Any, status: int) -> Response:
    body = json.dumps(document, allow_nan=False).encode()  # ASCII: what was sent may hold half signs
    return Response(body, status, media_type=MEDIA)


def _refusal(fault: Refused) -> Response:
    status, headers, body = refusal(fault)
    found = Response(body, status)
    found.raw_headers = headers
    return found
