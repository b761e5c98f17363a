"""Addresses of the page on which label maps are drawn, and of what it asks."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import JSONResponse, Response

from chiasm.serving.application import require
from chiasm.serving.documents import document_of, parts_of
from chiasm.serving.faults import refused
from chiasm.serving.openapi import RESPONSES
from chiasm.serving.outline.asked import opened_of
from chiasm.serving.outline.drawing import MEDIA, forms_of, labels_of, saved, takes_clicks
from chiasm.serving.outline.given_masks import given_mask
from chiasm.serving.outline.kept import kept_of
from chiasm.serving.outline.outlines import as_runs, of_runs
from chiasm.serving.outline.seen_clicks import read_click
from chiasm.serving.outline.sessions import Open, Sessions
from chiasm.serving.outline.working import Workshop
from chiasm.serving.page import page_routes
from chiasm.serving.service import Service

FOLDER = Path(__file__).parent
SCRIPTS = ("outline_view.js", "outline_tools.js", "outline.js")
FILES = {
    "/outline": ("outline.html", "text/html; charset=utf-8"),
    "/outline.css": ("outline.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, "text/javascript; charset=utf-8") for name in SCRIPTS},
}
"""Addresses of the page, which hold nothing of a patient and are told without a token."""
AT_ONCE = 2
"""Images that are read, and maps that are written, side by side: each takes several times its size meanwhile."""
TAG = {"name": "outline", "description": "Draw and correct label maps in an image that is open."}
SLICE = "/outline/{name}/image/{plane}/{number}"
MASK = "/outline/{name}/mask/{plane}/{number}"


class OutlinePage:
    """The extension of an application by the page on which label maps are drawn."""

    def __init__(self, sessions: Sessions | None = None) -> None:
        self.sessions = sessions or Sessions()

    def __call__(self, app: FastAPI, service: Service) -> None:
        service.open_addresses |= FILES.keys()
        app.include_router(page_routes(FOLDER, FILES))
        app.include_router(outline_routes(service, self.sessions))
        if app.openapi_tags is not None:
            app.openapi_tags = [*app.openapi_tags, TAG]


def outline_routes(service: Service, sessions: Sessions) -> APIRouter:
    """Routes to open an image, look at it, draw in it, and save what was drawn."""
    router = APIRouter(tags=["outline"])
    workshop, heavy = Workshop(service), asyncio.Semaphore(AT_ONCE)

    def of(request: Request, name: str, what: str = "") -> Open:
        asked = require(request, "predict", what)
        own = sessions.of(name, asked.caller.name if asked.caller is not None else "")
        asked.model, asked.version, asked.digest = own.loaded.name, own.loaded.version, own.loaded.digest
        return own

    @router.get("/outline/models", responses=RESPONSES, summary="The models that draw label maps")
    async def models(request: Request) -> Response:
        require(request, "predict")
        found = [
            {
                "name": own.name,
                "version": own.version,
                "labels": labels_of(own),
                "modalities": {name: reads.kind for name, reads in own.reads.items()},
            }
            for own in service.shelf
            if own.draws
        ]
        return JSONResponse({"models": found, "upload_bytes": service.limits.upload_bytes})

    @router.post("/outline/open", responses=RESPONSES, summary="Open the images of a patient")
    async def open_image(request: Request) -> Response:
        asked = require(request, "predict", "outline-open")
        sessions.require_room()
        sent = await parts_of(request, service.limits)
        try:
            document = await document_of(sent.document)
            owner = asked.caller.name if asked.caller is not None else ""
            async with heavy:
                own = await asyncio.to_thread(opened_of, document, sent.files, service, owner)
        finally:
            await sent.close()
        asked.model, asked.version, asked.digest = own.loaded.name, own.loaded.version, own.loaded.digest
        asked.patients = 1
        return JSONResponse({"id": sessions.add(own), **facts(own)})

    @router.get("/outline/{name}", responses=RESPONSES, summary="What is drawn so far")
    async def state(request: Request, name: str) -> Response:
        return JSONResponse(drawn_so_far(of(request, name)))

    @router.get(SLICE, responses=RESPONSES, response_class=Response, summary="A slice, two bytes a pixel")
    async def image(request: Request, name: str, plane: str, number: str) -> Response:
        own, wanted = of(request, name), request.query_params.get("modality", "")
        picture = own.pictures.get(wanted or own.first)
        if picture is None:
            raise refused(404, "no-image", "this modality was not opened")
        content = await asyncio.to_thread(picture.slice, plane, number_of(number))
        return Response(content, media_type="application/octet-stream")

    @router.get(MASK, responses=RESPONSES, summary="The mask of a slice")
    async def mask(request: Request, name: str, plane: str, number: str) -> Response:
        own = of(request, name)
        found = await asyncio.to_thread(workshop.mask, own, plane, number_of(number))
        return JSONResponse({**as_runs(found), "clicks": workshop.clicks_in(own, plane, number_of(number))})

    @router.put(MASK, responses=RESPONSES, summary="Draw the mask of a slice anew")
    async def put_mask(request: Request, name: str, plane: str, number: str) -> Response:
        own, document = of(request, name), await document_of(await request.body())
        place = number_of(number)
        shape = workshop.mask(own, plane, place).shape
        codes = await asyncio.to_thread(of_runs, document, shape, own.outline.labels)
        await asyncio.to_thread(workshop.draw, own, plane, place, codes)
        return JSONResponse(drawn_so_far(own))

    @router.post("/outline/{name}/mask", responses=RESPONSES, summary="Go on with a mask that there is already")
    async def post_mask(request: Request, name: str) -> Response:
        own, sent = of(request, name, "outline-mask"), await parts_of(request, service.limits)
        try:
            async with heavy:
                every = await asyncio.to_thread(kept_of, sent.files, service.limits.upload_bytes)
                (kept, *_) = [*every.values(), ()]
                whole = await asyncio.to_thread(given_mask, own, kept, service.scratch)
                await asyncio.to_thread(workshop.take, own, whole)
        finally:
            await sent.close()
        return JSONResponse(drawn_so_far(own))

    @router.post("/outline/{name}/click", responses=RESPONSES, summary="Click in a slice")
    async def click(request: Request, name: str) -> Response:
        own = of(request, name)
        asked = read_click(await document_of(await request.body()), labels_of(own.loaded))
        if asked.by_model:
            workshop.let_draw(own, asked)
        else:
            await asyncio.to_thread(workshop.click, own, asked)
        return JSONResponse(drawn_so_far(own))

    @router.post("/outline/{name}/draw", responses=RESPONSES, status_code=202, summary="Let the model draw")
    async def draw(request: Request, name: str) -> Response:
        own = of(request, name, "outline-draw")
        workshop.let_draw(own)
        return JSONResponse(drawn_so_far(own), 202)

    @router.post("/outline/{name}/undo", responses=RESPONSES, summary="Take the last change back")
    async def undo(request: Request, name: str) -> Response:
        own = of(request, name)
        await asyncio.to_thread(workshop.undo, own)
        return JSONResponse(drawn_so_far(own))

    @router.post("/outline/{name}/redo", responses=RESPONSES, summary="Do again what was taken back")
    async def redo(request: Request, name: str) -> Response:
        own = of(request, name)
        await asyncio.to_thread(workshop.redo, own)
        return JSONResponse(drawn_so_far(own))

    @router.get(
        "/outline/{name}/save/{form}", responses=RESPONSES, response_class=Response, summary="The map as a file"
    )
    async def save(request: Request, name: str, form: str) -> Response:
        own = of(request, name, "outline-save")
        async with heavy:
            content = await asyncio.to_thread(saved, own, form, service.scratch)
        return Response(content, media_type=MEDIA[form])

    @router.delete("/outline/{name}", responses=RESPONSES, summary="Close an image and forget it")
    async def close(request: Request, name: str) -> Response:
        own = of(request, name)
        sessions.close(name, own.owner)
        return JSONResponse({"closed": True})

    return router


def facts(own: Open) -> dict[str, Any]:
    """What the page is told of an image that was opened."""
    picture = own.pictures[own.first]
    return {
        "model": own.loaded.name,
        "labels": labels_of(own.loaded),
        "shape": list(picture.shape),
        "spacing": list(picture.spacing),
        "flat": picture.flat,
        "takes_clicks": takes_clicks(own.loaded),
        "images": {name: picture.facts() for name, picture in sorted(own.pictures.items())},
        "forms": forms_of(own),
        **drawn_so_far(own),
    }


def drawn_so_far(own: Open) -> dict[str, Any]:
    """What the page is told after each change: how much there is of each label, and what can be undone."""
    outline, fault = own.outline, own.fault
    return {
        "state": own.state,
        "fault": None if fault is None else str(fault),
        "version": outline.version,
        "many": outline.many[1:].tolist(),
        "undo": len(outline.done),
        "redo": len(outline.undone),
    }


def number_of(text: str) -> int:
    """The number of a slice in an address.

    Raises:
        Refused: 404, it is none.
    """
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise refused(404, "no-slice", "slices are counted by whole numbers from 0")
    return int(text)
