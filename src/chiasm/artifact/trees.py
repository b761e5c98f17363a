"""A tree of registered dataclasses as JSON and arrays, and back: every field is checked against its annotation."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import types
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import numpy as np

from chiasm.artifact.register import ArtifactError, Storable, class_of, defaults, upgraded
from chiasm.artifact.soundness import fault_of

LEAVES = (str, int, float, bool, type(None), np.ndarray)


@dataclasses.dataclass(frozen=True)
class ArrayOutline:
    """An array as a header describes it."""

    shape: tuple[int, ...]
    dtype: str


@dataclasses.dataclass(frozen=True)
class Outline:
    """A model without its weights: `tree` is what model.json holds, an `ArrayOutline` for each array."""

    tree: Any


def outline_of(root: object) -> Outline:
    """The outline of the folder that `save` would write."""
    arrays: dict[str, np.ndarray] = {}
    tree = encode(root, "", arrays)
    return Outline(outlined(tree, {name: (value.shape, str(value.dtype)) for name, value in arrays.items()}))


def content_of(root: object) -> str:
    """SHA-256 of what `save` would write of a storable object: equal for a model and for what its folder gives back."""
    arrays: dict[str, np.ndarray] = {}
    tree = encode(root, "", arrays)
    digest = hashlib.sha256(json.dumps(tree, sort_keys=True, allow_nan=False).encode())
    for name in sorted(arrays):
        own = arrays[name]
        digest.update(repr((name, str(own.dtype), own.shape)).encode())
        digest.update(own.tobytes())
    return digest.hexdigest()


def outlined(node: Any, arrays: Mapping[str, tuple[tuple[int, ...], str]]) -> Any:
    if isinstance(node, list):
        return [outlined(item, arrays) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"$array"}:
        if not isinstance(node["$array"], str) or node["$array"] not in arrays:
            raise ArtifactError("'model.json' refers to an array that the weights do not hold")
        return ArrayOutline(*arrays[node["$array"]])
    cls = class_of(node.get("$kind"))
    if cls is None:
        return {key: outlined(item, arrays) for key, item in node.items()}
    stored = fields_of(cls, node)
    described = {"$kind": node["$kind"], **{key: outlined(item, arrays) for key, item in stored.items()}}
    # As `load` fills them: an older model is compared with a newer one.
    described |= {key: outline_of(own).tree for key, own in defaults(cls).items() if key not in described}
    return described


def encode(value: Any, where: str, arrays: dict[str, np.ndarray]) -> Any:
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
        if not isinstance(value, Storable):
            raise TypeError(f"{where}: {type(value).__name__} is not storable")
        for f in dataclasses.fields(value):
            infinite, unknown = f.name in value._storable_infinite, f.name in value._storable_unknown
            fault = fault_of(f.name, getattr(value, f.name), infinite=infinite, unknown=unknown)
            if fault is not None:
                raise ArtifactError(
                    f"the model's '{value._storable_kind}' has a field '{f.name}' that {fault}: its training diverged, "
                    "fit it again"
                )
        fields = {
            f.name: encode(getattr(value, f.name), f"{where}.{f.name}".lstrip("."), arrays)
            for f in dataclasses.fields(value)
        }
        kind, version = value._storable_kind, value._storable_version
        return {"$kind": kind, **({"$version": version} if version > 1 else {}), **fields}
    if isinstance(value, Mapping):
        if any(not isinstance(key, str) or key.startswith("$") for key in value):
            raise TypeError(f"{where}: a stored mapping has text keys that do not start with '$'")
        return {key: encode(item, f"{where}.{key}".lstrip("."), arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [encode(item, f"{where}.{index}".lstrip("."), arrays) for index, item in enumerate(value)]
    raise TypeError(f"{where}: a {type(value).__name__} cannot be stored")


def rebuild(tree: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    try:
        return decode(tree, arrays, name)
    except RecursionError as error:
        raise ArtifactError(f"'{name}' is nested deeper than anything chiasm writes") from error


def decode(node: Any, arrays: Mapping[str, np.ndarray], name: str) -> Any:
    if isinstance(node, list):
        return [decode(item, arrays, name) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"$array"}:
        if not isinstance(node["$array"], str) or node["$array"] not in arrays:
            raise ArtifactError(f"'{name}' refers to an array that its weights do not hold")
        return arrays[node["$array"]]
    if "$kind" not in node:
        return {key: decode(item, arrays, name) for key, item in node.items()}
    cls = class_of(node["$kind"])
    if cls is None:
        raise ArtifactError(
            f"'{name}' holds a part of unknown kind: install the package that provides it, or update chiasm"
        )
    fields = {field.name for field in dataclasses.fields(cls)}
    stored = fields_of(cls, node)
    given = set(stored)
    odd = sorted((given - fields) | (fields - given - defaults(cls).keys()))
    if odd:
        raise ArtifactError(f"'{name}' holds a '{node['$kind']}' whose field '{odd[0][:40]}' is unknown or missing")
    hints = hints_of(cls)
    values = {}
    for field in sorted(given):
        value = decode(stored[field], arrays, name)
        try:
            values[field] = conform(hints[field], value)
        except TypeError as error:
            raise ArtifactError(
                f"'{name}' holds a '{node['$kind']}' whose field '{field}' has the wrong type"
            ) from error
        infinite, unknown = field in cls._storable_infinite, field in cls._storable_unknown  # type: ignore[attr-defined]
        fault = fault_of(field, values[field], infinite=infinite, unknown=unknown)
        if fault is not None:
            raise ArtifactError(
                f"'{name}' holds a '{node['$kind']}' whose field '{field}' {fault}: its training diverged or the "
                "folder was changed, fit the model again"
            )
    try:
        return cls(**values)
    except (TypeError, ValueError) as error:
        raise ArtifactError(f"'{name}' holds a '{node['$kind']}' that cannot be: {error}") from error


def fields_of(cls: type, node: Mapping[str, Any]) -> dict[str, Any]:
    """The stored fields of a node as the present version of its class names them; nothing in them is decoded yet."""
    values = {key: item for key, item in node.items() if key not in ("$kind", "$version")}
    return upgraded(cls, values, node.get("$version", 1))


def conform(hint: Any, value: Any) -> Any:
    """`value` as the annotation `hint` wants it (a JSON list becomes a tuple); `TypeError` where it cannot be."""
    if hint is Any:
        return value
    if isinstance(hint, type) and getattr(hint, "_is_protocol", False):
        if isinstance(value, Storable) and members_of(hint) <= {*dir(value)}:
            return value
        raise TypeError(f"{hint} does not describe the stored value")
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for option in arguments:
            with contextlib.suppress(TypeError):
                return conform(option, value)
    elif origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(conform(arguments[0], item) for item in value)
        if len(arguments) == len(value):
            return tuple(conform(option, item) for option, item in zip(arguments, value, strict=True))
    elif origin is list and isinstance(value, list):
        return [conform(arguments[0], item) for item in value]
    elif origin is dict and isinstance(value, dict):
        return {conform(arguments[0], key): conform(arguments[1], item) for key, item in value.items()}
    elif is_typeddict(hint) and isinstance(value, dict):
        return _conform_table(hint, value)
    elif origin in (NotRequired, Required):
        return conform(arguments[0], value)
    elif origin is Literal and value in arguments:
        return value
    elif hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise TypeError("the stored number is too large") from None
    elif (value is None and hint in (None, type(None))) or (origin is np.ndarray and isinstance(value, np.ndarray)):
        return value
    elif isinstance(hint, type) and isinstance(value, hint) and (hint is bool or not isinstance(value, bool)):
        return value
    raise TypeError(f"{hint} does not describe the stored value")


def _conform_table(hint: Any, value: dict[str, Any]) -> dict[str, Any]:
    """A mapping as a `TypedDict` wants it; keys that it does not name are left as they are."""
    hints = hints_of(hint)
    if not required_of(hint) <= set(value):
        raise TypeError(f"{hint} does not describe the stored value")
    return {key: conform(hints[key], own) if key in hints else own for key, own in value.items()}


@cache
def members_of(protocol: type) -> frozenset[str]:
    """Names that a protocol asks for; a stored part that has them all is one of it."""
    own = [base for base in protocol.__mro__ if getattr(base, "_is_protocol", False)]
    named = {name for base in own for name in {*vars(base), *getattr(base, "__annotations__", {})}}
    return frozenset(name for name in named if not name.startswith("_"))


@cache
def hints_of(cls: type) -> dict[str, Any]:
    """The annotation of each field of a stored class, or key of a `TypedDict`."""
    return get_type_hints(cls, include_extras=is_typeddict(cls))


@cache
def required_of(table: Any) -> frozenset[str]:
    """Keys that a `TypedDict` asks for; its own `__required_keys__` does not see through postponed annotations."""
    return frozenset(key for key, own in hints_of(table).items() if get_origin(own) is not NotRequired)


def parts_within(part: Any, stop: type | tuple[type, ...] = ()) -> Iterator[Any]:
    """Yield a part and every part that it holds, in mappings and sequences too; into one of `stop` it does not look."""
    held: Iterable[Any] = ()
    if isinstance(part, Mapping):
        held = part.values()
    elif isinstance(part, tuple | list):
        held = part
    elif dataclasses.is_dataclass(part) and not isinstance(part, type):
        yield part
        if not isinstance(part, stop):
            held = [getattr(part, field.name) for field in dataclasses.fields(part)]
    for own in held:
        if type(own) not in LEAVES:  # a model may hold the names of many thousand columns
            yield from parts_within(own, stop)
