"""A candidate that is a Python callable, `module:function`: one item in, words, a position or scores out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from numbers import Number
from pathlib import Path
from typing import Any

from chiasm.bench.item import LETTERS, Asked
from chiasm.bench.reply import Reply
from chiasm.bench.shots import Shot
from chiasm.language.fingerprint import fingerprint, name_of
from chiasm.specs import loaded

MOST = 1 << 31
"""A number from here on is no position, not even of an option that lacks."""


@dataclass(frozen=True)
class CallableCandidate:
    """A function of a mapping with `id`, `question`, `context`, `options` and `attachments`.

    It returns a text, an `int` (the position of an option, from 0), a sequence of one score for each option, or None.
    What it raises counts as an answer that was not given, with the name of the error alone.
    """

    function: Callable[[dict[str, Any]], Any]
    name: str
    identity: str
    sees_attachments: bool = True
    told: str = "A Python function was called once for each item."

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Call the function for one item after another."""
        for item in items:
            try:
                reply = reply_of(item, self.function(item.as_json()))
            except Exception as error:
                reply = Reply(item.key, failure="crashed", note=type(error).__name__)
            yield reply


def open_callable(text: str, *, shots: Sequence[Shot] = (), timeout: float = 0.0) -> CallableCandidate:
    """Import `module:function`, also from the folder in which the command runs.

    Raises:
        ValueError: there is no such module or attribute, or it cannot be called.
    """
    module, _, attribute = text.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    try:
        found = find_spec(module) if module else None
    except (ImportError, ValueError):
        found = None
    if found is None or not attribute:
        raise ValueError(f"there is no module '{module}' here: write python:module:function, the module on PYTHONPATH")
    try:
        function = loaded(f"{module}:{attribute}")
    except AttributeError:
        raise ValueError(f"the module '{module}' has no '{attribute}': name the function that answers") from None
    if not callable(function):
        raise ValueError(f"'{attribute}' of '{module}' cannot be called: name a function of one mapping")
    return CallableCandidate(function, text, identity_of(text, function))


def as_candidate(function: Callable[[dict[str, Any]], Any]) -> CallableCandidate:
    """Take a function, or an object that can be called, as it is; its identity is what it does and what it holds."""
    return CallableCandidate(function, name_of(function), fingerprint(function))


def identity_of(place: str, function: Any) -> str:
    """Hash of a place `module:function`, the file of its module, and the code and files that the function reaches."""
    module = import_module(place.partition(":")[0])
    file = module.__spec__.origin if module.__spec__ is not None else None
    content = Path(file).read_bytes() if file and Path(file).is_file() else b""
    own = fingerprint(function, by_file=True).encode()
    return hashlib.sha256(b"\0".join((place.encode(), own, content))).hexdigest()


def reply_of(item: Asked, said: Any) -> Reply:
    """Take what a callable returned, or what a command wrote in `answer` or `scores`, as a reply."""
    if said is None:
        return Reply(item.key)
    if isinstance(said, Reply):
        return replace(said, key=item.key)
    if isinstance(said, str):
        return Reply(item.key, said)
    wrong = Reply(item.key, failure="crashed", note=f"{type(said).__name__} in the place of an answer")
    lone = getattr(said, "ndim", None) == 0
    if isinstance(said, bool) or (lone and str(said.dtype).rpartition(".")[2] == "bool"):
        return replace(wrong, note="a truth value in the place of an answer")
    if lone or isinstance(said, Number):
        return _position(item, said) or wrong
    if isinstance(said, Mapping | Set | bytes | bytearray | memoryview) or not isinstance(said, Iterable):
        return wrong
    try:
        return Reply(item.key, scores=tuple(float(own) for own in islice(said, len(LETTERS) + 1)))
    except (TypeError, ValueError, OverflowError):
        return wrong


def _position(item: Asked, said: Any) -> Reply | None:
    """Take a number as a position, or as the answer itself where there are no options; None for one that is neither."""
    try:
        if not item.options:
            return Reply(item.key, str(said))
        place = int(said)
        return Reply(item.key, position=place) if place == said and abs(place) < MOST else None
    except (TypeError, ValueError, OverflowError):
        return None
