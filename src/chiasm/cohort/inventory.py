"""Inventory of a cohort: the flow of patients into the folds, and what of each modality is there, by site too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.small_cells import LEAST, told

SITES = 40  # that are listed, the largest


def flow_of(everyone: Cohort, used: Cohort) -> dict[str, Any]:
    """Count the patients on their way from the tables into the folds, for `trial.json`.

    `tables`: in the patients' table, without those under a seal. `unknown_outcome` and `no_modality` are left out;
    who lacks both counts as of unknown outcome. `modalities`: how many of those `used` have each; `every`: all of them.
    `sealed`: held apart, and counted nowhere else.
    """
    known = np.ones(len(everyone), dtype=bool) if everyone.outcome is None else everyone.outcome.known
    return {
        "tables": len(everyone),
        "unknown_outcome": int((~known).sum()),
        "no_modality": int((known & ~everyone.present.any(1)).sum()),
        "used": len(used),
        "modalities": {name: int(used.present[:, m].sum()) for m, name in enumerate(used.modalities)},
        "every": int(used.present.all(1).sum()),
        "sealed": None if everyone.sealed is None else int(everyone.sealed.patients),
    }


def inventory(cohort: Cohort) -> list[dict[str, Any]]:
    """List each modality: its columns, the patients who have it, the values missing among these, and each site.

    `columns`, `missing` (share of the values), `incomplete` (columns with a missing value) and `complete` (patients
    without one, None where they, or those with one, are one to four) are None of a modality without columns. Sites are
    numbered by size and not named; of one with fewer than five patients there are no numbers.
    """
    return [
        {
            "modality": name,
            "kind": cohort.kinds[name],
            "present": int(cohort.present[:, m].sum()),
            **_values(cohort, name),
            "sites": _by_site(cohort, m),
        }
        for m, name in enumerate(cohort.modalities)
    ]


def _values(cohort: Cohort, name: str) -> dict[str, Any]:
    nothing = {"columns": None, "missing": None, "incomplete": None, "complete": None}
    if cohort.kinds[name] not in ("table", "omics"):
        return nothing
    frame = cohort.raw(name)
    if not isinstance(frame, pd.DataFrame):
        return nothing
    absent = frame.isna().to_numpy()
    whole = int((~absent.any(1)).sum()) if absent.size else len(frame)
    hide = told(whole) is None or told(len(frame) - whole) is None
    return {
        "columns": int(frame.shape[1]),
        "missing": float(f"{absent.mean():.3g}") if absent.size else 0.0,
        "incomplete": int(absent.any(0).sum()),
        "complete": None if hide else whole,
    }


def _by_site(cohort: Cohort, m: int) -> list[dict[str, int | None]]:
    if cohort.site is None:
        return []
    sizes = pd.Series(cohort.site[cohort.site != ""]).value_counts()
    rows = list[dict[str, int | None]]()
    for number, (site, n) in enumerate(sizes.items(), start=1):
        if n < LEAST or number > SITES:
            break
        present = int(cohort.present[cohort.site == site, m].sum())
        hide = told(present) is None or told(int(n) - present) is None
        rows.append({"site": number, "patients": int(n), "present": None if hide else present})
    return rows
