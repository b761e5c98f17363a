"""The side of the verdict that a recipe stands on: what it reads in this cohort decides, not what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.cohort import Cohort

SINGLE, COMBINED, ASIDE, REFERENCE = "single", "combined", "aside", "reference"
"""One modality or presence alone; two modalities or more; shown without a say; composed by the trial, never picked."""

BEST_AVAILABLE, NULL = "best-available", "null"
REFERENCES = (BEST_AVAILABLE, NULL)


def reads_of(recipe: Any, cohort: Cohort) -> tuple[str, ...]:
    """The modalities whose content the recipe declares to read: its `reads`, else its `modalities`, else all.

    Either is a collection of names, or a function of the cohort that gives one.
    """
    for name in ("reads", "modalities"):
        declared = getattr(recipe, name, None)
        if declared is not None:
            names = declared(cohort) if callable(declared) else declared
            return tuple(sorted(set(names) & set(cohort.modalities)))
    return cohort.modalities


def forms_of(recipe: Any, cohort: Cohort) -> tuple[str, ...]:
    """The names of the recipe's one-modality forms; () where `single:*` is what it is measured against.

    By its `alone`. A recipe that does not have one is given a form for each modality, `name:modality=m`.
    """
    reads = reads_of(recipe, cohort)
    if len(reads) < 2:
        return ()
    alone = getattr(recipe, "alone", None)
    return tuple(alone(cohort)) if callable(alone) else tuple(form_name(recipe.name, name) for name in reads)


def form_name(recipe: str, modality: str) -> str:
    """`name:modality=m`, or `name:option=value,modality=m`."""
    return f"{recipe}{',' if ':' in recipe else ':'}modality={modality}"


def reads_presence(recipe: Any) -> bool:
    """Whether the recipe may learn from which modalities a patient has: it says so, or does not say."""
    return bool(getattr(recipe, "reads_presence", True))


def settings_of(recipe: Any) -> int:
    """How many settings the recipe tries by inner selection, one unless it says so."""
    return int(getattr(recipe, "settings", 1))


def sides_of(recipes: Sequence[Any], cohort: Cohort, needed: Sequence[str] | None = None) -> dict[str, str]:
    """Name of each recipe to its side.

    A recipe that reads two modalities or more is combined where every one-modality form of it stands in the same list:
    what it gains as a network, a kernel or an adapted encoder is no gain of combining. Where one lacks, the recipe
    stands aside: it is shown and decides nothing.

    Args:
        needed: the modalities of which a one-modality form is asked; None: all. In a cohort of many modalities these
            are the ones that inner folds rank first.
    """
    names = {recipe.name for recipe in recipes}
    sides = {}
    for recipe in recipes:
        if len(reads_of(recipe, cohort)) < 2:
            sides[recipe.name] = SINGLE
            continue
        asked = {name for name in forms_of(recipe, cohort) if needed is None or modality_of(name) in needed}
        sides[recipe.name] = COMBINED if asked <= names else ASIDE
    return sides


def modality_of(form: str) -> str:
    """The modality in the name of a one-modality form, `name:option=value,modality=m`."""
    return form.rpartition("modality=")[2].partition(",")[0].partition(";")[0]


def side_of(row: Mapping[str, Any]) -> str:
    """The side of a recipe as `trial.json` has it."""
    side = str(row.get("side", SINGLE if row["family"] == SINGLE else COMBINED))
    return ASIDE if side == "adapted" else side
