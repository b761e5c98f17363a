"""Which side of the verdict a recipe stands on: one modality, several combined, or neither: encoders are adapted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.cohort import Cohort

SINGLE, COMBINED, ADAPTED = "single", "combined", "adapted"


def sides_of(recipes: Sequence[Any], cohort: Cohort) -> dict[str, str]:
    """Name of a recipe to its side.

    A recipe that does more to a modality than combine it (it adapts an encoder) gains from that too, which is no gain
    of combining. It counts as combined only beside all its single forms, which its `alone` names; without them it is
    shown and decides nothing. In a cohort of one modality, or with its option `modality`, it is single.
    """
    names = {recipe.name for recipe in recipes}
    found = {}
    for recipe in recipes:
        alone = set(recipe.alone(cohort)) if hasattr(recipe, "alone") else set()
        named = bool(getattr(recipe, "modality", ""))
        if named or recipe.family == SINGLE or (alone and len(cohort.modalities) == 1):
            found[recipe.name] = SINGLE
        else:
            found[recipe.name] = COMBINED if alone <= names else ADAPTED
    return found


def side_of(row: Mapping[str, Any]) -> str:
    """The side of a recipe as `trial.json` has it."""
    return str(row.get("side", SINGLE if row["family"] == SINGLE else COMBINED))
