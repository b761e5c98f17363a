"""Models that a network may start from, by the value of its option `upon`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chiasm.specs import loaded

if TYPE_CHECKING:
    from chiasm.fitting.cross_fitted import CrossFittedRecipe

STARTS: dict[str, str] = {}
"""Name of a start to the place of its recipe, `module:class`; the package of recipes offers them as it is imported."""
ALONE: dict[str, str] = {}
"""The same of the start of a network that reads one modality, whatever the name."""


def start_of(name: str, modality: str = "") -> CrossFittedRecipe:
    """Return the recipe of a start; for a network of one modality the linear model of that modality.

    Args:
        name: one of `STARTS`.
        modality: the one modality that the network reads; empty: all.
    """
    if modality:
        alone: CrossFittedRecipe = loaded(ALONE[name])(modality=modality, models="linear")
        return alone
    made: CrossFittedRecipe = loaded(STARTS[name])()
    return made
