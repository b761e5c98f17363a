"""Leak checks of event records: events after the time of prediction, and records that reveal the outcome."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.cohort.leaks.records import Record, knowing_record
from chiasm.errors import count, error, first_rows, warning
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet
from chiasm.readers.reading import Events
from chiasm.readers.record.conventions import BIRTH, DEATH

MOST_RECORDS = 20_000
CUT = "cut the record at the moment of prediction"


def record_leaks(cohort: Cohort, modality: str, already: Mapping[int, Record] | None = None) -> list[Problem]:
    """Find leaks of the outcome in a modality's events, and implausible index times.

    With `index`: events after it are a leak; an index after a patient's death, or index times that all lie further
    after the last events than the longest record spans, are an error. Always: records whose length predicts the
    outcome, and codes that do (`knowing_record`). Codes are not quoted, only the first rows that hold them. Of more
    than 20,000 records, 20,000 are sampled.

    Args:
        already: the records of all items that can be read, by their numbers, where they were read; None reads them.
    """
    if cohort.kinds[modality] != "events" or modality in cohort.encodings:
        return []
    items, rows = cohort.raw(modality), cohort.rows_of(modality)
    if not isinstance(items, Items):
        return []
    chosen = np.arange(len(items))
    if len(items) > MOST_RECORDS:
        chosen = np.sort(np.random.default_rng(0).choice(len(items), MOST_RECORDS, replace=False))
    read = (
        already if already is not None else {int(i): own for i in chosen if (own := _read(items, int(i))) is not None}
    )
    if not read:
        return []
    positions = np.array(list(read))
    records = list(read.values())
    found = _index_problems(cohort, modality, items, rows[positions], positions, records)
    if cohort.target is None or cohort.outcome is None:
        return found
    known = cohort.outcome.known[rows[positions]]
    told = [record for record, is_known in zip(records, known, strict=True) if is_known]
    if told:
        lengths, codes = knowing_record(told, cohort.target, cohort.outcome.take(rows[positions[known]]))
        found += _knowing_problems(modality, items, positions, lengths, codes)
    return found


def _read(items: Items, number: int) -> Record | None:
    try:
        with quiet():
            events = reader_for("events").read(items[number])
    except (ReadError, Unsupported):
        return None  # reported by the check of the sources
    return record_of(events)


def record_of(events: Events) -> Record:
    """Return what the checks of a record look at."""
    return Record(events.hours, events.codes, events.values)


def _index_problems(
    cohort: Cohort,
    modality: str,
    items: Items,
    rows: NDArray[np.int_],
    positions: NDArray[np.int_],
    records: list[Record],
) -> list[Problem]:
    if modality not in cohort.index_hours:
        return []
    index = cohort.index_hours[modality][rows]
    path, file_rows = items.template, items.file_rows[positions]
    found = []
    if np.isnan(index).any():
        where = np.sort(cohort.file_rows[rows[np.isnan(index)]]).tolist()
        what = f"{count(len(where), 'patient')} without an index time ({first_rows(where)})"
        found.append(
            warning(
                what, "fill in the column", path=cohort.path, row=where[0], modality=modality, finding="without-index"
            )
        )
    dead = np.array([own.hours[own.codes == DEATH].min() if (own.codes == DEATH).any() else np.inf for own in records])
    late = dead < index
    last = np.array([own.hours[-1] for own in records])
    span = max(float(own.hours[-1] - own.hours[own.codes != BIRTH].min(initial=own.hours[-1])) for own in records)
    given = ~np.isnan(index)
    if late.any():
        where = np.sort(file_rows[late]).tolist()
        what = f"the index time lies after the death of {count(len(where), 'patient')} ({first_rows(where)})"
        fix = "correct it: nobody is predicted after the outcome"
        found.append(error(what, fix, path=path, row=where[0], modality=modality, finding="index-after-events"))
    elif given.any() and float((index - last)[given].min()) > max(span, 1.0):
        what = "the index time lies after the events of every patient, further than all records span"
        fix = "write it in the hours of the events, counted from where they are"
        found.append(error(what, fix, path=path, modality=modality, finding="index-after-events"))
    after = np.array([int((own.hours > moment).sum()) for own, moment in zip(records, index, strict=True)])
    if after.any():
        where = np.sort(file_rows[after > 0]).tolist()
        what = f"{count(len(where), 'patient')} with events after the index time ({first_rows(where)})"
        found.append(
            warning(what, CUT, path=path, row=where[0], modality=modality, finding="events-after-index", leak=True)
        )
    return found


def _knowing_problems(
    modality: str, items: Items, positions: NDArray[np.int_], lengths: list[str], codes: list[str]
) -> list[Problem]:
    found = []
    if lengths:
        what = f"{' and '.join(lengths)} of a record alone predict the target almost perfectly"
        found.append(
            warning(
                what, CUT, path=items.template, modality=modality, finding="record-length-follows-outcome", leak=True
            )
        )
    if codes:
        where = sorted({_first_row(items, positions, code) for code in codes})
        what = f"{count(len(codes), 'event code')} that almost only patients with the outcome have, or that order it"
        what = f"{what} (first in {first_rows(where)})"
        fix = f"leave out what is recorded only after the outcome, or {CUT}"
        found.append(
            warning(what, fix, path=items.template, row=where[0], modality=modality, finding="outcome-code", leak=True)
        )
    return found


def _first_row(items: Items, positions: NDArray[np.int_], code: str) -> int:
    """Return the first row of an events table that holds a code, or the row of the first patient whose file does."""
    for number in positions.tolist():
        item = items[number]
        if isinstance(item, pd.DataFrame):
            at = np.flatnonzero(item["code"].astype(str).str.strip() == code)
            if len(at):
                return int(item.index[at[0]]) + 2
        else:
            own = _read(items, number)
            if own is not None and (own.codes == code).any():
                return int(items.file_rows[number])
    return 2
