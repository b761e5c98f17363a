"""Which one-modality forms a trial adds in a cohort of many modalities: those of the two that rank first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from chiasm.cohort import Cohort
from chiasm.evaluation.fits import Fit, Task
from chiasm.evaluation.inner import inner_scores
from chiasm.evaluation.protocol import Split
from chiasm.fitting.sides import modality_of, reads_of

FIRST = 2


def first_modalities(
    cohort: Cohort,
    recipes: Sequence[Any],
    splits: Sequence[Split],
    inner_splits: Mapping[str, Sequence[Split]],
    fits: Mapping[tuple[str, str], Fit],
) -> dict[str, tuple[str, ...]]:
    """For each outer split the two modalities whose best single recipe scores highest on inner folds, all patients."""
    scores = inner_scores(cohort, recipes, splits, inner_splits, fits)
    read = {recipe.name: reads_of(recipe, cohort) for recipe in recipes}
    first = {}
    for split in splits:
        best = dict.fromkeys(cohort.modalities, -math.inf)
        for (recipe, repeat, fold), value in scores.items():
            if (repeat, fold) == (split.repeat, split.fold) and len(read[recipe]) == 1:
                (modality,) = read[recipe]
                best[modality] = max(best[modality], value)
        first[split.key] = tuple(sorted(best, key=lambda name: (-best[name], name))[:FIRST])
    return first


def forms_to_try(
    recipes: Sequence[Any],
    begin: int,
    splits: Sequence[Split],
    inner_splits: Mapping[str, Sequence[Split]],
    first: Mapping[str, tuple[str, ...]],
) -> list[Task]:
    """The tasks of the forms, which are the recipes from `begin` on.

    A form is fitted on every outer training set where its modality is among the first in any, so that the table can
    show it, and on the inner ones of those where it is: there alone it can be picked.
    """
    forms = {number: modality_of(recipes[number].name) for number in range(begin, len(recipes))}
    wanted = {name for names in first.values() for name in names}
    shown = tuple(number for number, modality in forms.items() if modality in wanted)
    if not shown:
        return []
    tasks = [Task(split, shown, first=split is splits[0]) for split in splits]
    for split in splits:
        candidates = tuple(number for number in shown if forms[number] in first[split.key])
        tasks += [Task(inner, candidates) for inner in inner_splits[split.key] if candidates]
    return tasks
