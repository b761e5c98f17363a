"""JSON Schema of what is checked when a document is read, made from the very annotations that the check asks.

A stored part's class says which fields it has, which of them have a default, and of which type each is
(`trees.decode`); here the same is said in the words of JSON Schema 2020-12, for programs that are not chiasm. It is
necessary and not sufficient: hashes, what the weights hold, and what a class asks of its own values, no schema says.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, is_typeddict

import numpy as np

from chiasm.artifact.description import FACTS, SCHEMA, SCHEMA_ID
from chiasm.artifact.register import defaults
from chiasm.artifact.soundness import POSITIVE
from chiasm.artifact.trees import hints_of, required_of
from chiasm.limits import JSON_WHOLE

DRAFT = "https://json-schema.org/draft/2020-12/schema"
NAMES = ("model", "trial")
PLAIN: Mapping[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer", "exclusiveMinimum": -JSON_WHOLE, "exclusiveMaximum": JSON_WHOLE},
    float: {"type": "number"},
    None: {"type": "null"},
    type(None): {"type": "null"},
    np.ndarray: {"$ref": "#/$defs/array"},
    Any: {"$ref": "#/$defs/node"},
    dict: {"type": "object"},
    list: {"type": "array", "items": {"type": "string"}},
}
HASH = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
OWN_KEY = {"pattern": "^([^$]|$)"}
ARRAY = {
    "description": "An array, by its name in weights.safetensors; each name stands once.",
    "type": "object",
    "properties": {"$array": {"type": "string"}},
    "required": ["$array"],
    "additionalProperties": False,
}


def shipped(name: str) -> dict[str, Any]:
    """Return the schema that comes with the package, of a "model" or a "trial".

    Raises:
        ValueError: there is no such schema.
    """
    if name not in NAMES:
        raise ValueError(f"there is no schema '{name}': there are {', '.join(NAMES)}")
    found: dict[str, Any] = json.loads((files("chiasm.artifact") / f"{name}.schema.json").read_text("utf-8"))
    return found


def model_schema(kinds: Mapping[str, type]) -> dict[str, Any]:
    """Make the schema of `model.json` from the registered classes, by kind."""
    facts = {key: _facts_of(own) for key, own in FACTS.items()}
    parts = {f"part-{kind}": part_schema(cls, kinds) for kind, cls in sorted(kinds.items())}
    return {
        "$schema": DRAFT,
        "$id": SCHEMA_ID,
        "title": "model.json of a chiasm model folder",
        "type": "object",
        "properties": {
            "$schema": {"const": SCHEMA_ID},
            "schema": {"const": SCHEMA},
            "weights_sha256": HASH,
            "sha256": HASH,
            "facts": {"type": "object", "properties": facts, "additionalProperties": False},
            "model": {"$ref": "#/$defs/node"},
        },
        "required": ["schema", "weights_sha256", "model", "sha256"],
        "additionalProperties": False,
        "$defs": {"array": ARRAY, "node": NODE, "part": _any_part(kinds), **parts},
    }


NODE: dict[str, Any] = {
    "description": "Anything that a field may hold.",
    "if": {"type": "object"},
    "then": {
        "if": {"required": ["$kind"]},
        "then": {"$ref": "#/$defs/part"},
        "else": {
            "if": {"required": ["$array"]},
            "then": {"$ref": "#/$defs/array"},
            "else": {"propertyNames": OWN_KEY, "additionalProperties": {"$ref": "#/$defs/node"}},
        },
    },
    "else": {"items": {"$ref": "#/$defs/node"}},
}


def _facts_of(own: type) -> dict[str, Any]:
    if own is dict:
        return {"type": "object", "additionalProperties": PLAIN[str]}
    return {"type": "integer", "minimum": 0} if own is int else PLAIN[own]


def _any_part(kinds: Mapping[str, type]) -> dict[str, Any]:
    """A stored part of any kind; one of another package's is not looked into."""
    return {
        "type": "object",
        "properties": {"$kind": PLAIN[str], "$version": {"type": "integer", "minimum": 1}},
        "required": ["$kind"],
        "allOf": [
            {"if": {"properties": {"$kind": {"const": kind}}}, "then": {"$ref": f"#/$defs/part-{kind}"}}
            for kind in sorted(kinds)
        ],
    }


def part_schema(cls: type, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Make the schema of a stored part; of an earlier version, which is upgraded first, only the kind is said."""
    kind, version = cls._storable_kind, cls._storable_version  # type: ignore[attr-defined]
    hints, optional = hints_of(cls), defaults(cls)
    names = [own.name for own in dataclasses.fields(cls)]
    fields = {name: hint_schema(hints[name], kinds) for name in names}
    for name in POSITIVE:
        if fields.get(name) == PLAIN[float]:
            fields[name] = {**PLAIN[float], "exclusiveMinimum": 0}
    present = {
        "type": "object",
        "properties": {"$kind": {"const": kind}, "$version": {"const": version}, **fields},
        "required": [
            "$kind",
            *(["$version"] if version > 1 else []),
            *(name for name in names if name not in optional),
        ],
        "additionalProperties": False,
    }
    if version == 1:
        return present
    return {
        "if": {"properties": {"$version": {"const": version}}, "required": ["$version"]},
        "then": present,
        "else": {
            "type": "object",
            "properties": {"$kind": {"const": kind}, "$version": {"type": "integer", "maximum": version - 1}},
            "required": ["$kind"],
        },
    }


def hint_schema(hint: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Say an annotation as `trees.conform` reads it: what JSON may stand where it does.

    Raises:
        TypeError: an annotation that no stored value has.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return {"anyOf": [hint_schema(own, kinds) for own in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (NotRequired, Required):
        return hint_schema(arguments[0], kinds)
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        own = [hint_schema(one, kinds) for one in arguments]
        return {"type": "array", "prefixItems": own, "minItems": len(own), "maxItems": len(own)}
    if origin in (tuple, list):
        return {"type": "array", "items": hint_schema(arguments[0], kinds)}
    if origin is dict:
        return {
            "type": "object",
            "propertyNames": OWN_KEY,
            "additionalProperties": hint_schema(arguments[1], kinds),
        }
    if origin is np.ndarray:
        return PLAIN[np.ndarray]
    if hint in PLAIN:
        return PLAIN[hint]
    if is_typeddict(hint):
        return table_schema(hint, kinds)
    if isinstance(hint, type) and getattr(hint, "_is_protocol", False):
        return {"$ref": "#/$defs/part"}
    able = sorted(kind for kind, cls in kinds.items() if isinstance(hint, type) and issubclass(cls, hint))
    if not able:
        raise TypeError(f"{hint} is no annotation of a stored value")
    refs = [{"$ref": f"#/$defs/part-{kind}"} for kind in able]
    return refs[0] if len(refs) == 1 else {"anyOf": refs}


def table_schema(hint: Any, kinds: Mapping[str, type]) -> dict[str, Any]:
    """Say a `TypedDict`: further keys are allowed, as they are to a reader."""
    hints = hints_of(hint)
    return {
        "type": "object",
        "properties": {name: hint_schema(own, kinds) for name, own in hints.items()},
        "required": sorted(required_of(hint)),
    }
