"""New patients compared with those of training, or of another reference: tests by column, with what differs in words.

Each test is of one thing: who has what, the columns of one modality, the predictions, the calibration. Within a test p
is the smallest over its parts times their number (`metrics.two_sample`), so that it holds however columns hang
together; over the tests of a look p is adjusted after Holm. What is said of a difference are shares of patients and
edges between bins, and no share that one to four patients make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort
from chiasm.cohort.small_cells import LEAST
from chiasm.fitting.reference import (
    ALONE,
    REST,
    ColumnSummary,
    Reference,
    derived,
    lots_of,
    texts_of,
)
from chiasm.metrics.two_sample import below_edges, bonferroni, edge_p, share_p

Array = NDArray[np.float64]
PRESENCE, PREDICTIONS, CALIBRATION = "who has what", "predictions", "calibration"
FACTORS = (10.0, 100.0, 1000.0, 2.2046, 2.54, 18.016, 38.67, 88.42, 60.0, 24.0, 365.25, 12.0, 30.44)
"""Ratios of units that are mixed up: powers of ten, pounds, inches, glucose, cholesterol and creatinine, times."""
UNLIKE = 0.01  # p of a column at or below which its unit is asked for, and above which another unit explains it
SHOWN = 10  # parts of a test that are told
NEW = "new"


@dataclass(frozen=True)
class Part:
    """What was looked at in a test: `name`, its p corrected for the parts of the test, and what differs in words."""

    name: str
    p: float
    said: str


@dataclass(frozen=True)
class Test:
    """One test of a look: its name, how many patients, p, and its parts, the most different first."""

    name: str
    patients: int
    p: float
    parts: tuple[Part, ...]
    number: int = 0
    """How many parts there were in all."""


@dataclass(frozen=True)
class Frames:
    """What is compared: the columns of each modality and the rows (n,) of its patients in the cohort, and patterns."""

    patterns: NDArray[np.str_]
    present: Mapping[str, NDArray[np.bool_]]
    columns: Mapping[str, tuple[NDArray[np.int_], pd.DataFrame]]
    predicted: pd.DataFrame | None = None


def frames_of(reference: Reference, cohort: Cohort, predicted: pd.DataFrame | None) -> Frames:
    """Compute once what is compared, for all patients of an encoded cohort.

    Args:
        predicted: what the model predicts of them, in the cohort's row order; None where it is not compared.
    """
    columns = {}
    for name, summary in reference.modalities.items():
        if name not in cohort.modalities or not summary.columns:
            continue
        rows = cohort.rows_of(name)
        raw = cohort.raw(name)
        frame = derived(summary, raw) if summary.projection is not None and len(rows) else raw
        if isinstance(frame, pd.DataFrame):
            columns[name] = rows, frame.reset_index(drop=True)
    known = [name for name in reference.present if name in cohort.modalities]
    own = cohort.with_modalities(known)
    nobody = np.zeros(len(cohort), dtype=bool)
    present = {
        name: own.present[:, own.modalities.index(name)] if name in own.modalities else nobody
        for name in reference.present
    }
    return Frames(own.pattern(), present, columns, predicted)


def drift_tests(reference: Reference, frames: Frames, rows: NDArray[np.int_]) -> list[Test]:
    """Compare some patients, by their rows in the cohort, with the reference."""
    found = [presence_test(reference, frames, rows)]
    for name, summary in reference.modalities.items():
        if name in frames.columns:
            of, frame = frames.columns[name]
            here = np.flatnonzero(np.isin(of, rows))
            found.append(columns_test(name, summary.columns, frame.iloc[here]))
    if reference.predictions and frames.predicted is not None:
        found.append(columns_test(PREDICTIONS, reference.predictions, frames.predicted.iloc[rows]))
    return [own for own in found if own.number]


def presence_test(reference: Reference, frames: Frames, rows: NDArray[np.int_]) -> Test:
    """Compare how many have each modality, and each pattern of them."""
    m, n, parts = len(rows), reference.patients, []
    for name, had in reference.present.items():
        have = int(frames.present[name][rows].sum())
        parts.append(_share(f"modality {name}", had, n, have, m, f"have '{name}'"))
    here = np.where(frames.patterns[rows] == "", ALONE, frames.patterns[rows])
    kept = [name for name in reference.patterns if name != REST]
    for name, had in reference.patterns.items():
        have = int((here == name).sum()) if name != REST else int((~np.isin(here, kept)).sum())
        parts.append(_share(f"pattern {name}", had, n, have, m, f"have {name.replace('+', ' and ')}"))
    if REST not in reference.patterns:
        other = int((~np.isin(here, kept)).sum())
        parts.append(_share("other patterns", 0, n, other, m, "have a pattern of modalities that nobody had"))
    return _together(PRESENCE, m, parts)


def columns_test(name: str, columns: Sequence[ColumnSummary], frame: pd.DataFrame) -> Test:
    """Compare the columns of a modality, or of the predictions."""
    m, parts = len(frame), []
    for own in columns:
        there = own.name in frame
        values = frame[own.name] if there else pd.Series(np.full(m, np.nan))
        parts += column_parts(own, values)
    return _together(name, m, parts) if m else Test(name, 0, np.nan, ())


def column_parts(own: ColumnSummary, values: pd.Series) -> list[Part]:
    """Compare one column: how many lack it, and its bins or levels; p is not corrected yet."""
    m = len(values)
    if own.levels or not len(own.edges):
        texts = texts_of(values)
        known, found = len(texts), _level_part(own, texts)
    else:
        numbers = pd.to_numeric(values, errors="coerce").to_numpy(np.float64)
        numbers = numbers[np.isfinite(numbers)]
        known, found = len(numbers), _bin_part(own, numbers)
    lacking = _share(
        f"{own.name}, missing", own.patients - own.known, own.patients, m - known, m, f"lack column '{own.name}'"
    )
    return [lacking] if found is None else [lacking, found]


def _level_part(own: ColumnSummary, texts: NDArray[np.str_]) -> Part | None:
    if not own.known or not len(texts):
        return None
    kept = [level for level in own.levels if level != REST]
    before = np.r_[[own.counts[own.levels.index(level)] for level in kept], own.known]
    before[-1] -= before[:-1].sum()
    here = np.array([*((texts == level).sum() for level in kept), (~np.isin(texts, kept)).sum()], dtype=np.int64)
    p = share_p(before.astype(np.int64), own.known, here, len(texts))
    place = int(np.argmin(p))
    what = f"have '{kept[place]}' in" if place < len(kept) else "have a rare or new level in"
    said = _shares(int(before[place]), own.known, int(here[place]), len(texts), f"{what} column '{own.name}'")
    return Part(own.name, bonferroni(p), said)


def _bin_part(own: ColumnSummary, numbers: Array) -> Part | None:
    if not len(numbers):
        return None
    p, below = _edge_p(own, numbers)
    place = int(np.argmin(p))
    edge, m = own.edges[place], len(numbers)
    said = _shares(
        int(own.below[place]), own.known, int(below[place]), m, f"lie below {edge:.3g} in column '{own.name}'"
    )
    found = Part(own.name, bonferroni(p), said)
    unit = unit_told(own, numbers) if found.p <= UNLIKE else ""
    return Part(found.name, found.p, f"{unit} {said}".strip())


def _edge_p(own: ColumnSummary, numbers: Array) -> tuple[Array, NDArray[np.int64]]:
    below = below_edges(numbers, own.edges, own.places, lots_of(own.name, len(numbers), NEW))
    return edge_p(own.below, own.known, below, len(numbers)), below


def unit_told(own: ColumnSummary, numbers: Array) -> str:
    """Say that a column looks as if it were in another unit: the one by which it is most as before, where it is so.

    Numbers none of which is negative are divided by each ratio, and any are turned into degrees of the other kind.
    """
    asked = {}
    if own.edges[0] >= 0 and numbers.min() >= 0:
        for factor in FACTORS:
            asked[f"is about {factor:.4g} times larger, and else as before"] = numbers / factor
            asked[f"is about {factor:.4g} times smaller, and else as before"] = numbers * factor
    asked["is as before if it is in Fahrenheit now"] = (numbers - 32) / 1.8
    asked["is as before if it is in Celsius now"] = numbers * 1.8 + 32
    p = {said: bonferroni(_edge_p(own, turned)[0]) for said, turned in asked.items()}
    best = max(p, key=lambda said: p[said])  # of equals the first: powers of ten are mixed up most
    return f"'{own.name}' {best}: look at its unit." if p[best] > UNLIKE else ""


def _share(name: str, count: int, n: int, now: int, m: int, what: str) -> Part:
    p = share_p(np.array([count]), n, np.array([now]), m)
    return Part(name, float(p[0]), _shares(count, n, now, m, what))


def _shares(count: int, n: int, now: int, m: int, what: str) -> str:
    return f"{_share_told(now, m)} {what}, {_share_told(count, n)} before."


def _share_told(count: int, n: int) -> str:
    """A share in percent; not where one to four patients make it, or all but them."""
    if not n:
        return "nobody is known, who might"
    if 0 < count < LEAST:
        return "fewer than five patients"
    if 0 < n - count < LEAST:
        return "all but fewer than five patients"
    return f"{count / n:.0%}".replace("%", " %")


def _together(name: str, m: int, parts: Sequence[Part]) -> Test:
    """Correct each p for the number of parts, and put the smallest first."""
    number = len(parts)
    corrected = [Part(own.name, min(1.0, own.p * number), own.said) for own in parts]
    first = sorted(corrected, key=lambda own: own.p)
    return Test(name, m, first[0].p if first else np.nan, tuple(first[:SHOWN]), number)
