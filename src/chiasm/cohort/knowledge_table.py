"""Read the knowledge that a manifest names: a table of triples, and the patients' column that names their entities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.knowledge import Knowledge, knowledge_of
from chiasm.cohort.schema import KnowledgeKeys
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError, Problem, error


class Opens(Protocol):
    """What opens the tables of a manifest and collects their problems: the patients' rows, by id, are `positions`."""

    patients: Table
    positions: NDArray[np.int_]
    outcomes: set[str]
    problems: list[Problem]
    findings: list[Problem]

    def table(self, name: str, sheet: str | None, modality: str | None) -> Table | None: ...

    def has_columns(self, table: Table, names: list[str], modality: str | None) -> bool: ...

    def texts_of(self, table: Table, columns: Sequence[str]) -> list[NDArray[np.str_]]: ...


def read_knowledge(reader: Opens, keys: KnowledgeKeys) -> Knowledge | None:
    """Return the knowledge of the patients who are opened; None, with its problems noted, if it cannot be read."""
    table, columns = reader.table(keys.triples, keys.sheet, None), [keys.head, keys.relation, keys.tail]
    here = reader.has_columns(reader.patients, [keys.column], None)
    if table is None or not reader.has_columns(table, columns, None) or not here:
        return None
    if keys.column in reader.outcomes:
        what, fix = f"column '{keys.column}' is the target's", "name a column that is known before the outcome"
        reader.problems.append(error(what, fix, path=reader.patients.name, finding="target-as-input"))
        return None
    try:
        cells = reader.texts_of(reader.patients, [keys.column])[0][reader.positions]
        found, problems = knowledge_of(reader.texts_of(table, columns), keys.column, cells, table.name)
    except CohortError as fault:
        reader.problems += fault.problems
        return None
    reader.findings += problems
    return found
