"""The page of the service at `/`: what is known of a patient in, the prediction and what was missing out."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

from chiasm.palette import stylesheet

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
HEADERS = {"Content-Security-Policy": POLICY}
ACCESS = b"  <!-- access -->\n"
PALETTE = b"/* colours and type: chiasm.palette */\n"


def page_routes(
    folder: Path = FOLDER, files: Mapping[str, tuple[str, str]] = FILES, headers: Mapping[str, str] = HEADERS
) -> APIRouter:
    """Routes of a page and of what it loads, all from one folder.

    Args:
        files: address to the name of a file and its type; `ACCESS` in a file is the form in which a token is given, and
            the place where trouble is told, the same on every page; `PALETTE` the colours and type of all.
        headers: that are sent with each.
    """
    router = APIRouter(include_in_schema=False)
    access = (FOLDER / "access.html").read_bytes()
    for address, (name, media) in files.items():
        content = (folder / name).read_bytes().replace(ACCESS, access).replace(PALETTE, stylesheet().encode())
        router.add_api_route(address, _sends(content, media, headers), methods=["GET"])
    return router


def _sends(content: bytes, media: str, headers: Mapping[str, str]) -> Callable[[], Awaitable[Response]]:
    async def send() -> Response:
        return Response(content, media_type=media, headers=dict(headers))

    return send
