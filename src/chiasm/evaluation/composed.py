"""Rows of a trial that no recipe fits: `best-available` and `null`, composed in each outer fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from chiasm.cohort import class_names
from chiasm.evaluation.fits import Fit
from chiasm.evaluation.protocol import Split
from chiasm.evaluation.references import OneModality, best_available, null, ranked_modalities
from chiasm.fitting.sides import BEST_AVAILABLE, NULL, SINGLE, reads_of

if TYPE_CHECKING:
    from chiasm.evaluation.judging import Inner
    from chiasm.evaluation.summary import Setting


@dataclass(frozen=True)
class Reference:
    """A reference row of a trial, on neither side of the verdict; `paper` describes it."""

    name: str
    paper: str
    family: str = "reference"
    reads_presence: bool = False
    settings: int = 0


REFERENCE_ROWS = {
    BEST_AVAILABLE: Reference(BEST_AVAILABLE, "the best model of one modality that each patient can have"),
    NULL: Reference(NULL, "what the training set says of anybody"),
}


def compose_references(setting: Setting, fits: Mapping[tuple[str, str], Fit], own: Inner) -> dict[str, dict[str, Fit]]:
    """Compose `best-available` and `null` in each outer fold from the fits of one-modality recipes.

    Args:
        own: inner score of each one-modality recipe among the patients who have its modality.
    """
    cohort = setting.cohort
    assert cohort.target is not None and cohort.outcome is not None  # a trial has a target
    kind, classes = cohort.target.kind, class_names(cohort.target)
    composed: dict[str, dict[str, Fit]] = {BEST_AVAILABLE: {}, NULL: {}}
    patterns = cohort.pattern().astype(object)
    for split in setting.splits:
        candidates = candidates_in(setting, fits, own, split)
        made_by = (fits.get((recipe.name, split.key)) for recipe in setting.recipes)
        frame = next((fit.frame for fit in made_by if fit is not None), None)
        assert frame is not None  # a trial has a recipe
        train, key = cohort.outcome.take(split.train), split.key
        composed[NULL][key] = Fit(NULL, key, null(kind, frame, train, classes), 0.0, 0)
        if candidates:
            here = cohort.present[split.test]
            present = {name: here[:, m] for m, name in enumerate(cohort.modalities)}
            index = pd.Index(cohort.ids[split.test], name="patient", dtype=object)
            ranked = ranked_modalities(candidates)
            made = best_available(kind, ranked, present, train, classes, index, patterns[split.test])
            composed[BEST_AVAILABLE][key] = Fit(BEST_AVAILABLE, key, made, 0.0, 0)
    return composed


def candidates_in(
    setting: Setting, fits: Mapping[tuple[str, str], Fit], own: Inner, split: Split
) -> dict[str, list[OneModality]]:
    """Collect, for each modality, the single recipes that read it alone, as fitted in one outer fold."""
    found: dict[str, list[OneModality]] = {}
    for recipe in setting.recipes:
        reads, fit = reads_of(recipe, setting.cohort), fits.get((recipe.name, split.key))
        if fit is None or fit.level is None or setting.sides[recipe.name] != SINGLE or len(reads) != 1:
            continue
        score = own.get((recipe.name, split.repeat, split.fold), np.nan)
        found.setdefault(reads[0], []).append(OneModality(fit.recipe, fit.frame, np.array(fit.level), score))
    return found
