"""Encoder of what a cohort's knowledge says of a patient: the place of the entity that the patient has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.cohort.identifiers import places_of
from chiasm.tokens import PackedTokens, Tokens

KNOWLEDGE = "~knowledge"
"""Name of its tokens among those of the modalities, the last in their order; no modality can have it."""


@storable("encoder-entities")
@dataclass(frozen=True)
class Entities:
    """Encoder of one token `(1,)` for each patient whose entity a model knows: its place among `entities`.

    It reads `Cohort.knowledge` and no modality. Entities are met by their names, so that a later cohort may have other
    triples; whom it does not name, and whose entity is new, is without.

    Args:
        entities: names, sorted, as the triples had them at fit; not from the patients' table.
    """

    entities: tuple[str, ...] = ()

    fitted_on_cohort: ClassVar[bool] = True
    width: ClassVar[int] = 1
    slots: ClassVar[int] = 1

    def fit(self, raw: Any, patients: Sequence[str] = ()) -> Self:
        """Return this encoder unchanged: its names are those of the triples."""
        return self

    def encode(self, raw: Any) -> Tokens:
        """Raise, since there is nothing raw to encode: `packed` reads a cohort."""
        raise ValueError("entities are read from a cohort's knowledge, by `packed`")

    def unmet(self, cohort: Cohort) -> str:
        """Say why nothing is known of anybody in a cohort whose patients might have entities; empty if it is not so."""
        known = cohort.knowledge
        if known is None:
            return "the cohort has no knowledge ([knowledge] in a manifest), of which the model learned: it reads none"
        if (known.named >= 0).any() and not self.packed(cohort).lengths.any():
            return f"the model knows none of the entities in '{known.column}': it reads no knowledge"
        return ""

    def packed(self, cohort: Cohort) -> PackedTokens:
        """Return the tokens of a cohort's patients."""
        place = np.full(len(cohort), -1)
        known = cohort.knowledge
        if known is not None and len(known.entities):
            theirs = places_of(np.array(known.entities, str), np.array(self.entities, str))
            place = np.where(known.named >= 0, theirs[known.named], -1)
        rows = np.flatnonzero(place >= 0)
        parts = list(place[rows].astype(np.float32).reshape(-1, 1, 1))
        return PackedTokens.scatter(parts, rows, len(cohort), self.width, self.slots)
