"""Cohorts of multimodal patients: opening, checks, targets, splits, and synthetic cohorts with known answers."""

from __future__ import annotations

from chiasm.cohort.annotated import cohort_from_mudata
from chiasm.cohort.bags import Bags
from chiasm.cohort.checks import check_values
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.frames import cohort_from_frames
from chiasm.cohort.items import Encoding, Items, Values
from chiasm.cohort.manifest import open_cohort
from chiasm.cohort.splits import assigned_folds, fold_ids, holdout, require_disjoint
from chiasm.cohort.synthetic import SYNTHETIC_COHORTS, synthetic_cohort
from chiasm.errors import CohortError, LeakageError, Problem, Unsupported
from chiasm.targets import (
    Choice,
    Classification,
    CompetingRisks,
    Multilabel,
    Outcome,
    Regression,
    Survival,
    Target,
    class_names,
    horizons,
)

__all__ = [
    "SYNTHETIC_COHORTS",
    "Bags",
    "Choice",
    "Classification",
    "Cohort",
    "CohortError",
    "CompetingRisks",
    "Encoding",
    "Items",
    "LeakageError",
    "Multilabel",
    "Outcome",
    "Problem",
    "Regression",
    "Survival",
    "Target",
    "Unsupported",
    "Values",
    "assigned_folds",
    "check_values",
    "class_names",
    "cohort_from_frames",
    "cohort_from_mudata",
    "fold_ids",
    "holdout",
    "horizons",
    "open_cohort",
    "require_disjoint",
    "synthetic_cohort",
]
