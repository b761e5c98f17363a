"""Find what a cohort's knowledge tells of the outcome: the entity that a patient has, and what triples join with it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.knowledge import Knowledge
from chiasm.cohort.leaks.columns import leaking_names

MOST_RELATIONS = 100  # those of the most triples are looked at


def leaking_knowledge(cohort: Cohort) -> list[str]:
    """List what alone orders the outcome as a column of words would: the column that names an entity, or a relation.

    A relation counts by the first entity that it joins with the patient's, as its tail or as its head; so a triple that
    tells the outcome of an entity is found too where each patient has another.
    """
    known = cohort.knowledge
    if known is None or cohort.outcome is None or cohort.target is None:
        return []
    rows = np.flatnonzero(cohort.outcome.known & (cohort.present.any(1)))
    if not len(rows):
        return []
    columns = {known.column: known.named[rows]}
    often = np.argsort(-np.bincount(known.triples[:, 1], minlength=len(known.relations)), kind="stable")
    for relation in often[:MOST_RELATIONS].tolist():
        for here, there in ((0, 2), (2, 0)):
            columns[f"{known.column}: {known.relations[relation]}{'' if here == 0 else ' of'}"] = _joined(
                known, relation, here, there
            )[known.named[rows]]
    names = np.array([*known.entities, None], dtype=object)
    frame = pd.DataFrame({name: names[places] for name, places in columns.items()}, dtype=object)
    return leaking_names(frame, cohort.target, cohort.outcome.take(rows))


def _joined(known: Knowledge, relation: int, here: int, there: int) -> NDArray[np.int64]:
    """`(E + 1,)` first entity that a relation joins with each, -1 where there is none; the last is that of nobody."""
    own = known.triples[known.triples[:, 1] == relation]
    found = np.full(len(known.entities) + 1, -1, np.int64)
    found[own[::-1, here]] = own[::-1, there]
    return found
