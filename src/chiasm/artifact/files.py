"""A model folder or a checkpoint on disk: safetensors for numbers, JSON for the rest.

A model is a tree of dataclasses, each registered under a name with `storable`. On disk it is a folder of two files:
`model.json` (the tree, arrays replaced by references; its own hash and that of the weights) and `weights.safetensors`.
A third, `card.md`, may stand beside them for people.
Loading looks names up in the register and checks every field against its annotation; it executes nothing. A field that
came after a model was stored has a default, which is filled in; a part of an earlier version is upgraded first. A field
without default that is missing, or an unknown one, is refused.
The hashes find damage. They are no signature: whoever can write the folder can write them too.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from chiasm.artifact.register import ArtifactError, unknown_kinds
from chiasm.artifact.trees import Outline, encode, outlined, rebuild
from chiasm.artifact.whole import fsync as _fsync
from chiasm.artifact.whole import full_disk_named, remove_left_over, staging_of, whole_file
from chiasm.limits import (
    HEADER_BYTES,
    JSON_PARTS,
    MODEL_JSON_BYTES,
    TENSORS,
    WEIGHTS_BYTES,
    LimitError,
    require_regular,
)

SCHEMA = 1
DESCRIPTION, WEIGHTS, CARD = "model.json", "weights.safetensors", "card.md"
UNREADABLE = "may not be read by you: a model is its owner's alone, ask for a copy"
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64", "I32": "int32", "BOOL": "bool"}


def save(path: Path | str, root: object, card: str = "") -> None:
    """Write `root` as a model folder; the folder appears whole or not at all, and replaces an older model in one step.

    Args:
        card: text for people, which is stored beside the model and never read again; empty: none.

    Raises:
        ArtifactError: `path` exists and is not a model folder, or holds other files too; a number of the model is not
            finite; or it describes more columns than a folder may hold.
    """
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_dir() and _holds_a_model_only(path))):
        raise ArtifactError(f"'{path.name}' exists and is not a model folder: choose another place for the model")
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
        document = {"schema": SCHEMA, "weights_sha256": sha256(staging / WEIGHTS), "model": tree}
        document["sha256"] = digest(document)
        raw = json.dumps(document, indent=1, allow_nan=False).encode()
        if len(raw) > MODEL_JSON_BYTES or _parts_of(raw) > JSON_PARTS:
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
            _exchange(staging, path)
        else:
            staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _holds_a_model_only(path: Path) -> bool:
    found = {file.name for file in path.iterdir()}
    return not found or (DESCRIPTION in found and found <= {DESCRIPTION, WEIGHTS, CARD})


def _exchange(new: Path, old: Path) -> None:
    """Swap two folders: in one step where Linux can, else by two renames, undone if the second one fails."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if rename is not None and rename(here, os.fsencode(new), here, os.fsencode(old), swap) == 0:
        return
    aside = old.with_name(f"{new.name}.old")
    old.rename(aside)
    try:
        new.rename(old)
    except BaseException:
        aside.rename(old)
        raise
    aside.rename(new)


def load(path: Path | str, bring: Callable[[Any], None] | None = None) -> Any:
    """Read a model folder written by `save`.

    Args:
        bring: imports where the classes of a stored tree are; called if it holds a kind that has no place in the table,
            such as one of a recipe's own module or of another package.

    Raises:
        ArtifactError: a missing, truncated or changed file, another schema, an unknown kind or field.
    """
    path = Path(path)
    with _permitted(path):
        document = _description(path)
        if sha256(path / WEIGHTS) != document["weights_sha256"]:
            raise ArtifactError(
                f"'{path.name}/weights.safetensors' does not have the hash in model.json: copy the model again"
            )
        arrays, _ = _read_arrays(path / WEIGHTS)
    if bring is not None and unknown_kinds(document["model"]):
        bring(document["model"])
    return rebuild(document["model"], arrays, path.name)


def outline(path: Path | str) -> Outline:
    """What a model folder says of itself: its JSON, and the header of its weights. No weight is read.

    Raises:
        ArtifactError: as for `load`, but for what only the weights show.
    """
    path = Path(path)
    with _permitted(path):
        tree = _description(path)["model"]
        arrays = _outlined_arrays(path / WEIGHTS)
    named = {name: (shape, DTYPES.get(kind, kind)) for name, (shape, kind) in arrays.items()}
    try:
        return Outline(outlined(tree, named))
    except RecursionError as error:
        raise ArtifactError(f"'{path.name}' is nested deeper than anything chiasm writes") from error


