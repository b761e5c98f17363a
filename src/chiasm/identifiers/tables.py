"""Fields of the tables of a cohort: every column of each file that a manifest names, those too that no model reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]
from numpy.typing import NDArray

from chiasm.cohort import Cohort, CohortError
from chiasm.cohort.cells import as_cells
from chiasm.cohort.dialect import Form
from chiasm.cohort.kinds import CELL, has_form
from chiasm.cohort.places import inside, manifest_file
from chiasm.cohort.schema import ManifestKeys, read_keys, read_toml
from chiasm.cohort.sources import ColumnSource
from chiasm.cohort.tables import Table
from chiasm.identifiers.columns import Field
from chiasm.identifiers.field_names import announced, years_of_age
from chiasm.identifiers.names import labelled
from chiasm.identifiers.patterns import found_in

ROWS = 10_000  # of a column that are looked at, evenly spread
LONG = 40  # mean length of a free text
COLUMNS_AT_ONCE = 32
LONGEST_NAME = 60  # of a column that is shown
DIGITS = 7  # of a number that may be a code or a day


@dataclass
class NamedTable:
    """A table, its name, whose it is, what of it is read, what identifies patients, and what is read as texts."""

    table: Table | pd.DataFrame
    path: str | None
    modality: str | None
    read: set[str] = field(default_factory=set)
    own: set[str] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    left_out: set[str] = field(default_factory=set)  # molecules and sequences


def manifest_keys(cohort: Cohort) -> tuple[ManifestKeys | None, Path | None]:
    """Return the keys of a cohort's manifest and its folder; None for both of a cohort of frames."""
    if not cohort.manifest:
        return None, None
    file = manifest_file(cohort.manifest)
    content, _ = read_toml(file)
    keys = None if content is None else read_keys(content, file.name)[0]
    return keys, file.parent.resolve()


def tables_of(cohort: Cohort) -> list[NamedTable]:
    """Return every table of a cohort once: those that its manifest names, or its frames."""
    keys, folder = manifest_keys(cohort)
    if keys is None or folder is None:
        return _frames(cohort)
    found: dict[tuple[str, str | None], NamedTable] = {}
    forms = {(table, form.sheet): form for _, table, form in keys.forms()}
    patients = (keys.patients.table, keys.patients.sheet)

    def named(name: str, sheet: str | None, modality: str | None, table: Table | None = None) -> NamedTable | None:
        if (name, sheet) not in found:
            try:
                opened = table or _opened(folder, name, forms.get((name, sheet)))
            except CohortError:
                return None  # the check says why
            found[name, sheet] = NamedTable(opened, name, modality, own={opened.key(keys.patients.id)})
        return found[name, sheet]

    whole = named(*patients, None)
    if whole is not None and isinstance(whole.table, Table):
        if cohort.sealed is not None:  # nothing is taken from the rows under the seal
            whole.table.hide(np.setdiff1d(np.arange(len(whole.table)), cohort.file_rows - 2))
        whole.own |= {own for own in (keys.patients.group,) if own}
        whole.read |= set(cohort.target.columns) if cohort.target is not None else set()
    for name, own in keys.modalities.items():
        source = cohort.sources.get(name)
        if own.path is not None or not isinstance(source, ColumnSource):
            continue
        place = (own.table, own.sheet) if own.table is not None else patients
        held = named(*place, name if own.table is not None else None, source.table if own.table is not None else None)
        if held is None:
            continue
        held.read |= set(source.columns)
        held.own |= {own.on} if own.on else set()
        if has_form(cohort.kinds[name], CELL):
            (held.texts if cohort.kinds[name] == "text" else held.left_out).update(source.columns)
    if keys.folds is not None:
        named(keys.folds.table, keys.folds.sheet, None)
    if keys.knowledge is not None:
        for table in filter(None, (keys.knowledge.triples, keys.knowledge.prompts, keys.knowledge.lineages)):
            named(table, keys.knowledge.sheet if table == keys.knowledge.named else None, None)
    return list(found.values())


def _opened(folder: Path, name: str, form: Form | None) -> Table:
    table = Table(inside(folder, name), name, form)
    table.inspect()
    return table


