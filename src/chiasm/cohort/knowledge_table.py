"""Read the knowledge that a manifest names: a table of triples, and the patients' column that names their entities."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from chiasm.cohort.knowledge import Knowledge, knowledge_of
from chiasm.cohort.schema import KnowledgeKeys, PatientsKeys
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError, Problem, error


class Opens(Protocol):
    """What opens the tables of a manifest and collects their problems: the patients' rows, by id, are `positions`."""

    patients: Table
    positions: NDArray[np.int_]
    everyone: NDArray[np.str_]
    outcomes: set[str]
    problems: list[Problem]
    findings: list[Problem]

    def table(self, name: str, sheet: str | None, modality: str | None) -> Table | None: ...

    def has_columns(self, table: Table, names: list[str], modality: str | None) -> bool: ...

    def texts_of(self, table: Table, columns: Sequence[str]) -> list[NDArray[np.str_]]: ...


def read_knowledge(reader: Opens, keys: KnowledgeKeys, patients: PatientsKeys) -> Knowledge | None:
    """Return the knowledge of the patients who are opened; None, with its problems noted, if it cannot be read."""
    if keys.triples is None or keys.column is None:
        return None
    if wrong := _of_people(keys.triples, keys.column, keys.sheet, patients, reader.patients):
        reader.problems.append(wrong)
        return None
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
        found, problems = knowledge_of(reader.texts_of(table, columns), keys.column, cells, table.name, reader.everyone)
    except CohortError as fault:
        reader.problems += fault.problems
        return None
    reader.findings += problems
    return found


def _of_people(triples: str, column: str, sheet: str | None, patients: PatientsKeys, table: Table) -> Problem | None:
    """Say that the triples, or the column, would be of people and not of things they have; None if they are not."""
    if is_of_patients(triples, sheet, patients):
        what, fix = "the triples are the patients' own table", "name a table of what is known of things, as of drugs"
        return error(what, fix, path=table.name, finding="patients-as-triples")
    return tells_people_apart(column, (patients.id, table.key(patients.id), patients.group, patients.site), table.name)


def is_of_patients(name: str, sheet: str | None, patients: PatientsKeys) -> bool:
    """True if a table is the patients' own, and not another sheet of their workbook."""
    same = os.path.normpath(name) == os.path.normpath(patients.table)
    return same and (sheet is None or sheet == patients.sheet)


def tells_people_apart(column: str, of_people: Sequence[str | None], path: str) -> Problem | None:
    """Say that the column of the knowledge is one of these, of the identifiers, groups or sites; None if it is not."""
    if column not in of_people:
        return None
    what = f"column '{column}' holds identifiers, groups or sites, which a model would learn and hold"
    return error(what, "name a column of things, as of drugs", path=path, finding="people-as-things")
