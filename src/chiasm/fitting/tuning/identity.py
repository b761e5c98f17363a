"""The identity of a search: a digest of what its scores depend on, by which kept scores are used again or not."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def digest_of(told: Sequence[Any]) -> str:
    """Return a digest of values, among them options of any class."""
    return hashlib.sha256(json.dumps(told, default=told_of).encode()).hexdigest()


def told_of(value: Any) -> Any:
    """What tells an option that JSON has no word for from others of its class: its fields, its numbers, or its text."""
    if is_dataclass(value) and not isinstance(value, type):
        return [type(value).__qualname__, {own.name: getattr(value, own.name) for own in fields(value)}]
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, set | frozenset):
        return sorted(map(repr, value))
    text = repr(value)
    return [type(value).__qualname__, "" if " object at 0x" in text else text]