def _frames(cohort: Cohort) -> list[NamedTable]:
    found = []
    for name, source in cohort.sources.items():
        if isinstance(source, ColumnSource) and source.frame_in_memory is not None:
            own = NamedTable(source.frame_in_memory, None, name, read=set(source.columns))
            if has_form(cohort.kinds[name], CELL):
                (own.texts if cohort.kinds[name] == "text" else own.left_out).update(source.columns)
            found.append(own)
    return found


def fields_of(named: NamedTable) -> Iterator[tuple[Field, bool, int]]:
    """Yield the fields of a table with a value, whether each is read, and how many of its rows were looked at.

    Of columns of numbers those alone whose name announces something, or whose numbers have seven digits and more.
    """
    columns = list(named.table.columns)
    places = {name: at for at, name in enumerate(columns)}
    try:
        types = _types(named.table)
        wanted = [name for name in columns if name not in named.left_out and _may_hold(named.table, name, types)]
        for start in range(0, len(wanted), COLUMNS_AT_ONCE):
            some = wanted[start : start + COLUMNS_AT_ONCE]
            held = named.table.cells_of(some) if isinstance(named.table, Table) else {
                name: as_cells(named.table[name]) for name in some
            }  # fmt: skip
            for name, cells in held.items():
                yield _field(named, name, cells, places[name])
    except CohortError:
        return  # a table that cannot be read is a problem of the check


def _field(named: NamedTable, name: str, cells: NDArray[np.object_], at: int) -> tuple[Field, bool, int]:
    rows = spread(len(cells), ROWS)
    filled = [int(row) for row in rows if str(cells[row]).strip()]
    values = [str(cells[row]) for row in filled]
    place = "text" if name in named.texts or (values and np.mean([len(value) for value in values]) > LONG) else "column"
    own = Field(
        place, name, named.path, named.modality, own=name in named.own, values=values, rows=[row + 2 for row in filled]
    )
    own.shown = shown(str(name), at)
    return own, name in named.read, len(rows)


def shown(name: str, at: int) -> str:
    """Return the name of a column, or its number where the name may be a value, as in a table without a header."""
    is_value = len(name) > LONGEST_NAME or labelled(name) or any(True for _ in found_in(name))
    return f"column {at + 1}" if is_value else name


def spread(number: int, most: int) -> Sequence[int]:
    """Return at most so many row numbers, evenly spread from the first to the last."""
    return range(number) if number <= most else np.unique(np.linspace(0, number - 1, most).astype(int)).tolist()


def _types(table: Table | pd.DataFrame) -> dict[str, str]:
    """Return the kind of number of each column that holds numbers, by its sign in NumPy, without reading Parquet."""
    if isinstance(table, Table) and table.is_parquet:
        schema = pq.read_schema(table.shards[0])
        return {own.name: sign for own in schema for sign, is_one in ARROW if is_one(own.type)}
    frame = table.frame() if isinstance(table, Table) else table
    return {str(name): kind.kind for name, kind in frame.dtypes.items() if kind.kind in "iufb"}


ARROW = (
    ("i", pa.types.is_integer),
    ("f", pa.types.is_floating),
    ("f", pa.types.is_decimal),
    ("b", pa.types.is_boolean),
)
WIDE = 1000  # columns of numbers of a Parquet file beyond which they are measurements, and are not read


def _may_hold(table: Table | pd.DataFrame, name: str, types: Mapping[str, str]) -> bool:
    """Tell whether a column is text, or numbers that may be codes, days or ages."""
    if str(name) not in types:
        return True
    if types[name] == "b":
        return False
    if isinstance(table, Table) and table.is_parquet and (types[name] == "f" or len(types) > WIDE):
        return len(types) <= WIDE and (announced(name) is not None or years_of_age(name) is not None)
    if announced(name) is not None or years_of_age(name) is not None:
        return True
    return _is_long(table.frame([name])[name] if isinstance(table, Table) else table[name])


def _is_long(values: pd.Series) -> bool:
    """Tell numbers that are whole and have seven digits and more, as codes and days written in a row do."""
    some = values.dropna().to_numpy()
    if not len(some) or some.dtype.kind not in "iuf":
        return False
    some = some.astype(np.float64)
    return bool(
        np.isfinite(some).all() and (some == np.floor(some)).all() and np.median(np.abs(some)) >= 10 ** (DIGITS - 1)
    )
