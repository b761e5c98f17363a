"""What the OpenAPI document says of requests and of refusals."""

from __future__ import annotations

from typing import Any

from chiasm.serving.documents import REQUEST

TAGS = [
    {"name": "models", "description": "Ask a model. `/schema` says what it reads."},
    {"name": "service", "description": "Ask the service of itself."},
]
PATIENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "patients": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "object", "description": "modality to its cells, text, records or upload: see /schema"},
        }
    },
    "required": ["patients"],
    "additionalProperties": False,
}
FORM: dict[str, Any] = {
    "type": "object",
    "properties": {REQUEST: {**PATIENTS, "description": "the JSON; every other part is a file that it names"}},
    "required": [REQUEST],
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": PATIENTS}, "multipart/form-data": {"schema": FORM}},
    }
}
FAULT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "field")},
            "required": ["code", "message"],
        },
        "also": {"type": "array", "items": {"type": "object"}},
        "more": {"type": "string"},
    },
    "required": ["error"],
}
WORDS = {
    400: "no JSON, or headers that cannot be read",
    401: "no token",
    403: "a role that the token has not, or another origin",
    404: "no such model, version or address",
    408: "the body came too slowly",
    409: "the model draws in this image, or a turn is made, just now",
    413: "the body is too large",
    415: "another type of body",
    421: "a name that the service does not go by",
    422: "a field that the model cannot read, named",
    429: "too many requests of one caller",
    500: "a fault of the service",
    503: "busy, stopping, too slow, or the audit trail is full",
}
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": words, "content": {"application/json": {"schema": FAULT}}}
    for status, words in WORDS.items()
}
