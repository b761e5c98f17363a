"""Find duplicate patients: identical in all they have, in one modality, or but for a little noise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.bags import Bags
from chiasm.cohort.cohort import Cohort
from chiasm.cohort.digests import DIGEST, as_digests, digest_of, repeated
from chiasm.cohort.items import Items
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.leaks.near import near_pairs
from chiasm.cohort.sources import ColumnSource
from chiasm.cohort.units import content_keys
from chiasm.errors import CohortError, Problem, Unsupported, count, first_rows, warning
from chiasm.room import column_means

NEAR = 1e-4  # root mean square difference, columns scaled by their middle half
FINE_COLUMNS = 3  # two patients who share that many finely measured numbers are one
LONG_TEXT = 100  # characters; shorter notes are shared by chance
LONG_SEQUENCE = 20
LONG_RECORD = 10  # events
MOST_BAG_VALUES = 200_000_000
MOST_COMPARED = 1_000  # columns

Bools = NDArray[np.bool_]
Array = NDArray[np.float64]


def twin_problems(cohort: Cohort, *, complete: bool) -> list[Problem]:
    """Report patients of different groups who share their content, or whose identifiers look alike.

    A modality that patients share by design, joined by `on`, counts only together with all others. In one modality,
    and for nearly equal rows, patients count as one if they share three or more numbers that hardly anybody else
    shares, a long text or record, or a file. `complete` is False if a modality could not be opened.
    """
    keys = content_keys(cohort)
    twins = shared(keys, cohort.group) if complete else np.zeros(len(cohort), dtype=bool)
    alone = {name: _alike(cohort, name) for name in cohort.modalities}
    found = []
    if twins.any():
        sure = any((one | _of_files(cohort, name))[twins].any() for name, (one, _) in alone.items())
        what, fix = (
            "identical in every modality to another",
            ("if they are one person, name `group`, or ask for folds that keep duplicates together"),
        )
        found.append(patients_problem(cohort, twins, what, fix, "identical-patients", leak=sure))
    for name, (same, near) in alone.items():
        only = same & ~twins
        if only.any() and not _is_shared(cohort, name):
            what = "with the very content of another"
            found.append(_in_modality(cohort, name, only, what, "identical-modality"))
        nearly = near & ~twins & ~same
        if nearly.any():
            what = "equal to another but for a little noise"
            found.append(_in_modality(cohort, name, nearly, what, "near-duplicates"))
    alias = shared(as_digests(digest_of(plain_identifier(identifier)) for identifier in cohort.ids), cohort.group)
    if alias.any():
        what = "with an identifier that differs from another only in case, spaces or leading zeros"
        fix = "if they are one person, name `group`"
        found.append(patients_problem(cohort, alias, what, fix, "look-alike-identifiers", leak=True))
    return found


def patients_problem(cohort: Cohort, wrong: Bools, what: str, fix: str, finding: str, *, leak: bool = False) -> Problem:
    """Build a warning about some patients that gives their rows."""
    rows = np.sort(cohort.file_rows[wrong]).tolist()
    text = f"{count(len(rows), 'patient')} {what} ({first_rows(rows)})"
    return warning(text, fix, path=cohort.path, row=rows[0], finding=finding, leak=leak)


def shared(keys: NDArray[np.bytes_], group: NDArray[np.str_] | None) -> Bools:
    """(B,) True where somebody else has the same key; patients of one group are known to belong together."""
    several = repeated(keys)
    if group is None or not several.any():
        return several
    rows = np.flatnonzero(several)
    alone = np.array([f"row {row}" for row in rows], dtype=object)
    frame = pd.DataFrame(
        {"key": keys[rows], "person": np.where(group[rows] == "", alone, "group " + group[rows].astype(object))}
    )
    several[rows] = frame.groupby("key")["person"].transform("nunique").to_numpy() > 1
    return several


def same_group(cohort: Cohort, first: NDArray[np.int_], second: NDArray[np.int_]) -> Bools:
    """(k,) True for pairs of patients of the same group."""
    if cohort.group is None:
        return np.zeros(len(first), dtype=bool)
    return np.asarray((cohort.group[first] == cohort.group[second]) & (cohort.group[first] != ""))


def unmistakable_pairs(cohort: Cohort, other: Cohort, name: str, columns: Sequence[str] = ()) -> set[int]:
    """Return the rows of the other cohort whose content of a modality is, or nearly is, that of a patient of this one.

    Args:
        columns: of a table, those that both have and that are compared.
    """
    ours, theirs = cohort.rows_of(name), other.rows_of(name)
    if not len(ours) or not len(theirs):
        return set()
    if columns or cohort.kinds[name] == "bag":
        numbers = [_numbers(own, name, rows, columns) for own, rows in ((cohort, ours), (other, theirs))]
        if numbers[0] is None or numbers[1] is None or numbers[0].shape[1] != numbers[1].shape[1]:
            return set()
        pairs, _ = _near(np.concatenate([numbers[0], numbers[1]]))
        across = (pairs[:, 0] < len(ours)) & (pairs[:, 1] >= len(ours))
        return set(theirs[pairs[across, 1] - len(ours)].tolist())
    known = cohort.sources[name].digests(cohort.source_rows[name][ours])
    keys = other.sources[name].digests(other.source_rows[name][theirs])
    return set(theirs[np.isin(keys, known) & _telling(other, name, theirs)].tolist())


def _in_modality(cohort: Cohort, name: str, wrong: Bools, what: str, finding: str) -> Problem:
    """Build a warning about some patients and one modality that gives their rows in the patients' table."""
    fix = "if they are one person, name `group`; else correct the source"
    return replace(patients_problem(cohort, wrong, what, fix, finding, leak=True), modality=name)


