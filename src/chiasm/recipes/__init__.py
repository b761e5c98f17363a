"""Recipes: one file per published system, wired from shared parts, with its paper; `registry` finds them by name.

Networks, whose skeleton stands below all recipes, are offered here what they may start from.
"""

from chiasm.fitting.starts import ALONE, STARTS

STARTS |= {
    "late": "chiasm.recipes.baselines.late:LateFusion",
    "stacked": "chiasm.recipes.baselines.stacked:StackedFusion",
    "multi-ridge": "chiasm.recipes.baselines.multi_ridge:MultiRidge",
}
ALONE |= dict.fromkeys(STARTS, "chiasm.recipes.baselines.single:Single")
