"""JSON that somebody else wrote, read strictly: no name twice, no endless number, nothing nested beyond a limit."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from chiasm.limits import JSON_DEPTH, JSON_PARTS, JSON_WHOLE


class JsonError(ValueError):
    """A text that is no JSON, or none that chiasm writes; the message continues a sentence on the file."""


def read_json(raw: bytes | bytearray) -> Any:
    """Return what a JSON text in UTF-8 holds.

    Raises:
        JsonError: it is not JSON; it names a key twice, holds NaN, infinity or a whole number of over 64 bits, is
            nested too deep, or has too many parts.
    """
    if parts_of(raw) > JSON_PARTS:
        raise JsonError(f"has over {JSON_PARTS:,} parts")
    try:
        found = json.loads(raw.decode("utf-8"), **HOOKS)
    except RecursionError:
        raise JsonError("is nested deeper than anything chiasm writes") from None
    except JsonError:
        raise
    except ValueError:
        raise JsonError("is not JSON") from None
    require_depth(found)
    return found


def parts_of(raw: bytes | bytearray) -> int:
    """At least as many as the lists, mappings and their items in a JSON text."""
    return sum(raw.count(sign) for sign in (b"[", b"{", b","))


def require_depth(tree: Any, most: int = JSON_DEPTH) -> None:
    """Refuse a tree of lists and mappings that is nested too deep, before anything walks it by recursion."""
    level = [tree]
    for _ in range(most + 1):
        level = [
            item
            for node in level
            if isinstance(node, list | dict)
            for item in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise JsonError("is nested deeper than anything chiasm writes")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise JsonError("names a key twice")
    return found


def _whole(text: str) -> int:
    if len(text) > 20 or not -JSON_WHOLE < int(text) < JSON_WHOLE:
        raise JsonError("holds a whole number of over 64 bits")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _endless(text)


def _endless(text: str) -> NoReturn:
    raise JsonError("holds a number that is not finite")


HOOKS: dict[str, Any] = {
    "object_pairs_hook": _unique, "parse_int": _whole, "parse_float": _finite, "parse_constant": _endless,
}  # fmt: skip
