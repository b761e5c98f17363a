"""Inventory of a cohort: the flow of patients into the folds, and what of each modality is there, by site too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.small_cells import LEAST, guarded, small, told

SITES = 40  # that are listed, the largest
STEP = 10
"""Values to which the number of missing ones is rounded before it is divided: no few patients follow from the share."""
BLOCK = 512  # columns that are searched for missing values at once


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

    `columns`, `missing` (share of the values, whose number is rounded to tens), `incomplete` (columns with a missing
    value) and `complete` (patients without one) are None of a modality without columns; `missing` where it rounds to
    none or all and is not, `complete` where they or the others are one to four, or where a table has one column with
    missing values, of which table one tells what may be told. How many have a modality is told as it is. Sites are
    numbered by size and not named; those of fewer than five patients stand together, with the patients of no known
    site, in a row without a number. Present at a site is None where those with or without the modality are one to four,
    and where such a count would follow from the others.
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
    total = int(frame.shape[0] * frame.shape[1])
    lacking, columns, count = np.zeros(len(frame), dtype=bool), 0, 0
    for start in range(0, frame.shape[1], BLOCK):
        absent = frame.iloc[:, start : start + BLOCK].isna().to_numpy()
        lacking |= absent.any(1)
        columns += int(absent.any(0).sum())
        count += int(absent.sum())
    whole = int((~lacking).sum())
    about = min(STEP * int(count / STEP + 0.5), total)
    rough = count not in (0, total) and about in (0, total)
    alone = cohort.kinds[name] == "table" and columns == 1
    hide = alone or told(whole) is None or told(len(frame) - whole) is None
    return {
        "columns": int(frame.shape[1]),
        "missing": None if rough else float(f"{about / max(total, 1):.3g}"),
        "incomplete": columns,
        "complete": None if hide else whole,
    }


def _by_site(cohort: Cohort, m: int) -> list[dict[str, int | None]]:
    if cohort.site is None:
        return []
    found = pd.Series(cohort.site[cohort.site != ""]).value_counts()
    sizes = {str(site): int(n) for site, n in found.items()}
    listed = [site for site, n in sizes.items() if n >= LEAST][:SITES]
    rest = len(cohort) - sum(sizes[site] for site in listed)
    while 0 < rest < LEAST and listed:  # the size of the rest would follow from those of the others
        rest += sizes[listed.pop()]
    masks = [np.asarray(cohort.site == site) for site in listed]
    if rest:
        masks.append(~np.isin(cohort.site, np.array(listed, dtype=str)))
    have = cohort.present[:, m]
    counts = np.array([[int((own & there).sum()) for own in masks] for there in (have, ~have)])  # (2, S)
    number = len(masks)
    sums = np.vstack([np.hstack([np.eye(number)] * 2), np.repeat(np.eye(2), number, axis=1)])
    either = guarded(counts.ravel(), sums, secret=small(counts).ravel()).reshape(counts.shape)
    hidden: NDArray[np.bool_] = either[0] | either[1]
    return [
        {
            "site": place + 1 if place < len(listed) else None,
            "patients": int(own.sum()),
            "present": None if hide else int(present),
        }
        for place, (own, hide, present) in enumerate(zip(masks, hidden, counts[0], strict=True))
    ]