def _alike(cohort: Cohort, name: str) -> tuple[Bools, Bools]:
    """(B,) True for patients who unmistakably share their content of a modality, and (B,) for those who nearly do."""
    same, near = np.zeros((2, len(cohort)), dtype=bool)
    rows = cohort.rows_of(name)
    if len(rows) < 2:
        return same, near
    keys = np.zeros(len(cohort), dtype=DIGEST)
    keys[rows] = cohort.sources[name].digests(cohort.source_rows[name][rows])
    if has_form(cohort.kinds[name], TABLE) or cohort.kinds[name] == "bag":
        values = _numbers(cohort, name, rows)
        if values is None:
            return same, near
        pairs, told = _near(values)
        first, second = rows[pairs[:, 0]], rows[pairs[:, 1]]
        apart = ~same_group(cohort, first, second)
        equal = keys[first] == keys[second]
        for chosen, mask in ((apart & equal, same), (apart & ~equal, near)):
            mask[first[chosen]] = mask[second[chosen]] = True
        # `shared` also finds equal rows beyond those that are compared with each other
        return (shared(keys, cohort.group) & _full(len(cohort), rows, told)) | same, near
    return shared(keys, cohort.group) & _full(len(cohort), rows, _telling(cohort, name, rows)), near


def _full(n: int, rows: NDArray[np.int_], values: Bools) -> Bools:
    found = np.zeros(n, dtype=bool)
    found[rows] = values
    return found


def _of_files(cohort: Cohort, name: str) -> Bools:
    """(B,) True if a patient's content of a modality is too long to be shared by chance; always False for tables."""
    rows = cohort.rows_of(name)
    if has_form(cohort.kinds[name], TABLE):
        return np.zeros(len(cohort), dtype=bool)
    return _full(len(cohort), rows, _telling(cohort, name, rows))


def _telling(cohort: Cohort, name: str, rows: NDArray[np.int_]) -> Bools:
    """(n,) True if a text, a record or a file is too long to be shared by chance."""
    kind = cohort.kinds[name]
    items = cohort.raw(name)
    fewest = {"text": LONG_TEXT, "protein": LONG_SEQUENCE, "dna": LONG_SEQUENCE, "events": LONG_RECORD}.get(kind)
    if fewest is None or not isinstance(items, Items):
        return np.ones(len(rows), dtype=bool)
    return np.array([_length(item, fewest) >= fewest for item in items], dtype=bool)


def _length(item: object, otherwise: int) -> int:
    """Length of an item: characters of a cell, events of a record, bytes of a file; `otherwise` if unknown."""
    if isinstance(item, str | pd.DataFrame):
        return len(item)
    return item.stat().st_size if isinstance(item, Path) and item.is_file() else otherwise


