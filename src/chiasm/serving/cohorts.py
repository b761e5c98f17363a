"""Checked patients as a cohort, encoded as at the fit in a private folder that is gone afterwards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort, CohortError, cohort_from_frames
from chiasm.cohort.kinds import CELL, EVENTS
from chiasm.encoding.preparing import encode_for
from chiasm.errors import Problem
from chiasm.fitting.model import FittedModel
from chiasm.serving.columns import Cells
from chiasm.serving.faults import Fault
from chiasm.serving.patients import OPTIONS, Patient, Upload
from chiasm.serving.reads import Reads, ReadsColumns
from chiasm.store.token_store import TokenStore
from chiasm.targets import Choice

THERE = "there"
"""The only column of a table of which a model reads nothing but that a patient has it."""


def cohort_of(patients: Sequence[Patient], reads: Mapping[str, Reads], sources: Mapping[str, Path]) -> Cohort:
    """Build the cohort of some patients, in their order; without one, a modality of the model has no column here.

    Args:
        sources: where the file, the record or the folder of each upload lies.
    """
    ids = [f"{row:06d}" for row in range(len(patients))]
    blocks: dict[str, Any] = {}
    for name, own in reads.items():
        rows = [row for row, patient in enumerate(patients) if name in patient.given]
        if rows:
            given = [patients[row].given[name] for row in rows]
            index = pd.Index([ids[row] for row in rows], dtype=object)
            blocks[name] = _block(given, index, own, sources)
    words = {name: tuple(own.levels) for name, own in reads.items() if name in blocks and isinstance(own, ReadsColumns)}
    kinds = {name: reads[name].kind for name in blocks}
    people, target = pd.DataFrame(index=pd.Index(ids, dtype=object)), None
    if any(patient.options for patient in patients):
        people[OPTIONS] = [json.dumps(patient.options) for patient in patients]
        target = Choice(options=OPTIONS)
    levels = {k: v for k, v in words.items() if v}
    return cohort_from_frames(people, blocks, target, kinds=kinds, categories=levels, name="served")


def _block(given: list[Any], index: pd.Index, own: Reads, sources: Mapping[str, Path]) -> Any:
    if isinstance(own, ReadsColumns):
        return _frame(given, index, own)
    if own.form == CELL:
        return pd.DataFrame({"value": given}, index=index, dtype=object)
    if own.form == EVENTS:
        rows = [(key, record) for key, records in zip(index, given, strict=True) for record in records]
        frame = pd.DataFrame([record for _, record in rows], index=pd.Index([key for key, _ in rows], dtype=object))
        return frame.astype({"hours": np.float64, "numeric_value": np.float64})
    return {
        key: sources[value.name] if isinstance(value, Upload) else value
        for key, value in zip(index, given, strict=True)
    }


def _frame(given: list[Cells], index: pd.Index, own: ReadsColumns) -> pd.DataFrame:
    if not own.columns:
        return pd.DataFrame({THERE: 1.0}, index=index)
    numbers = pd.DataFrame(np.stack([cells.numbers for cells in given]), index=index, columns=list(own.numbers))
    if not own.levels:
        return numbers
    words = {name: [cells.words[name] for cells in given] for name in own.levels}
    return pd.concat([numbers, pd.DataFrame(words, index=index, dtype=object)], axis=1)


def encoded(
    model: FittedModel, cohort: Cohort, patients: Sequence[Patient], folder: Path
) -> tuple[Cohort, dict[int, list[Fault]]]:
    """Encode what the model reads, and find whose sources cannot be read: none is silently taken as absent.

    Args:
        folder: where tokens are kept while the patients are predicted; nothing of them stands anywhere else.

    Returns:
        The encoded cohort, and the faults by row. Where there are any, nobody of the cohort is to be predicted.
    """
    try:
        found = encode_for(model, cohort, store=TokenStore(folder / "tokens"))
    except CohortError as error:
        broken = {problem.modality or "": problem for problem in error.problems}
        return cohort, _unread(patients, {name: range(len(patients)) for name in broken}, error.problems)
    lost = {}
    for name in found.cohort.modalities:
        kept = set(found.cohort.rows_of(name).tolist())
        if rows := [row for row in cohort.rows_of(name).tolist() if row not in kept]:
            lost[name] = rows
    return found.cohort, _unread(patients, lost, found.problems) if lost else {}


def _unread(
    patients: Sequence[Patient], rows_of: Mapping[str, Sequence[int]], problems: Sequence[Problem]
) -> dict[int, list[Fault]]:
    faults: dict[int, list[Fault]] = {}
    for name, rows in rows_of.items():
        said = [problem for problem in problems if problem.modality == name]
        what = f"{said[0].what.partition(' in ')[0]}; {said[0].fix}" if len(said) == 1 else "it cannot be read"
        what = what.removesuffix(": taken as absent")
        for row in rows:
            if name in patients[row].given:
                faults.setdefault(row, []).append(Fault(name, "unreadable", what.replace(": taken as absent", "")))
    if not faults:  # of the cohort as a whole
        what = problems[0].what if problems else "the patients cannot be read"
        faults = {0: [Fault("", "unreadable", what)]}
    return faults
