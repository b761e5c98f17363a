"""What a model answers of checked patients: prediction, what was missing, what is unfamiliar, and how sure it is."""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chiasm.cohort import Cohort
from chiasm.errors import raised_at
from chiasm.models.conformal import EVERYONE, PATTERN, Thresholds
from chiasm.models.unseen import NOTHING, REFUSED, UNSEEN, patterns_of, unseen_rows
from chiasm.serving.cohorts import cohort_of, encoded
from chiasm.serving.faults import Fault
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient
from chiasm.serving.settings import REFUSE
from chiasm.targets import kind_of
from chiasm.targets.options import MOST_OPTIONS

Answer = dict[str, Any] | tuple[Fault, ...]


@dataclass(frozen=True, repr=False)
class Ready:
    """Patients as an encoded cohort, with the faults of those who are not predicted, by row."""

    cohort: Cohort
    rows: list[int]
    faults: dict[int, tuple[Fault, ...]]


def ready(loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path], folder: Path) -> Ready:
    """Make the cohort of those who can be predicted; `rows` are their places among the patients."""
    there = list(range(len(patients)))
    faults: dict[int, tuple[Fault, ...]] = {}
    while True:
        own = [patients[row] for row in there]
        cohort = cohort_of(own, loaded.reads, sources)
        wrong: dict[int, list[Fault]] = {}
        if loaded.encodes:
            cohort, wrong = encoded(loaded.model, cohort, own, folder)
        if not loaded.model.has_prior:
            some = cohort.present.any(axis=1)
            for row in np.flatnonzero(~some).tolist():
                what = f"none of the model's modalities is there ({', '.join(loaded.reads)}): give one or more"
                wrong.setdefault(row, [Fault("", "no-modality", what)])
        if not wrong:
            return Ready(cohort, there, faults)
        faults |= {there[row]: tuple(own) for row, own in wrong.items()}
        there = [row for k, row in enumerate(there) if k not in wrong]
        if not there:
            return Ready(cohort.subset([]), there, faults)


def each_ready(
    does: Callable[[Cohort, Sequence[Patient]], Sequence[dict[str, Any]]], loaded: Loaded, patients: Sequence[Patient],
    sources: Mapping[str, Path], scratch: Path,
) -> list[Answer]:  # fmt: skip
    """Return what is done of all patients who can be predicted, and why nothing is of the others, in their order.

    Where it is refused of all, it is done of each by himself: the others have their answers. What chiasm refuses names
    no value. An error of another package may, and is raised.

    Args:
        does: is given an encoded cohort, and its patients in the order in which they are answered.
        scratch: private folder; what is read and encoded in it is gone afterwards.
    """
    try:
        with _folder(loaded, scratch) as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what they say of values is said above, by field
            own = ready(loaded, patients, sources, folder)
            found: list[Answer] = [own.faults.get(row, ()) for row in range(len(patients))]
            if own.rows:
                told = does(own.cohort, [patients[row] for row in own.rows])
                for row, answer in zip(own.rows, told, strict=True):
                    found[row] = answer
            return found
    except ValueError as error:
        if not raised_at(error)[0].startswith("chiasm."):
            raise
        if len(patients) == 1:
            return [(Fault("", "not-predicted", str(error).partition("\n")[0]),)]
    return [answer for one in patients for answer in each_ready(does, loaded, [one], sources, scratch)]


@contextmanager
def _folder(loaded: Loaded, scratch: Path) -> Iterator[Path]:
    """A private folder to encode in, which is gone afterwards; none is made where nothing is encoded."""
    if not loaded.encodes:
        yield scratch
        return
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        yield Path(folder)


def answers_of(loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path], scratch: Path) -> list[Answer]:
    """Answer each patient, or say why not, in their order."""
    if loaded.draws:
        what = "this model draws label maps, and says no numbers: open /outline in a browser, or POST to /outline/open"
        return [(Fault("", "draws-label-maps", what),) for _ in patients]

    def predicted(cohort: Cohort, own: Sequence[Patient]) -> list[dict[str, Any]]:
        return _told(loaded, loaded.model.predict_ready(cohort), own)

    return each_ready(predicted, loaded, patients, sources, scratch)


def _told(loaded: Loaded, predicted: pd.DataFrame, patients: Sequence[Patient]) -> list[dict[str, Any]]:
    known = bool(patterns_of(loaded.model))
    unseen = unseen_rows(loaded.model, predicted)
    told = kind_of(loaded.model.response.kind).packed(predicted.drop(columns="pattern"))
    rows = plain(told)
    if loaded.chooses:  # of the request's most options each patient has his own, whoever is predicted beside him
        none = [{f"p_{place + 1}" for place in range(len(one.options), MOST_OPTIONS)} for one in patients]
        rows = [{name: own[name] for name in own if name not in less} for own, less in zip(rows, none, strict=True)]
    sets = _sets(loaded.thresholds, predicted)
    found = []
    for k, (pattern, patient) in enumerate(zip(predicted["pattern"].tolist(), patients, strict=True)):
        used = [name for name in loaded.reads if name in pattern.split("+")]
        bare = bool(unseen[k]) and loaded.policy.unseen == REFUSE
        notes = [*patient.notes, *loaded.notes]
        if unseen[k]:
            notes.append(REFUSED if bare else UNSEEN)
        elif not pattern:
            notes.append(NOTHING)
        found.append(
            {
                "pattern": pattern,
                "prediction": None if bare else rows[k],
                "sure": None if bare or sets is None else sets[k],
                "missing": [name for name in loaded.reads if name not in used],
                "missing_cells": {name: own for name, own in patient.lacking.items() if name in used},
                "unseen": bool(unseen[k]) if known else None,
                "notes": notes,
            }
        )
    return found


def _sets(known: Thresholds | None, predicted: pd.DataFrame) -> list[dict[str, Any]] | None:
    """What holds the stated share of outcomes, for each patient; None without a calibration."""
    if known is None:
        return None
    of = {PATTERN: predicted["pattern"].to_numpy(str), EVERYONE: np.full(len(predicted), EVERYONE)}
    added = known.added_to(predicted, {name: of[name] for name in known.within})
    names = [name for name in added.columns if name not in predicted.columns]
    return [{"coverage": known.coverage, **row} for row in plain(added[names])]


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as JSON has them: a number that is not there is null."""
    names = [str(name) for name in frame.columns]
    columns = [[_plain(value) for value in frame.iloc[:, k].tolist()] for k in range(len(names))]
    return [{name: column[row] for name, column in zip(names, columns, strict=True)} for row in range(len(frame))]


def _plain(value: Any) -> Any:
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    return None if value is None or value is pd.NA else value


def placed(faults: Sequence[Fault], row: int) -> list[Fault]:
    """Put faults of a modality at the place of a patient of the request."""
    place = f"patients[{row}]"
    return [replace(own, field=f"{place}.{own.field}" if own.field else place) for own in faults]
