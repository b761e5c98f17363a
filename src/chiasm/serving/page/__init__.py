"""The page of the service at `/`: what is known of a patient in, the prediction and what was missing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

FOLDER = Path(__file__).parent
SCRIPTS = ("asking.js", "form.js", "entered.js", "answer.js", "page.js")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    **{f"/{name}": (name, "text/javascript; charset=utf-8") for name in SCRIPTS},
}
"""Addresses of the page, which hold nothing of a patient and are told without a token."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def page_routes() -> APIRouter:
    """Routes of the page and of what it loads, all from here."""
    router = APIRouter(include_in_schema=False)
    for address, (name, media) in FILES.items():
        router.add_api_route(address, _sends((FOLDER / name).read_bytes(), media), methods=["GET"])
    return router


def _sends(content: bytes, media: str) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return Response(content, media_type=media, headers={"Content-Security-Policy": POLICY})

    return send
