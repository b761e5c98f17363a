"""Characteristics of the patients by outcome, as in table one of a paper: counts of levels, medians, quartiles."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.small_cells import LEAST, guarded, small

Groups = list[tuple[str, NDArray[np.bool_]]]
COLUMNS = 40  # of a table, the first of its numbers and categories
GROUPS = 10  # of outcomes
LEVELS = 12  # of a category, the most frequent
DESCRIBED = 20
"""Fewest patients whose numbers are summarised by quartiles."""
QUARTILES = (0.25, 0.5, 0.75)
ALL, OTHER = "all", "other levels"


def groups_of(cohort: Cohort) -> Groups:
    """List the groups of patients: all, who are tested or not, then those of each class, label, event or cause.

    A number has no groups, and more than ten are not told apart: a table of so many columns is read by nobody, and what
    may be told of its cells takes minutes to find. With labels a patient may stand in several groups.
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
    return found if len(found) <= 1 + GROUPS else found[:1]


def characteristics(cohort: Cohort) -> dict[str, Any]:
    """Describe the tables of a cohort column by column, in all patients and by outcome, for `trial.json`.

    A number has its quartiles, rounded to three digits, in groups of twenty patients or more. A category, and a number
    of two values, has the patients of each level; levels of fewer than five patients are pooled and not named. Counts
    of 1 to 4 are None, and so are those from which one would follow by sums over levels, missing values and groups: the
    patients of a group who have the modality are taken as known, and so are the sizes of the groups, which are facts of
    the outcome and told as they are. Missing values count among the patients who have the modality. Columns of other
    sorts are counted and not described.
    """
    groups = groups_of(cohort)
    partition = len(groups) > 2 and bool((np.sum([own for _, own in groups[1:]], axis=0) == 1).all())
    rows, aside = list[dict[str, Any]](), dict[str, dict[str, int]]()
    for name in cohort.modalities:
        if cohort.kinds[name] != "table":
            continue
        kinds = cohort.column_kinds(name)
        shown = [column for column, kind in kinds.items() if kind in ("number", "category")]
        counted = dict(sorted(Counter(kind for kind in kinds.values() if kind not in ("number", "category")).items()))
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
    return {
        "groups": [{"name": label, "patients": int(own.sum())} for label, own in groups],
        "columns": rows,
        "not_described": aside,
    }


def _described(values: pd.Series, kind: str, groups: Groups, partition: bool) -> dict[str, Any]:
    """Describe one column in each group: its missing values, and its quartiles or levels."""
    known = values.notna().to_numpy()
    distinct = values[known].unique()
    if kind == "number" and len(distinct) > 2:
        have, missing = _hide([known, ~known], groups, partition)
        numbers = values.to_numpy(np.float64)
        return {
            "kind": "number",
            "known": have,
            "missing": missing,
            "quartiles": [_quartiles(numbers[known & own]) for _, own in groups],
        }
    written = values.astype(object).map(_written)
    counts = written[known].value_counts()
    often = list(counts[counts >= LEAST].index[:LEVELS])
    named = sorted(often) if kind == "number" else often
    masks = [(level, known & (written == level).to_numpy()) for level in named]
    rest = known & ~written.isin(named).to_numpy()
    if rest.any():
        masks.append((OTHER, rest))
    *cells, missing = _hide([*(mask for _, mask in masks), ~known], groups, partition)
    have = [None if n is None else int((known & own).sum()) for n, (_, own) in zip(missing, groups, strict=True)]
    return {
        "kind": "levels",
        "known": have,
        "missing": missing,
        "levels": [{"name": level, "patients": row} for (level, _), row in zip(masks, cells, strict=True)],
    }


def _hide(parts: Sequence[NDArray[np.bool_]], groups: Groups, partition: bool) -> list[list[int | None]]:
    """Mask the patients of each part of a column in each group; the last part is those whose value is missing.

    The parts of a group add up to its patients, and so do the groups of a part where they are a `partition`. The
    patients outside a group are cells too, which are shown nowhere and must not follow either.
    """
    shown, rows = len(groups), len(parts)
    apart = [~own for _, own in groups[1:]]
    counts = np.array([[int((part & own).sum()) for own in (*(own for _, own in groups), *apart)] for part in parts])
    columns = counts.shape[1]
    place = np.arange(counts.size).reshape(counts.shape)
    sums = [place[:, column] for column in range(columns)]
    known = np.zeros((columns, counts.size))
    for row, cells in zip(known, sums, strict=True):
        row[cells] = 1
    across = list[NDArray[np.float64]]()
    for part in range(rows):
        members = [[k, shown + k - 1] for k in range(1, shown)]  # a group, and those outside
        if partition:
            members.append(list(range(1, shown)))
        for own in members:
            row = np.zeros(counts.size)
            row[place[part, 0]], row[place[part, own]] = 1, -1
            across.append(row)
    secret = small(counts)
    secret[-1] |= small(counts[:-1].sum(0))  # the values that are known follow from those that are not
    aside = np.zeros(counts.shape, dtype=bool)
    aside[:, shown:] = True
    hidden = guarded(counts.ravel(), np.vstack([known, *across]), secret=secret.ravel(), aside=aside.ravel())
    return [
        [None if hide else int(n) for n, hide in zip(row[:shown], own[:shown], strict=True)]
        for row, own in zip(counts, hidden.reshape(counts.shape), strict=True)
    ]


def _quartiles(values: NDArray[np.float64]) -> list[float] | None:
    """Lower quartile, median and upper quartile, to three digits; None for fewer patients than twenty."""
    if len(values) < DESCRIBED:
        return None
    return [float(f"{value:.3g}") for value in np.quantile(values, QUARTILES)]


def _written(value: object) -> str:
    """Write a level as a reader would, whole numbers without a point: `1`, not `1.0`."""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value)) if whole else str(value)  # type: ignore[call-overload]
