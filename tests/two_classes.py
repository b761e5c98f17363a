"""Cohorts of two classes from arrays, and how well a recipe that learned from one half tells them in the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

import chiasm
from chiasm.cohort import Cohort
from chiasm.metrics.classification import auroc
from chiasm.recipes.registry import make_recipe


def framed(
    values: dict[str, np.ndarray],
    y: np.ndarray,
    persons: np.ndarray | None = None,
    lacking: dict[str, np.ndarray] | None = None,
) -> Cohort:
    """A cohort of two classes with these modalities; `lacking` masks the patients without one of them."""
    ids = [f"case-{k:03d}" for k in range(len(y))]
    frames = {name: pd.DataFrame(own, ids).rename(columns=lambda c, n=name: f"{n}{c}") for name, own in values.items()}
    for name, without in (lacking or {}).items():
        frames[name] = frames[name][~without]
    patients = pd.DataFrame({"y": y.astype(int)} | ({} if persons is None else {"person": persons.astype(str)}), ids)
    group = None if persons is None else "person"
    return chiasm.cohort_from_frames(patients, frames, target=chiasm.Classification("y"), group=group)


def area(spec: str, cohort: Cohort) -> float:
    """Area under the curve of the second half, learned from the first."""
    half = np.arange(len(cohort)) < len(cohort) // 2
    test = cohort.subset(~half)
    frame = make_recipe(spec).fit(cohort.subset(half), seed=0).predict(test.with_target(None, None)).loc[list(test.ids)]
    assert test.outcome is not None
    return float(np.squeeze(auroc(frame[["p_0", "p_1"]].to_numpy(), test.outcome.value)))
