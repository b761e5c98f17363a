"""What a run holds, read by keys, so that every value of an answer comes with the place where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chiasm.evaluation.trial import SEALED, Trial
from chiasm.language.asking.answer import Place

DOCUMENT = "trial.json"
NAMED = ("name", "column", "recipe")
"""Keys by which a row of a list is called."""
FILES = {"sealed": SEALED, "interaction": "interaction.json", "not_at_random": "not_at_random.json"}
"""Parts of the document that stand in a file of their own."""


class Held:
    """The document of a trial, and the places that were read of it so far."""

    def __init__(self, trial: Trial) -> None:
        self.trial, self.document = trial, trial.document
        self.places: list[Place] = []

    def peek(self, *keys: str | int) -> Any:
        """Return the value at a key, or None where there is none, without noting the place."""
        value: Any = self.document
        for key in keys:
            value = _below(value, key)
            if value is None:
                return None
        return value

    def at(self, *keys: str | int) -> Any:
        """Return the value at a key and note its place; None where there is none, which is noted nowhere."""
        value = self.peek(*keys)
        if value is not None:
            self.note(keys, value)
        return value

    def count(self, *keys: str | int) -> int:
        """Return how many rows a list has, and note its place with that number."""
        number = len(self.peek(*keys) or ())
        self.note(keys, number)
        return number

    def note(self, keys: tuple[str | int, ...], value: Any) -> None:
        """Note that a value was read."""
        file, below = (FILES[str(keys[0])], keys[1:]) if keys[0] in FILES else (DOCUMENT, keys)
        place = Place(file, key_text(below, self.document if below is keys else self.document[str(keys[0])]), value)
        if place not in self.places:
            self.places.append(place)

    def interval(self, *keys: str | int) -> str:
        """Say a mean with its 95 % interval, which stand at three keys below one."""
        mean, low, high = (self.at(*keys, part) for part in ("mean", "low", "high"))
        return said_interval(mean, low, high)

    def triple(self, *keys: str | int) -> str:
        """Say a mean with its 95 % interval, which stand in a list of three."""
        return said_interval(*(self.at(*keys) or (None, None, None)))


def said_interval(mean: float | None, low: float | None, high: float | None) -> str:
    """Say a number with the ends of its interval, or what there is of them."""
    if mean is None:
        return "not estimable"
    return f"{mean:.3f}" + ("" if low is None or high is None else f" (95 % interval {low:.3f} to {high:.3f})")


def key_text(keys: tuple[str | int, ...], document: Any) -> str:
    """Write a key: points lead down, and what is a row of a list stands in brackets."""
    text, value = "", document
    for key in keys:
        text += f"[{key}]" if isinstance(value, list) else f".{key}" if text else str(key)
        value = _below(value, key)
    return text


def _below(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key)
    if not isinstance(value, list):
        return None
    if isinstance(key, int):
        return value[key] if key < len(value) else None
    rows = [row for row in value if isinstance(row, Mapping)]
    return next((row for row in rows if any(row.get(name) == key for name in NAMED)), None)
