"""What is given in place of frames and targets by mistake, each refused in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from chiasm.errors import Problem, error
from chiasm.targets import Target

TARGETS = (
    'write Classification("column"), Regression("column"), Survival("time", "event"), '
    'CompetingRisks("time", "cause"), Multilabel(("a", "b")) or Responses("column")'
)


def misunderstood(patients: Any, modalities: Any, target: Any) -> list[Problem]:
    """List what is given in the place of the patients' frame, of the modalities' or of the target, and is none."""
    found = []
    if not isinstance(patients, pd.DataFrame):
        found.append(
            error(
                "the patients are no frame",
                "give a pandas DataFrame indexed by patient",
                path="patients",
                finding="unfit-kind",
            )
        )
    else:
        found += _levels(patients, None)
    if not isinstance(modalities, Mapping):
        what, fix = "the modalities are no mapping", 'name each, as in {"clinical": frame}'
        found.append(error(what, fix, path="modalities", finding="unfit-kind"))
    else:
        found += [problem for name, values in modalities.items() for problem in _levels(values, str(name))]
    if target is not None and not isinstance(target, Target):
        found.append(error("the target is no target", TARGETS, path="target", finding="unknown-kind"))
    return found


def _levels(values: Any, modality: str | None) -> list[Problem]:
    if not isinstance(values, pd.DataFrame | pd.Series):
        return []
    axes = [("index", values.index)] + ([("columns", values.columns)] if isinstance(values, pd.DataFrame) else [])
    path = "patients" if modality is None else None
    fix = {
        "index": "keep the level of the patients, by reset_index and set_index",
        "columns": 'join the levels to one name, as in frame.columns = frame.columns.map("_".join)',
    }
    has = {"index": "has", "columns": "have"}
    return [
        error(
            f"the {axis} {has[axis]} {own.nlevels} levels",
            fix[axis],
            path=path,
            modality=modality,
            finding="several-levels",
        )
        for axis, own in axes
        if own.nlevels > 1
    ]
