"""The only file that reads or writes a model or a checkpoint: safetensors for numbers, JSON for the rest.

A model is a tree of dataclasses, each registered under a name with `storable`. On disk it is a folder of two files:
`model.json` (the tree, arrays replaced by references; its own hash and that of the weights) and `weights.safetensors`.
Loading looks names up in the register and checks every field against its annotation; it executes nothing. A field that
came after a model was stored has a default, which is filled in: a field without one, or an unknown one, is refused.
The hashes find damage. They are no signature: whoever can write the folder can write them too.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import hashlib
import json
import os
import shutil
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

SCHEMA = 1
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"
MAX_JSON_BYTES = 256 * 2**20
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "I64": "int64", "I32": "int32", "BOOL": "bool"}
_REGISTER: dict[str, type] = {}
_T = TypeVar("_T")


class ArtifactError(ValueError):
    """A model folder or checkpoint that is not what it says, and what to do about it."""


@dataclasses.dataclass(frozen=True)
class ArrayOutline:
    """An array as a header describes it."""

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Outline:
    """A model without its weights: `tree` is what model.json holds, an `ArrayOutline` for each array."""

    tree: Any


def storable(kind: str) -> Callable[[type[_T]], type[_T]]:
    """Register a dataclass under a name, so that `save` can write it and `load` can read it back."""

    def register(cls: type[_T]) -> type[_T]:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} must be a dataclass to be storable")
        if _REGISTER.get(kind, cls).__qualname__ != cls.__qualname__:
            raise ValueError(f"two storable classes are named '{kind}'")
        _REGISTER[kind] = cls
        cls._storable_kind = kind  # type: ignore[attr-defined]
        return cls

    return register


def save(path: Path | str, root: object) -> None:
    """Write `root` as a model folder; the folder appears whole or not at all, and replaces an older model in one step.

    Raises:
        ArtifactError: `path` exists and is not a model folder, or holds other files too.
    """
    path = Path(path)
    if path.is_symlink() or (path.exists() and not (path.is_dir() and _holds_a_model_only(path))):
        raise ArtifactError(f"'{path.name}' exists and is not a model folder: choose another place for the model")
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(root, "", arrays)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    shutil.rmtree(staging, ignore_errors=True)  # of a process of the same number that was killed
    staging.mkdir(parents=True)
    try:
        save_file(arrays, staging / WEIGHTS)
        document = {"schema": SCHEMA, "weights_sha256": _sha256(staging / WEIGHTS), "model": tree}
        document["sha256"] = _digest(document)
        (staging / DESCRIPTION).write_text(json.dumps(document, indent=1, allow_nan=False), encoding="utf-8")
        for file in staging.iterdir():
            _fsync(file)
        if path.exists():
            _exchange(staging, path)
        else:
            staging.rename(path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _holds_a_model_only(path: Path) -> bool:
    found = {file.name for file in path.iterdir()}
    return not found or (DESCRIPTION in found and found <= {DESCRIPTION, WEIGHTS})


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


def load(path: Path | str) -> Any:
    """Read a model folder written by `save`.

    Raises:
        ArtifactError: a missing, truncated or changed file, another schema, an unknown kind or field.
    """
    path = Path(path)
    document = _description(path)
    if _sha256(path / WEIGHTS) != document["weights_sha256"]:
        raise ArtifactError(
            f"'{path.name}/weights.safetensors' does not have the hash in model.json: copy the model again"
        )
    return _rebuild(document["model"], _read_arrays(path / WEIGHTS)[0], path.name)


def outline(path: Path | str) -> Outline:
    """What a model folder says of itself: its JSON, and the header of its weights. No weight is read.

    Raises:
        ArtifactError: as for `load`, but for what only the weights show.
    """
    path = Path(path)
    tree = _description(path)["model"]
    try:
        with safe_open(path / WEIGHTS, framework="numpy") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
            arrays = {name: (tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError("'weights.safetensors' is truncated or is not safetensors: copy it again") from error
    return Outline(_outlined(tree, {name: (shape, DTYPES.get(kind, kind)) for name, (shape, kind) in arrays.items()}))


def outline_of(root: object) -> Outline:
    """The outline of the folder that `save` would write."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(root, "", arrays)
    return Outline(_outlined(tree, {name: (value.shape, str(value.dtype)) for name, value in arrays.items()}))


