"""Patients whom given folds set aside: of the fold `unused`, neither learned from nor tested."""

from __future__ import annotations

from dataclasses import replace

from chiasm.cohort.cohort import Cohort
from chiasm.errors import count, error, warning

UNUSED = "unused"


def in_use(cohort: Cohort) -> Cohort:
    """Leave out the patients of the fold `unused`, as if they had no row; a warning counts them."""
    if cohort.fold is None:
        return cohort
    aside = cohort.fold == UNUSED
    if not aside.any():
        return cohort
    what = f"{count(int(aside.sum()), 'patient')} in the fold '{UNUSED}'"
    if aside.all():
        fix = "give those who are learned from 'train', and those who are tested a fold"
        return replace(
            cohort, findings=(*cohort.findings, error(what + ": nobody is left", fix, finding="never-tested"))
        )
    fix = "they are neither learned from nor tested, here and wherever the manifest is opened"
    kept = cohort.subset(~aside)
    return replace(kept, findings=(*kept.findings, warning(what, fix, path=cohort.path, finding="unused-patients")))
