"""Columns of the patients' table as words, for questions that no model asks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from chiasm.cohort.cohort import Cohort
from chiasm.cohort.places import inside, manifest_file
from chiasm.cohort.schema import ManifestKeys, read_keys, read_toml
from chiasm.cohort.tables import Table
from chiasm.errors import CohortError, Unsupported, error, nearest


def identifier_name(cohort: Cohort) -> str:
    """Return the name of the column of identifiers, by which tables are joined; `id` of a cohort of frames."""
    return _keys(cohort).patients.id if cohort.manifest else "id"


def given_folds(cohort: Cohort) -> str | None:
    """Return the table of folds that the manifest names, None if it names none."""
    keys = _keys(cohort).folds if cohort.manifest else None
    return None if keys is None else keys.table


def patient_words(cohort: Cohort, columns: Sequence[str]) -> pd.DataFrame:
    """Return columns of the patients' table as text, one row a patient, "" where a cell is empty.

    Raises:
        Unsupported: the cohort was made of frames, which hold their columns themselves.
        CohortError: the table has no such column.
    """
    if not cohort.manifest:
        raise Unsupported(
            "a cohort of frames does not keep the columns of its patients: open a manifest, or give the frame itself "
            "to chiasm.compositional_split"
        )
    keys = _keys(cohort).patients
    folder = manifest_file(cohort.manifest).parent.resolve()
    table = Table(inside(folder, keys.table), keys.table, keys.form)
    table.inspect()
    for name in columns:
        if name not in table.columns:
            like = nearest(name, table.columns)
            fix = f"did you mean '{like}'?" if like else f"its columns are {', '.join(map(str, table.columns[:20]))}"
            raise CohortError([error(f"no such column '{name}'", fix, path=table.name, finding="missing-column")])
    texts = table.texts_of(list(columns))
    rows = cohort.file_rows - 2
    return pd.DataFrame({name: np.char.strip(texts[name][rows].astype(str)) for name in columns}, index=cohort.ids)


def _keys(cohort: Cohort) -> ManifestKeys:
    file = manifest_file(cohort.manifest)
    content, problems = read_toml(file)
    keys, more = read_keys(content, file.name) if content is not None else (None, problems)
    if keys is None:
        raise CohortError([*problems, *more])
    return keys
