"""A model folder or a checkpoint on disk: safetensors for numbers, JSON for the rest.

A model is a tree of dataclasses, each registered under a name with `storable`. On disk it is a folder of two files:
`model.json` (the tree, arrays replaced by references; its own hash and that of the weights) and `weights.safetensors`.
`card.md`, for people, and `signature.json` may stand beside them, and nothing else.
Loading looks names up in the register and checks every field against its annotation; it executes nothing. A field that
came after a model was stored has a default, which is filled in; a part of an earlier version is upgraded first. A field
without default that is missing, or an unknown one, is refused.
The hashes find damage. They are no signature: whoever can write the folder can write them too (`artifact.signature`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from chiasm.artifact.description import (
    CARD,
    DESCRIPTION,
    FILES,
    SCHEMA,
    SCHEMA_ID,
    SIGNATURE,
    WEIGHTS,
    described,
    digest,
    require_facts,
    require_parts,
)
from chiasm.artifact.loading import hash_of_rest, permitted, require_weights, worded
from chiasm.artifact.opening import LinkedError, opened_file, opened_folder
from chiasm.artifact.register import ArtifactError
from chiasm.artifact.signature import Signature, read_signature, signed
from chiasm.artifact.strict_json import JsonError, parts_of, read_json
from chiasm.artifact.tensors import read_arrays, read_header
from chiasm.artifact.trees import encode, rebuild
from chiasm.artifact.whole import exchange, full_disk_named, remove_left_over, staging_of, whole_file
from chiasm.artifact.whole import fsync as _fsync
from chiasm.limits import (
    CARD_BYTES,
    JSON_PARTS,
    MODEL_JSON_BYTES,
    WEIGHTS_BYTES,
    LimitError,
)


def save(path: Path | str, root: object, card: str = "", facts: Mapping[str, Any] | None = None) -> None:
    """Write `root` as a model folder; the folder appears whole or not at all, and replaces an older model in one step.

    Args:
        card: text for people, which is stored beside the model and never read again; empty: none.
        facts: what else is known of the model, for `inspect`; see `description.FACTS`.

    Raises:
        ArtifactError: `path` exists and is not a model folder, or holds other files too; a number of the model is not
            finite; or it describes more columns than a folder may hold.
    """
    path = Path(path)
    require_place(path)
    arrays: dict[str, np.ndarray] = {}
    tree = encode(root, "", arrays)
    staging = staging_of(path)
    shutil.rmtree(staging, ignore_errors=True)  # of a process of the same number that was killed
    remove_left_over(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging.mkdir(mode=0o700)
    try:
        with full_disk_named(path):
            save_file(arrays, staging / WEIGHTS)
        document = {"$schema": SCHEMA_ID, "schema": SCHEMA, "weights_sha256": sha256(staging / WEIGHTS), "model": tree}
        if facts:
            require_facts(dict(facts), path.name)
            document["facts"] = dict(facts)
        document["sha256"] = digest(document)
        raw = json.dumps(document, indent=1, allow_nan=False).encode()
        if len(raw) > MODEL_JSON_BYTES or parts_of(raw) > JSON_PARTS:
            raise ArtifactError(
                f"the model describes more columns than a model folder may hold ({MODEL_JSON_BYTES >> 20} MB): leave "
                "out the widest modality, or bring it as a bag"
            )
        (staging / DESCRIPTION).write_bytes(raw)
        if card:
            (staging / CARD).write_text(card, encoding="utf-8")
        for file in staging.iterdir():
            file.chmod(0o600)
            _fsync(file)
        if path.exists():
            exchange(staging, path)
        else:
            staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_place(path: Path) -> None:
    """Refuse a place at which `save` could write no model, before a long training; raises ArtifactError as it does."""
    if path.is_symlink() or (path.exists() and not (path.is_dir() and _holds_a_model_only(path))):
        raise ArtifactError(f"'{path.name}' exists and is not a model folder: choose another place for the model")


def _holds_a_model_only(path: Path) -> bool:
    found = {file.name for file in path.iterdir()}
    return not found or (DESCRIPTION in found and found <= {*FILES})


def sign(path: Path | str, key: Any) -> Signature:
    """Write `signature.json` into a model folder, for every other file as it is now; an older one is replaced.

    The model is looked at before: a folder whose hashes do not agree is not signed.

    Args:
        key: a private key of Ed25519, by `keys.private_key`.

    Raises:
        ArtifactError: it is no sound model folder.
    """
    path = Path(path)
    with permitted(path), opened_folder(path, FILES) as folder:
        raw = folder.bytes_of(DESCRIPTION, MODEL_JSON_BYTES)
        document = described(raw, folder.name)
        with folder.file(WEIGHTS, WEIGHTS_BYTES) as file, worded(f"{folder.name}/{WEIGHTS}"):
            weights = hash_of_rest(file, read_header(file))
        require_weights(document, weights, folder.name)
        hashes = {DESCRIPTION: hashlib.sha256(raw).hexdigest(), WEIGHTS: weights}
        if CARD in folder.names:
            hashes[CARD] = hashlib.sha256(folder.bytes_of(CARD, CARD_BYTES)).hexdigest()
    text = signed(hashes, key)
    write_text(path / SIGNATURE, text)
    return read_signature(text.encode(), path.name)


def holds_model(path: os.PathLike[str] | str) -> bool:
    """True for a folder with a `model.json`, sound or not."""
    return (Path(path) / DESCRIPTION).is_file()


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a tree of scalars, texts, lists, mappings and arrays to one file, atomically."""
    arrays: dict[str, np.ndarray] = {}
    tree = encode(dict(state), "", arrays)
    with whole_file(path) as staging:
        save_file(arrays, staging, metadata={"chiasm": json.dumps(tree, allow_nan=False)})


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        ArtifactError: the file is truncated or is not a checkpoint.
    """
    with permitted(path):
        arrays, notes = _read_checkpoint(path)
    try:
        tree = read_json(notes["chiasm"].encode("utf-8", "surrogatepass"))
        require_parts(tree, path.name)
    except (KeyError, JsonError):
        raise ArtifactError(f"'{path.name}' is not a checkpoint or is damaged: delete it to start over") from None
    decoded = rebuild(tree, arrays, path.name)
    if not isinstance(decoded, dict):
        raise ArtifactError(f"'{path.name}' does not hold a checkpoint's state")
    return decoded


def _read_checkpoint(path: Path) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """The arrays and the texts of a safetensors file, which is opened once: a process that outlives its killed parent
    for a moment may replace it between two openings.
    """
    try:
        with opened_file(path, WEIGHTS_BYTES) as file, worded(path.name):
            header = read_header(file)
            return read_arrays(file, header)[0], header.notes
    except LimitError as error:
        raise ArtifactError(f"'{path.name}' {error.what}: {error.fix}") from None
    except (FileNotFoundError, LinkedError):
        raise ArtifactError(f"'{path.name}' is missing or a link: delete it to start over") from None


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: temporary file, fsync, rename."""
    with whole_file(path) as staging:
        staging.write_text(text, encoding="utf-8")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
