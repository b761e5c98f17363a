"""What is known of things that patients have, as triples (head, relation, tail): a drug's class, what it acts on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.identifiers import places_of
from chiasm.errors import CohortError, Problem, count, error, first_rows, warning
from chiasm.limits import ENTITIES, ENTITY_BYTES, ENTITY_PARTS, TRIPLES

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
    def content(self) -> tuple[NDArray[Any], ...]:
        """What enters the fingerprint of a cohort: names of entities and relations, triples, and who has which."""
        return np.array(self.entities, str), np.array(self.relations, str), self.triples, self.named

    @property
    def counts(self) -> dict[str, int | str]:
        """How many triples, entities and relations there are, the column, and how many patients it names one for."""
        sizes = {"triples": len(self.triples), "entities": len(self.entities), "relations": len(self.relations)}
        return {**sizes, "column": self.column, "patients": int((self.named >= 0).sum())}

    @property
    def digest(self) -> str:
        """SHA-256 of the triples, in hexadecimal digits; the patients have no part in it."""
        found = hashlib.sha256(np.ascontiguousarray(self.triples, "<i8").tobytes())
        for name in (*self.entities, "", *self.relations):
            text = name.encode("utf-8", "surrogatepass")
            found.update(len(text).to_bytes(8, "little") + text)
        return found.hexdigest()


def knowledge_of(
    columns: Sequence[Texts], column: str, cells: Texts, path: str | None, everyone: Texts
) -> tuple[Knowledge, list[Problem]]:
    """Build knowledge from a table's head, relation and tail, with what is to be said of it.

    Args:
        columns: heads, relations and tails, `(n,)` each.
        column, cells: the patients' column that names an entity, and what stands in it, `(B,)`.
        path: the table of the triples, for the messages.
        everyone: identifiers of all patients, held back or not, none of whom may be an entity.

    Raises:
        CohortError: there is no whole triple, there are more triples or entities than the limit, or an entity is a
            patient.
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
    if too_many := _unsaved(found.entities):
        fix = "keep the triples that the cohort needs: a model holds the names of all entities"
        raise CohortError([error(too_many, fix, path=path, finding="too-many-entities")])
    if people := int((places_of(np.array(found.entities, str), everyone.astype(str)) >= 0).sum()):
        are = "is an identifier" if people == 1 else "are identifiers"
        what = f"{people:,} of the {len(found.entities):,} entities {are} of patients"
        fix = "triples say what is known of things: leave people out, and write things otherwise than patients"
        raise CohortError([error(what, fix, path=path, finding="patients-as-entities")])
    problems = []
    if len(partly):
        what = f"{count(len(partly), 'triple')} with an empty cell ({first_rows(partly.tolist())})"
        left = "it is left out" if len(partly) == 1 else "they are left out"
        problems.append(warning(what, left, path=path, row=int(partly[0]), finding="partial-triples"))
    unmet = cells[(cells != "") & (found.named < 0)].astype(str)
    alike = {_plainly(name) for name in found.entities} if len(unmet) else set()
    nearly = sum(_plainly(cell) in alike for cell in unmet.tolist())
    but = f", {nearly:,} of which would but for upper and lower case or blanks" if nearly else ""
    if not (found.named >= 0).any():
        what = f"the triples name no patient's '{column}'{but.replace('of which', 'of whom')}"
        fix = "write the names in both alike: a recipe that needs them refuses the cohort"
        problems.append(warning(what, fix, path=path, finding="knowledge-of-nobody"))
    elif len(unmet):
        what = (
            f"{count(len(unmet), 'filled cell')} of '{column}' {'is' if len(unmet) == 1 else 'are'} in no triple{but}"
        )
        fix = "write the names in both alike, or add triples: nothing is known of these patients"
        problems.append(warning(what, fix, path=path, finding="unmet-names"))
    return found, problems


def _plainly(name: str) -> str:
    """A name without blanks, in lower case."""
    return "".join(name.casefold().split())


def _unsaved(entities: Sequence[str]) -> str:
    """Why a model could not be saved with these names; empty if it can."""
    if len(entities) > ENTITIES:
        return f"the triples name {len(entities):,} entities, over the limit of {ENTITIES:,}"
    if sum(len(json.dumps(name)) for name in entities) > ENTITY_BYTES:
        return f"the names of the entities take over {ENTITY_BYTES >> 20} MB"
    if sum(name.count(mark) for name in entities for mark in "[]{},") > ENTITY_PARTS:
        return f"the names of the entities hold over {ENTITY_PARTS:,} brackets and commas"
    return ""
