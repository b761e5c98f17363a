"""Which sequences of a cohort are joined in a pretraining that packs them: those of one group."""

from __future__ import annotations

import numpy as np

from chiasm.cohort import Cohort, Unsupported
from chiasm.pretraining.corpus import Corpus


def labels_of(cohort: Cohort, pack_by: str | None) -> np.ndarray | None:
    """Return the group of each patient whose sequences are joined, "" of none."""
    if pack_by is None:
        return None
    known: dict[str, np.ndarray] = {own.column: own.level for own in cohort.subgroups}
    if cohort.group is not None:
        known["group"] = cohort.group
    if cohort.site is not None:
        known["site"] = cohort.site
    target, outcome = cohort.target, cohort.outcome
    if target is not None and outcome is not None and target.has_classes:
        names = np.array([*target.names, ""])
        known["target"] = names[np.where(outcome.known, outcome.value, len(target.names)).astype(np.int64)]
    if pack_by not in known:
        there = ", ".join(sorted(known)) or "none: declare a group, or a subgroup"
        raise Unsupported(f"sequences cannot be joined by '{pack_by}': there are {there}")
    return known[pack_by]


def groups_of(corpus: Corpus, values: list[str], labels: list[str]) -> list[str]:
    """Return the group of each item; one that patients of several groups have is of none."""
    found: dict[str, str] = {}
    for value, label in zip(values, labels, strict=True):
        found[value] = label if found.get(value, label) == label else ""
    return [found[item] for item in corpus.items]
