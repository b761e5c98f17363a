"""Public function that looks in a cohort for pairs of patients whom one encoder confuses and another tells apart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.api.embedding_sources import chosen_modality, named_files
from chiasm.api.encoding import encode
from chiasm.api.models import write_predictions
from chiasm.cohort import Cohort, Problem, Unsupported
from chiasm.cohort.opened import Given, as_cohort
from chiasm.encoding.checking import require_sound
from chiasm.errors import count
from chiasm.evaluation.embeddings.pairs import ALIKE, MOST, UNLIKE, bounds_by_share, mine_confusing_pairs
from chiasm.fitting.embedded.files import read_vectors
from chiasm.fitting.embedded.pooling import pooled_vectors, require_pool
from chiasm.fitting.embedded.vectors import Vectors

SHARES = (0.999, 0.5)
"""Bounds as shares of all pairs, where none are given: the most alike thousandth, and the less alike half."""


@dataclass(frozen=True, repr=False)
class ConfusingPairs:
    """Pairs of patients whom one encoder takes for alike and another does not.

    Attributes:
        table: one row a pair, the widest gap first: identifiers `first` and `second`, cosines `similarity_a` and
            `similarity_b`, `confused_by` and `told_apart_by`, and, where the target has classes, `first_class`
            and `second_class`.
        bounds: of each direction the cosines from which `a` takes two for alike, and up to which `b` does not.
        encoders: names of the two.
        patients: how many have both vectors.
        notes: who was left out, and what is not comparable.
    """

    table: pd.DataFrame
    bounds: Mapping[str, tuple[float, float]]
    encoders: tuple[str, str]
    patients: int
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"ConfusingPairs: {count(len(self.table), 'pair')} of {self.patients:,} patients"

    def save(self, path: Path | str) -> Path:
        """Write the pairs as .csv or .parquet, whole or not at all, readable by their owner alone."""
        out = Path(path)
        write_predictions(self.table.set_index("first"), out)
        return out


def confusing_pairs(
    cohort: Given,
    *,
    modality: str | None = None,
    encoders: str | Sequence[str] = (),
    files: str | Path | Iterable[str | Path] | Mapping[str, str | Path] = (),
    pool: str = "mean",
    alike: float | None = None,
    unlike: float | None = None,
    by_share: bool = False,
    both_ways: bool = False,
    apart: bool = False,
    most: int = MOST,
    checked: Sequence[Problem] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    engine: str = "local",
    progress: Callable[..., None] | None = None,
) -> ConfusingPairs:
    """Find the pairs of patients whom the first of two encoders confuses and the second tells apart.

    Args:
        cohort: a cohort, or the path of a manifest, which is checked first; a target is not needed.
        modality, encoders, files, pool: as in `chiasm.embed`; two embeddings in all, encoders first. With one encoder
            and one file the encoder is the one that confuses.
        alike, unlike: bounds of the cosine, 0.9 and 0.75 if not given; with `by_share` shares of all pairs, 0.999 and
            0.5, since cosines of two encoders have no common scale (`bounds_by_share`).
        both_ways: also the pairs that the second confuses and the first tells apart.
        apart: only pairs of different classes, of patients whose class is known.
        most: how many pairs at most, in each direction.

    Raises:
        CohortError: the check finds errors, or a file of embeddings cannot be read or matches nobody.
        Unsupported: not two embeddings, two of one name, no patient or one alone has both, or no classes to be apart.
        ValueError: bounds out of their range, or a pool that there is not.

    Source: MMVP (arXiv 2401.06209) and MediConfusion (arXiv 2409.15477), whose bounds are the default; the shares are
    ours.
    """
    whole = as_cohort(cohort)
    require_pool(pool)
    specs = [encoders] if isinstance(encoders, str) else list(encoders)
    given = named_files(files)
    if len(specs) + len(given) != 2:
        raise Unsupported(
            f"{count(len(specs) + len(given), 'embedding')} given, and one encoder is held against one other: name two "
            "encoders (--encoder) or files of embeddings (--file)"
        )
    if apart and (whole.target is None or not whole.target.has_classes):
        raise Unsupported("pairs of different classes need a target with classes: name one in [target]")
    chosen = chosen_modality(whole, modality, bool(specs), False)
    base = whole.with_modalities([chosen]) if chosen else whole
    require_sound(base, checked)
    notes: list[str] = []
    vectors: list[Vectors] = []
    for spec in specs:
        assert chosen is not None  # `chosen_modality` has refused
        own = encode(base, {chosen: spec}, jobs=jobs, engine=engine, progress=progress).cohort
        vectors.append(pooled_vectors(own, chosen, spec, pool))
    for name, path in given.items():
        read = read_vectors(path, whole, name or None)
        vectors.append(read.vectors)
        if read.strangers:
            notes.append(f"'{read.vectors.name}' has {count(read.strangers, 'row')} of nobody in the cohort")
    return _mined(whole, (vectors[0], vectors[1]), alike, unlike, by_share, both_ways, apart, most, seed, notes)


def _mined(
    cohort: Cohort, pair: tuple[Vectors, Vectors], alike: float | None, unlike: float | None, by_share: bool,
    both_ways: bool, apart: bool, most: int, seed: int, notes: list[str],
) -> ConfusingPairs:  # fmt: skip
    """Mine the pairs of patients who have both vectors."""
    one, two = pair
    if one.name == two.name:
        raise Unsupported(f"both embeddings are called '{one.name}': give each a name of its own, as other=FILE")
    keep = one.has & two.has
    if apart:
        assert cohort.outcome is not None  # asked by `confusing_pairs`
        keep &= cohort.outcome.known
    rows = np.flatnonzero(keep)
    if len(rows) < 2:
        raise Unsupported(f"{count(len(rows), 'patient')} with both vectors: there is no pair to compare")
    if len(rows) < len(cohort):
        notes.append(f"{len(rows):,} of {len(cohort):,} patients have both vectors" + " and a class" * apart)
    labels = _classes(cohort, rows)
    usual = SHARES if by_share else (ALIKE, UNLIKE)
    asked = (usual[0] if alike is None else alike, usual[1] if unlike is None else unlike)
    ways = [(one, two)] + ([(two, one)] if both_ways else [])
    parts, bounds = [], {}
    for first, second in ways:
        a, b = first.values[rows], second.values[rows]
        limits = bounds_by_share(a, b, *asked, seed=seed) if by_share else asked
        found = mine_confusing_pairs(
            a, b, alike=limits[0], unlike=limits[1], most=most, apart=labels if apart else None
        )
        bounds[first.name] = limits
        parts.append(found.assign(confused_by=first.name, told_apart_by=second.name))
    table = pd.concat(parts, ignore_index=True)
    places = {end: table[end].to_numpy() for end in ("first", "second")}
    for end, own in places.items():
        if labels is not None:
            table[f"{end}_class"] = np.asarray(labels, dtype=object)[own]
        table[end] = cohort.ids[rows][own]
    return ConfusingPairs(table, bounds, (one.name, two.name), len(rows), tuple(notes))


def _classes(cohort: Cohort, rows: np.ndarray) -> list[str] | None:
    """The class of each patient, "" where it is not known; None where the target has none."""
    target, outcome = cohort.target, cohort.outcome
    if target is None or outcome is None or not target.has_classes:
        return None
    codes, known = target.fold_labels(outcome), outcome.known
    return [target.names[int(codes[row])] if known[row] else "" for row in rows.tolist()]
