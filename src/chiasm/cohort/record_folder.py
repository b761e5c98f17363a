"""Tell whose records a folder of tables holds, and read them as events."""

from __future__ import annotations

from pathlib import Path

from chiasm.cohort import mimic, omop
from chiasm.cohort.annotated_file import Annotated
from chiasm.cohort.grid import GridError
from chiasm.cohort.record_tables import name_of, tables_in

MARKS = (omop.MARKS, mimic.MARKS)


def holds_records(path: Path) -> bool:
    """Tell whether a path is a folder of records, and not of MEDS, whose shards lie in `data`."""
    if not path.is_dir():
        return False
    inner = path / "data"
    names = {name_of(own) for own in inner.iterdir()} if inner.is_dir() else set()
    return not inner.is_dir() or any(set(marks) <= names for marks in MARKS)


def read_records(folder: Path) -> Annotated:
    """Read the tables of OMOP or MIMIC as rows of MEDS: `subject_id`, `time`, `code`, `numeric_value`.

    Raises:
        GridError: a folder of neither, a damaged table, or one without a column that it must have.
        LimitError: over a limit.
    """
    tables = tables_in(folder, {*omop.READ, *mimic.READ})
    if set(omop.MARKS) <= set(tables):
        return omop.read_omop(tables)
    if set(mimic.MARKS) <= set(tables):
        return mimic.read_mimic(tables)
    fix = "name a file, or the folder of a MEDS dataset, of OMOP (person ...) or of MIMIC (patients, admissions ...)"
    raise GridError("the folder holds no data/*.parquet and no tables of records", fix)
