"""The folder of a transformers model and the hash of its files, found once for all that is asked of them in a call.

To find them costs a millisecond or two, and would be done several times for each text or image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

from chiasm.encoders.text.hub import model_files, model_folder
from chiasm.encoders.weights import hash_of

Method = TypeVar("Method", bound=Callable[..., Any])
_held: ContextVar[tuple[str, str, Path, str] | None] = ContextVar("held", default=None)


def folder_of(name: str, revision: str) -> Path:
    """Return the folder of a model, as `model_folder` does."""
    held = _held.get()
    return held[2] if held is not None and held[:2] == (name, revision) else model_folder(name, revision)


def files_hash(name: str, revision: str) -> str:
    """Return the hash of all files that determine a model's output."""
    held = _held.get()
    if held is not None and held[:2] == (name, revision):
        return held[3]
    return hash_of(model_files(model_folder(name, revision)))


def found_once(method: Method) -> Method:
    """Have the folder of an encoder's `name` and `revision` found once within each call of its method."""

    @wraps(method)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        with _holding(self.name, self.revision):
            return method(self, *args, **named)

    return call  # type: ignore[return-value]


@contextmanager
def _holding(name: str, revision: str) -> Iterator[None]:
    held = _held.get()
    if held is not None and held[:2] == (name, revision):
        yield
        return
    folder = model_folder(name, revision)
    token = _held.set((name, revision, folder, hash_of(model_files(folder))))
    try:
        yield
    finally:
        _held.reset(token)
