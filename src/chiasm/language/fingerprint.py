"""What a Python object does, as a hash: its code, what its code takes from elsewhere, and the values that it holds.

Two functions of one hash have the same code and the same values, as deep as they reach; installed packages count by
their names. What has no stable form, as a lock or a connection, gets a hash that no other object has: answers of
something else are never taken for its own.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import re
import secrets
import sys
import sysconfig
from collections.abc import Iterable
from datetime import date, time, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePath
from types import BuiltinFunctionType, CellType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_BY_TEXT = (PurePath, range, slice, bytearray, Decimal, Fraction, date, time, timedelta, UUID)
_OF_A_CLASS = frozenset(
    f"__{name}__"
    for name in [
        "annotations",
        "dataclass_fields",
        "dataclass_params",
        "dict",
        "doc",
        "weakref",
        "slotnames",
        "static_attributes",
        "firstlineno",
    ]
) | {"_abc_impl"}
_INSTALLED = tuple(
    {str(Path(place).resolve()) for name, place in sysconfig.get_paths().items() if name.endswith(("lib", "stdlib"))}
    | {str(Path(__file__).resolve().parents[1])}
)


def fingerprint(function: Any, *, by_file: bool = False) -> str:
    """Return the hash of what a function, or anything that can be called, does.

    Args:
        function: what is called.
        by_file: it was just imported by its name: files stand for the values in them, which need no stable form.
    """
    return _Reader(by_file).digest(function).hex()


def name_of(function: Any) -> str:
    """Return `module:name` of a function, or of the class of what can be called."""
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}:{named.__qualname__}"


class _Reader:
    """Hashes objects; one that holds itself counts by how deep it was met."""

    def __init__(self, by_file: bool) -> None:
        self.by_file = by_file
        self.known: dict[int, bytes] = {}
        self.kept: list[Any] = []  # so that no id is given to another object meanwhile

    def digest(self, value: Any) -> bytes:
        """Return the hash of an object."""
        if type(value) in _ATOMS:
            return _hashed(type(value).__name__, "" if self.by_file else repr(value))
        if id(value) not in self.known:
            self.known[id(value)] = _hashed("itself", len(self.known))
            self.kept.append(value)
            try:
                self.known[id(value)] = _hashed(*self.parts(value))
            except Exception:  # of any object's own code, or no form at all
                own = type(value).__qualname__ if self.by_file else secrets.token_hex()
                self.known[id(value)] = _hashed("unstable", own)
        return self.known[id(value)]

    def parts(self, value: Any) -> Iterable[Any]:
        """Return what the hash of an object is made of: texts, and hashes of what it holds."""
        match value:
            case CodeType():
                return (
                    "code",
                    value.co_code,
                    value.co_exceptiontable,
                    value.co_varnames,
                    value.co_names,
                    *(self.digest(own) if isinstance(own, CodeType) else self.constant(own) for own in value.co_consts),
                )
            case FunctionType():
                return "function", *self.function(value)
            case MethodType():
                return "method", self.digest(value.__func__), self.digest(value.__self__)
            case BuiltinFunctionType():
                held = None if isinstance(value.__self__, ModuleType | type) else value.__self__
                return "builtin", value.__module__, value.__qualname__, self.digest(held)
            case CellType():
                return "cell", *([self.digest(value.cell_contents)] if _is_full(value) else [])
            case ModuleType():
                return "module", value.__name__, self.file(value)
            case type():
                return "class", value.__module__, value.__qualname__, *self.of_class(value)
            case functools.partial():
                held = (value.func, value.args, value.keywords, vars(value))
                return "partial", *map(self.digest, held)
            case property():
                return "property", *map(self.digest, (value.fget, value.fset, value.fdel))
            case staticmethod() | classmethod():
                return type(value).__name__, self.digest(value.__func__)
        return type(value).__module__, type(value).__qualname__, *self.value(value)

    def constant(self, value: Any) -> bytes:
        """Hash a constant of code, which counts also where values do not."""
        return _hashed(type(value).__name__, repr(sorted(map(repr, value)) if isinstance(value, frozenset) else value))

    def function(self, value: FunctionType) -> Iterable[Any]:
        """Code, defaults and cells of a function, and what stands in its module under the names that it loads."""
        yield from (value.__module__, value.__qualname__)
        yield from map(self.digest, (value.__defaults__, value.__kwdefaults__, value.__closure__, vars(value)))
        if _is_installed(value.__code__.co_filename):
            return
        yield self.digest(value.__code__)
        yield self.file(sys.modules.get(str(value.__module__)))
        for name in sorted(_loaded(value.__code__) & set(value.__globals__)):
            yield name
            yield self.digest(value.__globals__[name])

    def of_class(self, value: type) -> Iterable[Any]:
        """What a class of one's own holds, and what it stands on."""
        module = sys.modules.get(value.__module__)
        if value.__module__ == "builtins" or (module is not None and self.file(module) == ""):
            return
        yield from map(self.digest, value.__bases__)
        for name, held in sorted(vars(value).items()):
            if name not in _OF_A_CLASS and type(held).__name__ not in ("member_descriptor", "getset_descriptor"):
                yield name
                yield self.digest(held)

    def value(self, value: Any) -> Iterable[Any]:
        """What an object holds: its items, its numbers and its members.

        Raises:
            TypeError: it may hold what none of these shows, as a lock or a connection does.
        """
        if isinstance(value, _BY_TEXT):
            yield str(value)
            return
        if isinstance(value, re.Pattern):
            yield from (repr(value.pattern), value.flags)
            return
        if isinstance(value, tuple | list):
            yield from map(self.digest, value)
        elif isinstance(value, set | frozenset):
            yield from sorted(map(self.digest, value))
        elif isinstance(value, dict | MappingProxyType):
            yield from (self.digest(part) for pair in value.items() for part in pair)
        elif hasattr(value, "__wrapped__"):
            yield self.digest(value.__wrapped__)
        elif self.by_file:
            yield self.digest(type(value))
            return
        elif hasattr(value, "__array__"):
            yield from self.numbers(np.asarray(value.detach().cpu() if hasattr(value, "detach") else value))
        if type(value) not in (tuple, list, set, frozenset, dict, MappingProxyType, np.ndarray):
            yield self.digest(type(value))
            members = value.__getstate__()
            if members is None and not _is_open(value):
                raise TypeError("what it holds is not seen")
            yield self.digest(members)

    def numbers(self, array: NDArray[Any]) -> Iterable[Any]:
        """The type, shape and content of an array."""
        yield from (array.dtype.str, array.shape)
        yield self.digest(array.tolist()) if array.dtype.hasobject else array.tobytes()

    def file(self, module: ModuleType | None) -> str:
        """Hash of a module's file; nothing for an installed one, and for what runs as a script or a notebook."""
        if module is None or module.__name__ == "__main__":
            return "" if module is None else "main"
        file = getattr(module, "__file__", None)
        if file is None:
            return "" if module.__name__ in sys.builtin_module_names else "no file"
        if _is_installed(file):
            return ""
        return hashlib.sha256(Path(file).read_bytes()).hexdigest() if Path(file).is_file() else "no file"


def _is_open(value: Any) -> bool:
    """True if an object's members are all that it holds: its class was written in Python."""
    return hasattr(value, "__dict__") or any("__slots__" in vars(own) for own in type(value).__mro__)


def _hashed(*parts: Any) -> bytes:
    whole = hashlib.sha256()
    for part in parts:
        own = part if isinstance(part, bytes) else repr(part).encode("utf-8", "surrogatepass")
        whole.update(len(own).to_bytes(8) + own)
    return whole.digest()


def _is_full(cell: CellType) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_installed(file: str) -> bool:
    return file.startswith("<frozen") or any(Path(place) in Path(file).resolve().parents for place in _INSTALLED)


def _loaded(code: CodeType) -> set[str]:
    """Names that code, and code within it, loads from its module."""
    own = {str(each.argval) for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return own.union(*(_loaded(inner) for inner in code.co_consts if isinstance(inner, CodeType)))
