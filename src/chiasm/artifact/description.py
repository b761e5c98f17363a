"""`model.json`: what stands in it beside the tree of the model, and what is asked of it before the tree is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from chiasm.artifact.register import ArtifactError
from chiasm.artifact.strict_json import JsonError, read_json
from chiasm.limits import STORED_PARTS

SCHEMA = 1
SCHEMA_ID = f"urn:chiasm:schema:model:{SCHEMA}"
DESCRIPTION, WEIGHTS, CARD, SIGNATURE = "model.json", "weights.safetensors", "card.md", "signature.json"
FILES = (DESCRIPTION, WEIGHTS, CARD, SIGNATURE)
"""Every file that a model folder may hold."""
NEEDED = ("schema", "weights_sha256", "model", "sha256")
FACTS: Mapping[str, type] = {
    "python": str,
    "packages": dict,
    "trained_parameters": int,
    "licences": dict,
    "holds_of_training": list,
}
"""What the writer of a folder says beside the model, and the type of each."""


def digest(document: Mapping[str, Any]) -> str:
    """The hash of a description but for the hash itself, however it is laid out."""
    body = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def described(raw: bytes | bytearray, name: str) -> dict[str, Any]:
    """Return the document in the bytes of a `model.json`, sound by itself.

    Args:
        name: of the folder, for messages.

    Raises:
        ArtifactError: it is no JSON, of another schema, has other keys than a description, or not the hash it names.
    """
    try:
        document = read_json(raw)
    except JsonError as error:
        raise ArtifactError(
            f"'{name}/model.json' {error}: the file is damaged or not one that chiasm wrote, copy the model again"
        ) from None
    if not isinstance(document, dict) or "schema" not in document:
        raise ArtifactError(f"'{name}/model.json' is not the description of a chiasm model")
    schema = document["schema"]
    if schema != SCHEMA or isinstance(schema, bool):
        shown = schema if isinstance(schema, int) and abs(schema) < 10**6 else "of another kind"
        raise ArtifactError(
            f"'{name}' has schema {shown} and this chiasm reads {SCHEMA}: install the chiasm that wrote it"
        )
    named = document.get("$schema", SCHEMA_ID) == SCHEMA_ID
    if not named or not {*NEEDED} <= set(document) <= {*NEEDED, "$schema", "facts"}:
        raise ArtifactError(f"'{name}/model.json' is not the description of a chiasm model")
    if digest(document) != document["sha256"]:
        raise ArtifactError(f"'{name}/model.json' does not have the hash that it names: copy the model again")
    require_facts(document.get("facts", {}), name)
    require_parts(document["model"], name)
    return document


def require_facts(facts: Any, name: str) -> None:
    """Refuse facts that no chiasm writes: other names, other types, or texts within that are none."""
    if not isinstance(facts, dict) or any(type(own) is not FACTS.get(key) for key, own in facts.items()):
        raise ArtifactError(f"'{name}/model.json' holds facts that chiasm does not write: copy the model again")
    inner = [own for held in facts.values() if isinstance(held, dict) for own in held.values()]
    inner += facts.get("holds_of_training", [])
    if not all(isinstance(own, str) for own in inner) or facts.get("trained_parameters", 0) < 0:
        raise ArtifactError(f"'{name}/model.json' holds facts that chiasm does not write: copy the model again")


def require_parts(tree: Any, name: str) -> set[str]:
    """Return the names of the arrays in a stored tree, each of which stands in it once.

    Raises:
        ArtifactError: an array stands in it twice, so that a small file could ask for much work; a reference is none;
            or it has more parts than a model.
    """
    found: set[str] = set()
    waiting, parts = [tree], 0
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(node)
        elif isinstance(node, dict):
            if set(node) == {"$array"}:
                if not isinstance(node["$array"], str) or node["$array"] in found:
                    raise ArtifactError(f"'{name}' refers to an array that its weights do not hold, or to one twice")
                found.add(node["$array"])
                continue
            parts += "$kind" in node
            waiting.extend(node.values())
    if parts > STORED_PARTS:
        raise ArtifactError(f"'{name}' has over {STORED_PARTS:,} parts: not a model that chiasm wrote")
    return found
