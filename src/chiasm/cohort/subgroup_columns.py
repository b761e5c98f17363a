"""Read the subgroups that a manifest declares: columns of the patients' table, and where numbers are cut."""

from __future__ import annotations

from chiasm.cohort.knowledge_table import Opens
from chiasm.cohort.schema import PatientsKeys
from chiasm.cohort.subgroups import Subgroup, subgroup_of, unfit_edges


def read_subgroups(reader: Opens, keys: PatientsKeys) -> tuple[Subgroup, ...]:
    """Return the declared subgroups of the patients who are opened; a column that cannot divide them is noted."""
    table = reader.patients
    wrong = unfit_edges(keys.subgroups, keys.edges, sorted(reader.outcomes), table.name)
    reader.problems += wrong
    if wrong or not reader.has_columns(table, keys.subgroups, None):
        return ()
    found = []
    for column in keys.subgroups:
        cells = table.frame([column])[column].iloc[reader.positions]
        own, problems = subgroup_of(column, cells, keys.edges.get(column, ()), table.name)
        found.append(own)
        reader.findings += problems
    return tuple(found)
