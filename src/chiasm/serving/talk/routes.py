"""Addresses of the page to talk with a synthetic patient, and of what it asks."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from starlette.responses import Response

from chiasm.serving.application import require
from chiasm.serving.documents import document_of
from chiasm.serving.faults import refused
from chiasm.serving.page import HEADERS as PLAIN
from chiasm.serving.page import page_routes
from chiasm.serving.service import Service
from chiasm.serving.talk.talks import Talks

FOLDER = Path(__file__).parent
FILES = {
    "/talk": ("talk.html", "text/html; charset=utf-8"),
    "/talk.css": ("talk.css", "text/css; charset=utf-8"),
    "/talk.js": ("talk.js", "text/javascript; charset=utf-8"),
    "/recorder.js": ("recorder.js", "text/javascript; charset=utf-8"),
}
"""Addresses of the page, which hold nothing that was said and are told without a token."""
HEADERS = {**PLAIN, "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)"}
RECORDING = "audio/wav"


class TalkPage:
    """The extension of an application by a synthetic patient to talk with."""

    def __init__(self, talks: Talks) -> None:
        self.talks = talks

    def __call__(self, app: FastAPI, service: Service) -> None:
        service.open_addresses |= FILES.keys()
        app.include_router(page_routes(FOLDER, FILES, HEADERS))
        app.include_router(talk_routes(self.talks))


def talk_routes(talks: Talks) -> APIRouter:
    """Routes to begin a conversation, say something in it, and end it with its score."""
    router = APIRouter(include_in_schema=False)

    @router.post("/talk/begin")
    async def begin(request: Request) -> Response:
        name, sound = await asyncio.to_thread(talks.begin, _owner(request, "talk-begin"))
        own = talks.persona
        facts = {"id": name, "case": own.name, "says": own.opens, "hears": talks.listener is not None}
        return _json({**facts, "sound": _text(sound)})

    @router.post("/talk/{name}/say")
    async def say(request: Request, name: str) -> Response:
        owner = _owner(request, "talk")
        turn, sound = await asyncio.to_thread(talks.say, name, owner, await _said(request))
        return _json({"heard": turn.heard, "says": turn.says, "sound": _text(sound)})

    @router.post("/talk/{name}/end")
    async def end(request: Request, name: str) -> Response:
        conversation, score = await asyncio.to_thread(talks.score, name, _owner(request, "talk-end"))
        return _json({**conversation.as_json(), "score": score.as_json()})

    return router


async def _said(request: Request) -> str | bytes:
    """What was said: the text of a JSON document, or a recording."""
    body = await request.body()
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == RECORDING:
        return body
    document = await document_of(body)
    if not isinstance(document, dict) or set(document) != {"text"} or not isinstance(document["text"], str):
        raise refused(422, "not-said", f'send {{"text": "..."}} as JSON, or a recording as {RECORDING}')
    return document["text"]


def _owner(request: Request, what: str) -> str:
    asked = require(request, "predict", what)
    return asked.caller.name if asked.caller is not None else ""


def _json(document: dict[str, Any]) -> Response:
    return Response(json.dumps(document), media_type="application/json")


def _text(sound: bytes | None) -> str | None:
    return None if sound is None else base64.b64encode(sound).decode("ascii")
