"""What is known of things that patients have, as triples (head, relation, tail): a drug's class, what it acts on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.identifiers import places_of
from chiasm.errors import CohortError, Problem, count, error, first_rows, warning
from chiasm.limits import TRIPLES

Texts = NDArray[np.str_]


@dataclass(frozen=True, eq=False)
class Knowledge:
    """Triples, and which of their entities each patient has.

    Args:
        entities: E names, sorted, each the head or the tail of a triple.
        relations: R names, sorted.
        triples: `(n, 3)` int64 places of head, relation and tail, each triple once, sorted.
        column: the column of the patients that names an entity.
        named: `(B,)` int64 place of each patient's entity, -1 where the column names none.
    """

    entities: tuple[str, ...]
    relations: tuple[str, ...]
    triples: NDArray[np.int64]
    column: str
    named: NDArray[np.int64]

    @classmethod
    def of(cls, heads: Texts, relations: Texts, tails: Texts, column: str, cells: Texts) -> Self:
        """Build it from the columns of a table of triples and the patients' cells `(B,)`; text is compared as it is.

        A row with an empty cell is left out.
        """
        whole = (heads != "") & (relations != "") & (tails != "")
        parts = [own[whole].astype(str) for own in (heads, relations, tails)]
        entities, kinds = np.unique(np.concatenate([parts[0], parts[2]])), np.unique(parts[1])
        placed = [places_of(parts[0], entities), places_of(parts[1], kinds), places_of(parts[2], entities)]
        triples = np.unique(np.stack(placed, axis=1).astype(np.int64), axis=0)
        named = places_of(cells.astype(str), entities).astype(np.int64)
        return cls(tuple(entities.tolist()), tuple(kinds.tolist()), triples, column, named)

    def take(self, rows: NDArray[np.int_]) -> Self:
        """Return the same triples for the patients `rows`."""
        return replace(self, named=self.named[rows])

    @property
    def content(self) -> tuple[Any, ...]:
        """What enters the fingerprint of a cohort."""
        return self.entities, self.relations, self.triples.tolist(), self.named.tolist()


def knowledge_of(
    columns: Sequence[Texts], column: str, cells: Texts, path: str | None
) -> tuple[Knowledge, list[Problem]]:
    """Build knowledge from a table's head, relation and tail, with what is to be said of it.

    Raises:
        CohortError: there is no whole triple, or there are more than the limit.
    """
    heads, relations, tails = columns
    if len(heads) > TRIPLES:
        what = f"there are {len(heads):,} triples, over the limit of {TRIPLES:,}"
        raise CohortError([error(what, "keep what the cohort needs", path=path, finding="too-many-triples")])
    partly = np.flatnonzero((heads == "") | (relations == "") | (tails == "")) + 2
    found = Knowledge.of(heads, relations, tails, column, cells)
    if not len(found.triples):
        what, fix = "there is no whole triple", "a row is a head, a relation and a tail"
        raise CohortError([error(what, fix, path=path, finding="no-triples")])
    problems = []
    if len(partly):
        what = f"{count(len(partly), 'triple')} with an empty cell ({first_rows(partly.tolist())})"
        problems.append(warning(what, "they are left out", path=path, row=int(partly[0]), finding="partial-triples"))
    if not (found.named >= 0).any():
        what = f"the triples name no patient's '{column}'"
        fix = "write the names in both alike: a recipe that needs them refuses the cohort"
        problems.append(warning(what, fix, path=path, finding="knowledge-of-nobody"))
    return found, problems
