"""Characteristics of the patients by outcome, as in table one of a paper: counts of levels, medians, quartiles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.small_cells import LEAST, masked

Groups = list[tuple[str, NDArray[np.bool_]]]
COLUMNS = 40  # of a table, the first of its numbers and categories
LEVELS = 12  # of a category, the most frequent
DESCRIBED = 20
"""Fewest patients whose numbers are summarised by quartiles."""
QUARTILES = (0.25, 0.5, 0.75)
ALL, OTHER = "all", "other levels"


def groups_of(cohort: Cohort) -> Groups:
    """List the groups of patients: all, then by what happened to them; where folds are given, those never tested too.

    By class, label, event, or its cause; a number has no groups. With labels a patient may stand in several groups.
    """
    found: Groups = [(ALL, np.ones(len(cohort), dtype=bool))]
    target, outcome = cohort.target, cohort.outcome
    if target is not None and outcome is not None:
        if target.has_labels:
            found += [(name, outcome.value[:, k] == 1) for k, name in enumerate(target.names)]
        elif target.has_classes:
            found += [(name, outcome.value == k) for k, name in enumerate(target.names)]
        elif outcome.cause is not None:
            found += [(name, outcome.cause == k + 1) for k, name in enumerate(target.names)]
            found.append(("no event", outcome.cause == 0))
        elif outcome.event is not None:
            happened = outcome.event.astype(bool)
            found += [("event", happened), ("no event", ~happened)]
    return found


def characteristics(cohort: Cohort) -> dict[str, Any]:
    """Describe the tables of a cohort column by column, in all patients and by outcome, for `trial.json`.

    A number has its quartiles, rounded to three digits, in groups of twenty patients or more. A category, and a number
    of two values, has the patients of each level; levels of fewer than five patients are pooled and not named. Counts
    of 1 to 4 are None, and so are those from which one would follow. Missing values count among the patients who have
    the modality. Columns of other sorts are counted and not described.
    """
    groups = groups_of(cohort)
    partition = len(groups) > 2 and bool((np.sum([own for _, own in groups[1:]], axis=0) == 1).all())
    rows, aside = list[dict[str, Any]](), dict[str, dict[str, int]]()
    for name in cohort.modalities:
        if cohort.kinds[name] != "table":
            continue
        kinds = cohort.column_kinds(name)
        shown = [column for column, kind in kinds.items() if kind in ("number", "category")]
        other = pd.Series([kind for kind in kinds.values() if kind not in ("number", "category")], dtype=object)
        counted = {str(kind): int(n) for kind, n in other.value_counts().sort_index().items()}
        beyond = len(shown) - COLUMNS
        if beyond > 0:
            counted["further number or category"] = beyond
        if counted:
            aside[name] = counted
        frame, have = cohort.raw(name), cohort.rows_of(name)
        inside = [(label, own[have]) for label, own in groups]
        rows += [
            {"modality": name, "column": column, **_described(frame[column], kinds[column], inside, partition)}
            for column in shown[:COLUMNS]
        ]
    sizes = masked([[int(own.sum()) for _, own in groups[1:]]], rows_add_up=partition)[0] if groups[1:] else []
    hidden = [False, *sizes]
    return {
        "groups": [
            {"name": label, "patients": None if hide else int(own.sum())}
            for (label, own), hide in zip(groups, hidden, strict=True)
        ],
        "columns": rows,
        "not_described": aside,
    }


def _described(values: pd.Series, kind: str, groups: Groups, partition: bool) -> dict[str, Any]:
    """Describe one column in each group: its missing values, and its quartiles or levels."""
    known = values.notna().to_numpy()
    missing = _hide(np.array([[int((~known & own).sum()) for _, own in groups]]), partition)[0]
    have = _hide(np.array([[int((known & own).sum()) for _, own in groups]]), partition)[0]
    distinct = values[known].unique()
    if kind == "number" and len(distinct) > 2:
        numbers = values.to_numpy(np.float64)
        return {
            "kind": "number",
            "known": have,
            "missing": missing,
            "quartiles": [_quartiles(numbers[known & own]) for _, own in groups],
        }
    counts = values[known].astype(object).map(_written).value_counts()
    often = list(counts[counts >= LEAST].index[:LEVELS])
    named = sorted(often) if kind == "number" else often
    written = values.astype(object).map(_written).to_numpy(object)
    masks = [(level, known & (written == level)) for level in named]
    rest = known & ~np.isin(written.astype(str), [str(level) for level in named])
    if rest.any():
        masks.append((OTHER, rest))
    table = np.array([[int((mask & own).sum()) for _, own in groups] for _, mask in masks]).reshape(-1, len(groups))
    cells = _hide(table, partition, columns=True)
    return {
        "kind": "levels",
        "known": have,
        "missing": missing,
        "levels": [{"name": level, "patients": row} for (level, _), row in zip(masks, cells, strict=True)],
    }


def _hide(counts: NDArray[np.int_], partition: bool, columns: bool = False) -> list[list[int | None]]:
    """Mask a table whose first column counts all patients, and whose others their groups."""
    hidden = np.zeros(counts.shape, dtype=bool)
    if counts.size:
        hidden[:, :1] = masked(counts[:, :1], columns_add_up=columns)
        if counts.shape[1] > 1:
            hidden[:, 1:] = masked(counts[:, 1:], rows_add_up=partition, columns_add_up=columns)
    return [
        [None if hide else int(n) for n, hide in zip(row, own, strict=True)]
        for row, own in zip(counts, hidden, strict=True)
    ]


def _quartiles(values: NDArray[np.float64]) -> list[float] | None:
    """Lower quartile, median and upper quartile, to three digits; None for fewer patients than twenty."""
    if len(values) < DESCRIBED:
        return None
    return [float(f"{value:.3g}") for value in np.quantile(values, QUARTILES)]


def _written(value: object) -> str:
    """Write a level as a reader would: `1`, not `1.0`."""
    return f"{value:g}" if isinstance(value, float) else str(value)
