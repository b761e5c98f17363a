"""Where a system lives: a place of the catalogue, found; and how the place is told to who looks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chiasm.recipes.catalogue import RECIPES
from chiasm.specs import loaded

TOLD = {
    "recipe": "recipe {0}",
    "encoder": "encoder {0}",
    "suite": "chiasm bench {0}",
    "command": "chiasm {0}",
    "method": "chiasm pretrain --method {0}",
    "merging": "way of merging {0}",
}
"""How a place with each first word is told."""


def told(place: str) -> str:
    """A place in words: `recipe:symile` as `recipe symile`; of `module:attribute` the dotted name."""
    kind, _, name = place.partition(":")
    return TOLD[kind].format(name) if kind in TOLD else f"{kind}.{name}"


def resolved(place: str) -> Any:
    """Return what lies at a place; a command is returned by its name, since the command line is above this folder.

    Raises:
        ValueError: nothing lies there.
    """
    kind, _, name = place.partition(":")
    find = FINDERS.get(kind)
    try:
        return loaded(place) if find is None else find(name)
    except (KeyError, ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"nothing lies at '{place}': {error}") from error


def _encoder(name: str) -> Any:
    from chiasm.encoders.catalogue import CATALOGUE

    return {own.name: own for own in CATALOGUE}[name]


def _suite(name: str) -> Any:
    from chiasm.bench.suites import suite_named

    return suite_named(name)


def _method(name: str) -> Any:
    from chiasm.pretraining.rasters.methods import METHODS

    return METHODS[name]


def _merging(name: str) -> Any:
    from chiasm.merging.methods import METHODS

    return METHODS[name]


FINDERS: dict[str, Callable[[str], Any]] = {
    "recipe": lambda name: RECIPES[name],
    "encoder": _encoder,
    "suite": _suite,
    "command": lambda name: name,
    "method": _method,
    "merging": _merging,
}
