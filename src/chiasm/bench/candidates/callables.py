"""A candidate that is a Python callable, `module:function`: one item in, words, a position or scores out."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chiasm.bench.item import LETTERS, Asked
from chiasm.bench.reply import Reply
from chiasm.bench.shots import Shot
from chiasm.specs import loaded


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
                said = self.function(item.as_json())
            except Exception as error:
                yield Reply(item.key, failure="crashed", note=type(error).__name__)
                continue
            yield reply_of(item, said)


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
    return CallableCandidate(function, text, identity_of(text))


def as_candidate(function: Callable[[dict[str, Any]], Any]) -> CallableCandidate:
    """Take a function as it is, as in a notebook; its identity is its name and its code."""
    module, name = str(function.__module__), str(function.__qualname__)
    code = function.__code__.co_code.hex() if "<" in module or module == "__main__" else ""
    own = f"{module}:{name}"
    return CallableCandidate(function, own, hashlib.sha256(f"{identity_of(own)}{code}".encode()).hexdigest())


def identity_of(place: str) -> str:
    """Hash of a place `module:function` and the file of its module, where it has one."""
    module = import_module(place.partition(":")[0])
    file = module.__spec__.origin if module.__spec__ is not None else None
    content = Path(file).read_bytes() if file and Path(file).is_file() else b""
    return hashlib.sha256(place.encode() + b"\0" + content).hexdigest()


def reply_of(item: Asked, said: Any) -> Reply:
    """Take what a callable returned, or what a command wrote in `answer` or `scores`, as a reply."""
    if said is None:
        return Reply(item.key)
    if isinstance(said, Reply):
        return Reply(item.key, said.text, said.scores, said.failure, said.note)
    if isinstance(said, str):
        return Reply(item.key, said)
    if isinstance(said, bool):
        return Reply(item.key, failure="crashed", note="a truth value in the place of an answer")
    try:
        if float(said) == int(said):
            place = int(said)
            known = 0 <= place < len(LETTERS)
            return Reply(item.key, LETTERS[place] if known else f"position {place}")
    except (TypeError, ValueError):
        pass
    try:
        return Reply(item.key, scores=tuple(float(own) for own in said))
    except (TypeError, ValueError):
        return Reply(item.key, failure="crashed", note=f"{type(said).__name__} in the place of an answer")