def _outlined_arrays(path: Path) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and kind of number of each array, from the header."""
    try:
        require_header(path)
        with safe_open(path, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            return {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
    except LimitError as error:
        raise ArtifactError(f"'{WEIGHTS}' {error.what}: {error.fix}") from None
    except PermissionError:
        raise
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError("'weights.safetensors' is truncated or is not safetensors: copy it again") from error


@contextmanager
def _permitted(path: Path) -> Iterator[None]:
    """Turn the refusal of the system to read a model, or its folder, into words."""
    try:
        yield
    except PermissionError:
        raise ArtifactError(f"'{path.name}' {UNREADABLE}") from None


def holds_model(path: os.PathLike[str] | str) -> bool:
    """True for a folder with a `model.json`, sound or not."""
    return (Path(path) / DESCRIPTION).is_file()


def identity(path: Path | str) -> str:
    """The sha256 that a model folder gives itself, over its JSON and its weights' hash: equal for copies of one folder.

    Raises:
        ArtifactError: as for `outline`.
    """
    path = Path(path)
    with _permitted(path):
        return str(_description(path)["sha256"])


def _description(path: Path) -> Any:
    """The document in model.json, sound by itself; the weights are there and are not read."""
    description, weights = path / DESCRIPTION, path / WEIGHTS
    for file in (description, weights):
        if file.is_symlink() or not file.is_file():
            raise ArtifactError(f"'{path.name}' is not a model folder: '{file.name}' is missing or a link")
    for file, most in ((description, MODEL_JSON_BYTES), (weights, WEIGHTS_BYTES)):
        try:
            require_regular(file, most)
        except LimitError as error:
            raise ArtifactError(f"'{path.name}/{file.name}' {error.what}: not a model that chiasm wrote") from None
    raw = description.read_bytes()
    if _parts_of(raw) > JSON_PARTS:
        raise ArtifactError(f"'{path.name}/model.json' has over {JSON_PARTS:,} parts: not a model that chiasm wrote")
    try:
        document = json.loads(raw.decode("utf-8"))
        del raw
    except (ValueError, RecursionError) as error:  # not JSON, not UTF-8, a number of thousands of digits
        raise ArtifactError(
            f"'{path.name}/model.json' is not JSON: the file is damaged, copy the model again"
        ) from error
    if not isinstance(document, dict) or "schema" not in document:
        raise ArtifactError(f"'{path.name}/model.json' is not the description of a chiasm model")
    schema = document["schema"]
    if schema != SCHEMA:
        shown = schema if isinstance(schema, int) and abs(schema) < 10**6 else "of another kind"
        raise ArtifactError(
            f"'{path.name}' has schema {shown} and this chiasm reads {SCHEMA}: install the chiasm that wrote it"
        )
    if set(document) != {"schema", "weights_sha256", "model", "sha256"}:
        raise ArtifactError(f"'{path.name}/model.json' is not the description of a chiasm model")
    try:
        own = digest(document)
    except RecursionError as error:
        raise ArtifactError(f"'{path.name}' is nested deeper than anything chiasm writes") from error
    if own != document["sha256"]:
        raise ArtifactError(f"'{path.name}/model.json' does not have the hash that it names: copy the model again")
    return document


def _parts_of(raw: bytes) -> int:
    """At least as many as the lists, mappings and their items in a JSON text."""
    return sum(raw.count(sign) for sign in (b"[", b"{", b","))


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
    # One opening: a process that outlives its killed parent for a moment may replace the file between two.
    with _permitted(path):
        arrays, metadata = _read_arrays(path)
    try:
        tree = json.loads(metadata["chiasm"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArtifactError(f"'{path.name}' is not a checkpoint or is damaged: delete it to start over") from error
    decoded = rebuild(tree, arrays, path.name)
    if not isinstance(decoded, dict):
        raise ArtifactError(f"'{path.name}' does not hold a checkpoint's state")
    return decoded


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: temporary file, fsync, rename."""
    with whole_file(path) as staging:
        staging.write_text(text, encoding="utf-8")


def require_header(path: Path) -> None:
    """Raise `LimitError` for a safetensors file whose size, or whose header's, no model or checkpoint has."""
    size = require_regular(path, WEIGHTS_BYTES)
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > min(HEADER_BYTES, max(size - 8, 0)):
            raise LimitError("is truncated or is not safetensors", "copy it again")
        if file.read(length).count(b"{") > TENSORS + 2:
            raise LimitError(f"holds over {TENSORS:,} tensors", "copy it again")


def _read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes of a safetensors file, whose reader bounds the header and checks every size it names."""
    try:
        require_header(path)
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except LimitError as error:
        raise ArtifactError(f"'{path.name}' {error.what}: {error.fix}") from None
    except PermissionError:
        raise
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:  # a dtype that NumPy lacks
        raise ArtifactError(f"'{path.name}' is truncated or is not safetensors: copy it again") from error


def digest(document: Mapping[str, Any]) -> str:
    """The hash of a description but for the hash itself, however it is laid out."""
    body = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
