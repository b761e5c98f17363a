"""The body of a request: JSON, or JSON with files beside it; and what an answer looks like."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from pydantic import BaseModel
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from chiasm.serving.faults import refused
from chiasm.serving.settings import MEGABYTE, Limits
from chiasm.serving.uploads import Part

REQUEST = "request"
"""The part of a request that holds the JSON."""
MOST_FILES = 1_000
MOST_FIELDS = 8
LONG = 1 << 18  # bytes of JSON that are parsed beside the loop


class Answered(BaseModel):
    """What `/predict`, `/explain` and `/similar` answer."""

    model: dict[str, str]
    target: dict[str, Any]
    patients: list[dict[str, Any]]


@dataclass
class PartsOfRequest:
    """The JSON of a request, and its files."""

    document: bytes
    files: list[Part] = field(default_factory=list)
    form: FormData | None = None

    async def close(self) -> None:
        if self.form is not None:
            await self.form.close()


async def parts_of(request: Request, limits: Limits) -> PartsOfRequest:
    """Read the body.

    Raises:
        Refused: 415 for another type, 400 for parts that cannot be read or a request without JSON.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        return PartsOfRequest(await request.body())
    if kind != "multipart/form-data":
        raise refused(415, "content-type", "send application/json, or multipart/form-data with files")
    try:
        form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=limits.body_bytes)
    except (HTTPException, ValueError, KeyError, UnicodeDecodeError):
        raise refused(400, "broken-parts", "the parts of the request cannot be read, or are too many") from None
    document: bytes | None = None
    files = []
    try:
        for name, value in form.multi_items():
            if name == REQUEST:
                document = await value.read() if isinstance(value, UploadFile) else value.encode("utf-8", "replace")
            elif isinstance(value, UploadFile):
                files.append(Part(name, value.filename or "", value.file))
            else:
                raise refused(
                    400, "no-file", f"a part that is neither `{REQUEST}` nor a file: send files with a filename"
                )
        if document is None:
            raise refused(400, "no-request", f"the JSON stands in a part called `{REQUEST}`")
        if len(document) > limits.body_bytes:
            raise refused(413, "too-large", f"the JSON of a request may have {limits.body_bytes / MEGABYTE:,.3g} MB")
    except BaseException:
        await form.close()
        raise
    return PartsOfRequest(document, files, form)


async def document_of(body: bytes) -> Any:
    """Parse JSON.

    Raises:
        Refused: 400, it is none, is nested too deeply, names a key twice, or holds NaN or an infinity.
    """
    return await asyncio.to_thread(parsed, body) if len(body) > LONG else parsed(body)


def parsed(body: bytes) -> Any:
    """Parse JSON strictly; see `document_of`."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise refused(400, "not-json", "the body is no JSON (in UTF-8, with numbers that are finite)") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise refused(422, "repeated-key", "a key stands twice in one object: which of the two counts is not known")
    return found


def _refuse_constant(_: str) -> Any:
    raise ValueError