def _outlined(node: Any, arrays: Mapping[str, tuple[tuple[int, ...], str]]) -> Any:
    if isinstance(node, list):
        return [_outlined(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"$array"}:
        if not isinstance(node["$array"], str) or node["$array"] not in arrays:
            raise ArtifactError("'model.json' refers to an array that the weights do not hold")
        return ArrayOutline(*arrays[node["$array"]])
    described = {key: _outlined(item, arrays) for key, item in node.items()}
    cls = _REGISTER.get(node["$kind"]) if isinstance(node.get("$kind"), str) else None
    if cls is not None:  # as `load` fills them: an older model is compared with a newer one
        described |= {key: outline_of(own).tree for key, own in _defaults(cls).items() if key not in described}
    return described


def identity(path: Path | str) -> str:
    """The sha256 that a model folder gives itself, over its JSON and its weights' hash: equal for copies of one folder.

    Raises:
        ArtifactError: as for `outline`.
    """
    return str(_description(Path(path))["sha256"])


def _description(path: Path) -> Any:
    """The document in model.json, sound by itself; the weights are there and are not read."""
    description, weights = path / DESCRIPTION, path / WEIGHTS
    for file in (description, weights):
        if file.is_symlink() or not file.is_file():
            raise ArtifactError(f"'{path.name}' is not a model folder: '{file.name}' is missing or a link")
    if description.stat().st_size > MAX_JSON_BYTES:
        raise ArtifactError(
            f"'{path.name}/model.json' is over {MAX_JSON_BYTES // 2**20} MB: not a model that chiasm wrote"
        )
    try:
        document = json.loads(description.read_bytes().decode("utf-8"))
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
    if _digest(document) != document["sha256"]:
        raise ArtifactError(f"'{path.name}/model.json' does not have the hash that it names: copy the model again")
    return document


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write a tree of scalars, texts, lists, mappings and arrays to one file, atomically."""
    arrays: dict[str, np.ndarray] = {}
    tree = _encode(dict(state), "", arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    save_file(arrays, staging, metadata={"chiasm": json.dumps(tree, allow_nan=False)})
    _fsync(staging)
    staging.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote.

    Raises:
        ArtifactError: the file is truncated or is not a checkpoint.
    """
    # One opening: a process that outlives its killed parent for a moment may replace the file between two.
    arrays, metadata = _read_arrays(path)
    try:
        tree = json.loads(metadata["chiasm"])
    except (KeyError, ValueError, RecursionError) as error:
        raise ArtifactError(f"'{path.name}' is not a checkpoint or is damaged: delete it to start over") from error
    decoded = _rebuild(tree, arrays, path.name)
    if not isinstance(decoded, dict):
        raise ArtifactError(f"'{path.name}' does not hold a checkpoint's state")
    return decoded


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically: temporary file, fsync, rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    staging.write_text(text, encoding="utf-8")
    _fsync(staging)
    staging.replace(path)


def _encode(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "bifuc":
            raise TypeError(f"{where or 'value'}: an array of {value.dtype} cannot be stored")
        key = where or "value"
        while key in arrays:  # 'a.b' of one mapping, and 'b' of another that is named 'a'
            key += "'"
        arrays[key] = np.array(value, order="C")
        return {"$array": key}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = getattr(type(value), "_storable_kind", None)
        if kind is None:
            raise TypeError(f"{where}: {type(value).__name__} is not storable")
        fields = {
            f.name: _encode(getattr(value, f.name), f"{where}.{f.name}".lstrip("."), arrays)
            for f in dataclasses.fields(value)
        }
        return {"$kind": kind, **fields}
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            raise TypeError(f"{where}: a stored mapping has text keys that do not start with '$'")
        return {key: _encode(item, f"{where}.{key}".lstrip("."), arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item, f"{where}.{index}".lstrip("."), arrays) for index, item in enumerate(value)]
    raise TypeError(f"{where}: a {type(value).__name__} cannot be stored")


def _rebuild(tree: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    try:
        return _decode(tree, arrays, name)
    except RecursionError as error:
        raise ArtifactError(f"'{name}' is nested deeper than anything chiasm writes") from error


def _decode(node: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    if isinstance(node, list):
        return [_decode(item, arrays, name) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"$array"}:
        if not isinstance(node["$array"], str) or node["$array"] not in arrays:
            raise ArtifactError(f"'{name}' refers to an array that its weights do not hold")
        return arrays[node["$array"]]
    if "$kind" not in node:
        return {key: _decode(item, arrays, name) for key, item in node.items()}
    cls = _REGISTER.get(node["$kind"]) if isinstance(node["$kind"], str) else None
    if cls is None:
        raise ArtifactError(
            f"'{name}' holds a part of unknown kind: install the package that provides it, or update chiasm"
        )
    fields = {field.name for field in dataclasses.fields(cls)}
    given = set(node) - {"$kind"}
    odd = sorted((given - fields) | (fields - given - _defaults(cls).keys()))
    if odd:
        raise ArtifactError(f"'{name}' holds a '{node['$kind']}' whose field '{odd[0][:40]}' is unknown or missing")
    hints = get_type_hints(cls)
    values = {}
    for field in sorted(given):
        value = _decode(node[field], arrays, name)
        try:
            values[field] = _conform(hints[field], value)
        except TypeError as error:
            raise ArtifactError(
                f"'{name}' holds a '{node['$kind']}' whose field '{field}' has the wrong type"
            ) from error
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"'{name}' holds a '{node['$kind']}' that cannot be: {error}") from error


def _defaults(cls: type) -> dict[str, Any]:
    """Field to its default, made afresh, of those that have one: a model of before the field came lacks it."""
    made = {}
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING:
            made[field.name] = field.default_factory()
        elif field.default is not dataclasses.MISSING:
            made[field.name] = field.default
    return made


def _conform(hint: Any, value: Any) -> Any:
    """`value` as the annotation `hint` wants it (a JSON list becomes a tuple); `TypeError` where it cannot be."""
    if hint is Any or (isinstance(hint, type) and getattr(hint, "_is_protocol", False)):
        return value
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for option in arguments:
            with contextlib.suppress(TypeError):
                return _conform(option, value)
    elif origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_conform(arguments[0], item) for item in value)
        if len(arguments) == len(value):
            return tuple(_conform(option, item) for option, item in zip(arguments, value, strict=True))
    elif origin is list and isinstance(value, list):
        return [_conform(arguments[0], item) for item in value]
    elif origin is dict and isinstance(value, dict):
        return {_conform(arguments[0], key): _conform(arguments[1], item) for key, item in value.items()}
    elif origin is Literal and value in arguments:
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    elif (value is None and hint in (None, type(None))) or (origin is np.ndarray and isinstance(value, np.ndarray)):
        return value
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError(f"{hint} does not describe the stored value")


def _read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the notes of a safetensors file, whose reader bounds the header and checks every size it names."""
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError, TypeError, ValueError, AttributeError) as error:  # a dtype that NumPy lacks
        raise ArtifactError(f"'{path.name}' is truncated or is not safetensors: copy it again") from error


def _digest(document: Mapping[str, Any]) -> str:
    """The hash of a description but for the hash itself, however it is laid out."""
    body = {key: value for key, value in document.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fsync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
