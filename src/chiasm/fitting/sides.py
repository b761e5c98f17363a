"""Assignment of recipes to the sides of the verdict, by the modalities they read in this cohort, not by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.cohort import Cohort
from chiasm.protocols import (
    CountsSettings,
    NamesForms,
    NamesModalities,
    NamesReads,
    ReadsKnowledge,
    ReadsLabelTexts,
    ReadsPresence,
    SelectsSettings,
)

SINGLE, COMBINED, ASIDE, REFERENCE = "single", "combined", "aside", "reference"
"""One modality or presence alone; two or more modalities; shown without a vote; built by the trial, never selected."""

BEST_AVAILABLE, NULL = "best-available", "null"
REFERENCES = (BEST_AVAILABLE, NULL)


def reads_of(recipe: Any, cohort: Cohort) -> tuple[str, ...]:
    """Return the modalities that the recipe declares to read: its `reads`, else its `modalities`, else all.

    Either attribute is a collection of names or a function of the cohort that returns one.
    """
    declared = recipe.reads if isinstance(recipe, NamesReads) else None
    if declared is None:
        declared = recipe.modalities if isinstance(recipe, NamesModalities) else None
    if declared is None:
        return cohort.modalities
    names = declared(cohort) if callable(declared) else declared
    return tuple(sorted(set(names) & set(cohort.modalities)))


def forms_of(recipe: Any, cohort: Cohort) -> tuple[str, ...]:
    """Return the names of the recipe's one-modality forms; () if it is compared with `single:*` alone.

    The names come from the recipe's `alone`; a recipe without it gets one form per modality, `name:modality=m`.
    """
    reads = reads_of(recipe, cohort)
    if len(reads) < 2:
        return ()
    if isinstance(recipe, NamesForms):
        return tuple(recipe.alone(cohort))
    return tuple(form_name(recipe.name, name) for name in reads)


def form_name(recipe: str, modality: str) -> str:
    """Return the name of a one-modality form: `name:modality=m`, or `name:option=value,modality=m`."""
    return f"{recipe}{',' if ':' in recipe else ':'}modality={modality}"


def reads_presence(recipe: Any) -> bool:
    """True if the recipe may learn from which modalities a patient has; assumed unless it declares otherwise."""
    return not isinstance(recipe, ReadsPresence) or bool(recipe.reads_presence)


def reads_knowledge(recipe: Any, cohort: Cohort) -> bool:
    """True if the recipe reads what is known of patients' things, or of labels; its one-modality forms then do too."""
    of_labels = cohort.label_texts is not None and isinstance(recipe, ReadsLabelTexts) and recipe.reads_label_texts
    of_things = cohort.knowledge is not None and isinstance(recipe, ReadsKnowledge) and recipe.reads_knowledge
    return bool(of_labels or of_things)


def settings_of(recipe: Any, cohort: Cohort | None = None) -> int:
    """Return the number of settings that the recipe tries by inner selection; 1 if it declares none.

    Args:
        cohort: what it is fitted on, whose sources may be tried too; None: without any.
    """
    if cohort is not None and isinstance(recipe, CountsSettings):
        return recipe.settings_on(cohort)
    return int(recipe.settings) if isinstance(recipe, SelectsSettings) else 1


def sides_of(recipes: Sequence[Any], cohort: Cohort, needed: Sequence[str] | None = None) -> dict[str, str]:
    """Map the name of each recipe to its side.

    A recipe that reads two or more modalities is combined if all its one-modality forms are in the same list, so that
    a gain from being a network, a kernel or an adapted encoder does not count as a gain from combining. If a form is
    missing, the recipe is put aside: it is shown but does not enter the verdict.

    Args:
        needed: modalities for which a one-modality form is required; None: all. In a cohort of many modalities these
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
    """Extract the modality from the name of a one-modality form, `name:option=value,modality=m`."""
    return form.rpartition("modality=")[2].partition(",")[0].partition(";")[0]


def side_of(row: Mapping[str, Any]) -> str:
    """Return the side of a recipe from its row in `trial.json`."""
    side = str(row.get("side", SINGLE if row["family"] == SINGLE else COMBINED))
    return ASIDE if side == "adapted" else side
