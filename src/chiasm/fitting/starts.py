"""Models that a network may start from, by the value of its option `start`."""

from __future__ import annotations

from importlib import import_module

from chiasm.fitting.cross_fitted import CrossFittedRecipe

# As a stored kind, a start is found by its place: recipes stand below the skeleton of networks, which imports none.
STARTS = {
    "late": "late:LateFusion",
    "stacked": "stacked:StackedFusion",
    "multi-ridge": "multi_ridge:MultiRidge",
}
ALONE = "single:Single"


def start_of(name: str, modality: str = "") -> CrossFittedRecipe:
    """Return the recipe of a start; for a network of one modality the linear model of that modality, whatever the name.

    Args:
        name: one of `STARTS`.
        modality: the one modality that the network reads; empty: all.
    """
    options = {"modality": modality, "models": "linear"} if modality else {}
    module, _, recipe = (ALONE if modality else STARTS[name]).partition(":")
    made: CrossFittedRecipe = getattr(import_module(f"chiasm.recipes.baselines.{module}"), recipe)(**options)
    return made