def _is_shared(cohort: Cohort, name: str) -> bool:
    """Tell whether patients share a row of a table by design."""
    rows = cohort.source_rows[name][cohort.rows_of(name)]
    return bool(len(np.unique(rows)) < len(rows))


def _numbers(cohort: Cohort, name: str, rows: NDArray[np.int_], columns: Sequence[str] = ()) -> Array | None:
    """(n, p) numbers of a table, or the mean token of each bag; None if they cannot be read or are too many.

    Args:
        columns: of a table, those that are read, in this order; all if empty.
    """
    source = cohort.sources[name]
    try:
        if isinstance(source, ColumnSource):
            frame = source.frame[[*columns]] if columns else source.frame
            frame = frame.select_dtypes(exclude="object")
            return frame.iloc[cohort.source_rows[name][rows]].to_numpy(dtype=np.float64)
        bags = cohort.raw(name)
        if not isinstance(bags, Bags):
            return None
        shapes = np.array([bags.shape(i) for i in range(len(bags))])
        if len(np.unique(shapes[:, 1])) > 1 or np.prod(shapes.astype(float), axis=1).sum() > MOST_BAG_VALUES:
            return None
        return np.stack([column_means(bags[i], np.float64) for i in range(len(bags))])
    except (CohortError, Unsupported):
        return None  # reported where the values themselves are checked


def _near(values: Array) -> tuple[NDArray[np.int_], Bools]:
    """(k, 2) pairs of rows that nearly share three or more finely measured numbers, and (n,) rows with that many.

    A column is finely measured if at least half of its filled cells differ; a cell counts unless many hold the same,
    or its row holds one number throughout, as that of a failed assay does. Of a wide block, 1,000 evenly spaced columns
    are compared.
    """
    values = values[:, np.unique(np.linspace(0, values.shape[1] - 1, min(values.shape[1], MOST_COMPARED)).astype(int))]
    here = np.isfinite(values)
    ordered = np.sort(np.where(here, values, np.nan), axis=0)  # NaN last
    differ = (np.diff(ordered, axis=0) > 0).sum(axis=0) + here.any(axis=0)
    fine = differ >= np.maximum(here.sum(axis=0) / 2, FINE_COLUMNS)
    if fine.sum() < FINE_COLUMNS:
        return np.zeros((0, 2), dtype=int), np.zeros(len(values), dtype=bool)
    own, here, ordered = values[:, fine], here[:, fine], ordered[:, fine]
    filled, everyone = here.sum(axis=0), np.arange(own.shape[1])
    low, middle, high = (ordered[(part * (filled - 1)).astype(int), everyone] for part in (0.25, 0.5, 0.75))
    low, high = np.minimum(low, high), np.maximum(low, high)
    scale = np.where(high > low, (high - low) / 1.349, ordered[filled - 1, everyone] - ordered[0])
    telling = here & ~_frequent(own) & (np.ptp(np.where(here, own, own[:, :1]), axis=1) != 0)[:, None]
    scaled = np.where(here, (own - middle) / np.where(scale > 0, scale, 1.0), 0.0)
    pairs = near_pairs(scaled, NEAR)
    both = np.array([np.count_nonzero(telling[a] & telling[b]) for a, b in pairs.tolist()], dtype=int)
    alike = np.array([np.array_equal(here[a], here[b]) for a, b in pairs.tolist()], dtype=bool)
    return pairs[(both >= FINE_COLUMNS) & alike], np.asarray(telling.sum(axis=1) >= FINE_COLUMNS)


def _frequent(values: Array) -> Bools:
    """(n, p) True for a value, such as zero, that over 2 % of its column and more than five cells hold."""
    found = np.zeros(values.shape, dtype=bool)
    for k, column in enumerate(values.T):
        _, inverse, counts = np.unique(column, return_inverse=True, return_counts=True)
        found[:, k] = counts[inverse] > max(5, len(column) / 50)
    return found


def plain_identifier(identifier: str) -> str:
    """Return an identifier without case, spaces and leading zeros."""
    text = re.sub(r"\s+", "", identifier).casefold()
    return (text.lstrip("0") or "0") if text.isdigit() else text
