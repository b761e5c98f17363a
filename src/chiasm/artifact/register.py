"""Which class a stored kind is: registered by `storable`, or found by its place and imported when a model holds one.

A model folder names kinds and no module: the table of places says what is imported for a kind, or a package
brings it by an entry point.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from chiasm.artifact.places import PLACES
from chiasm.shown import short_repr

_T = TypeVar("_T")
Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
REGISTER: dict[str, type] = {}


class ArtifactError(ValueError):
    """A model folder or checkpoint that is not what it says, and what to do about it."""


@runtime_checkable
class Storable(Protocol):
    """Protocol of what `storable` registered, a class or an object of it."""

    _storable_kind: ClassVar[str]
    _storable_version: ClassVar[int]
    _storable_upgrades: ClassVar[Mapping[int, Upgrade]]
    _storable_infinite: ClassVar[tuple[str, ...]]
    _storable_unknown: ClassVar[tuple[str, ...]]


def storable(
    kind: str,
    *,
    version: int = 1,
    upgrades: Mapping[int, Upgrade] | None = None,
    infinite: tuple[str, ...] = (),
    unknown: tuple[str, ...] = (),
) -> Callable[[type[_T]], type[_T]]:
    """Register a dataclass under a name, so that `save` can write it and `load` can read it back.

    Args:
        kind: its name in `model.json`.
        version: raised when a field is renamed, dropped or means something else; a new field with a default needs none.
        upgrades: for each earlier version a function from its stored fields, JSON with references to arrays, to those
            of the next version.
        infinite: its fields in which infinity means something; a number of any other field is finite (`fault_of`).
        unknown: its fields in which NaN stands for a number that is not known yet.
    """
    steps = dict(upgrades or {})
    if set(steps) != set(range(1, version)):
        raise ValueError(f"'{kind}' is at version {version}: it needs an upgrade from each of the versions before")

    def register(cls: type[_T]) -> type[_T]:
        if not dataclasses.is_dataclass(cls):
            raise TypeError(f"{cls.__name__} must be a dataclass to be storable")
        if REGISTER.get(kind, cls).__qualname__ != cls.__qualname__:
            raise ValueError(f"two storable classes are named '{kind}'")
        REGISTER[kind] = cls
        generated = hasattr(cls.__repr__, "__wrapped__")  # by dataclass, not written by hand
        if generated and any(_may_be_long(field.type) for field in dataclasses.fields(cls)):
            cls.__repr__ = short_repr  # type: ignore[method-assign]
        cls._storable_kind = kind  # type: ignore[attr-defined]
        cls._storable_version = version  # type: ignore[attr-defined]
        cls._storable_upgrades = steps  # type: ignore[attr-defined]
        cls._storable_infinite = infinite  # type: ignore[attr-defined]
        cls._storable_unknown = unknown  # type: ignore[attr-defined]
        return cls

    return register


def _may_be_long(annotation: object) -> bool:
    """True unless a field is a text, a number or a truth value."""
    return str(annotation) not in ("str", "int", "float", "bool")


def class_of(kind: Any) -> type | None:
    """The class of a kind, its module imported where that has not happened; None where nobody is known to have it."""
    if not isinstance(kind, str):
        return None
    if kind not in REGISTER and kind in PLACES:
        import_module(PLACES[kind])
    return REGISTER.get(kind)


def unknown_kinds(tree: Any) -> set[str]:
    """The kinds in a stored tree that are neither registered nor in the table of places."""
    found, waiting = set(), [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            kind = node.get("$kind")
            if isinstance(kind, str) and kind not in REGISTER and kind not in PLACES:
                found.add(kind)
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)
    return found


def upgraded(cls: type, values: dict[str, Any], version: Any) -> dict[str, Any]:
    """The fields of a stored part as the present version of its class has them.

    Raises:
        ArtifactError: it is of a later version than this chiasm knows, or of none.
    """
    present, kind = cls._storable_version, cls._storable_kind  # type: ignore[attr-defined]
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise ArtifactError(f"a '{kind}' of the model has a version that is no number: copy the model again")
    if version > present:
        raise ArtifactError(f"the model holds a '{kind}' of version {version}, this chiasm knows {present}: update it")
    for step in range(version, present):
        try:
            values = cls._storable_upgrades[step](values)  # type: ignore[attr-defined]
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ArtifactError(f"a '{kind}' of the model lacks a field of its version: copy it again") from error
    return values


def defaults(cls: type) -> dict[str, Any]:
    """Field to its default, made afresh, of those that have one: a model of before the field came lacks it."""
    made = {}
    for field in dataclasses.fields(cls):
        if field.default_factory is not dataclasses.MISSING:
            made[field.name] = field.default_factory()
        elif field.default is not dataclasses.MISSING:
            made[field.name] = field.default
    return made
