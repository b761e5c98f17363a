"""Of which images the weights of a network were learned, kept as marks by which a cohort's own are found."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from chiasm.cohort import Cohort
from chiasm.encoders.seen import SeenItems
from chiasm.errors import Problem, warning

FOUND, UNTOLD = "weights-saw-cohort", "unknown-training"


def image_items(cohort: Cohort, modalities: Iterable[str]) -> Iterator[str]:
    """Yield of each stored image of these modalities what is marked: a hash of its shape, spacing and pixels."""
    for name in modalities:
        for rows in cohort.raw(name):
            yield hashlib.sha256(np.ascontiguousarray(rows, "<f4").tobytes()).hexdigest()


def marked(
    cohort: Cohort, modalities: Iterable[str], key: str, before: Sequence[SeenItems] = ()
) -> tuple[SeenItems, ...]:
    """Return marks of the images of a training set, behind those of what its weights came from.

    Args:
        key: 32 hexadecimal digits that no other model has.
    """
    return (*before, SeenItems.of(image_items(cohort, modalities), key))


def weights_findings(cohort: Cohort, modalities: Sequence[str], place: str, seen: Sequence[SeenItems]) -> list[Problem]:
    """Tell whether weights were learned from images of this cohort, or that this is not known.

    Args:
        place: what `weights=` names, of which the last part is told.
        seen: marks of what they were learned from; empty: they keep none.
    """
    whose = f"weights='{Path(place).name[:80]}'"
    if not seen:
        what = f"{whose} does not tell of which images it was learned"
        fix = "make sure that no patient of this cohort, or of one that it is tried on, was among them"
        return [warning(what, fix, path=cohort.path, finding=UNTOLD)]
    found = []
    for name in modalities:
        items = list(image_items(cohort, [name]))
        own = max((marks.overlap(items) for marks in seen), key=lambda overlap: overlap.seen)
        if own.is_beyond_chance:
            what = (
                f"{whose} was learned from about {own.seen:,.0f} of the {own.items:,} different images of this cohort"
            )
            fix = (
                "name weights of other patients, or leave these patients out: who is tested was seen, with the outcome"
            )
            found.append(warning(what, fix, path=cohort.path, modality=name, finding=FOUND, leak=True))
    return found
