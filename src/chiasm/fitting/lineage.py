"""What a model that learned from a source keeps of the source, by which its patients are known again.

Weights that were learned on a patient's outcome give it away, also where they were trained further on other patients,
and so do coefficients towards which others were shrunk. A fitted model therefore keeps whose weights it began with or
whose coefficients it borrowed, and whose those began with.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from pandas.api.types import is_numeric_dtype

from chiasm.artifact import storable
from chiasm.cohort import Cohort
from chiasm.cohort.kinds import TABLE, has_form
from chiasm.cohort.lending import READ_ALIKE, kind_in
from chiasm.encoders.table.scaling import Scaler

FINE = 10  # distinct quantiles of a column from which it tells whose it is
KEPT = 32  # finely measured columns of a modality that are kept: a few tell whose they are


@storable("begun-from")
@dataclass(frozen=True)
class BegunFrom:
    """A source whose weights a network began with, or whose coefficients a linear model borrowed.

    Args:
        name: what messages and pages call it.
        scalers: modality to the scaler of finely measured columns of its training patients.
    """

    name: str
    scalers: dict[str, Scaler]

    @classmethod
    def of(cls, name: str, scalers: Iterable[tuple[str, Scaler]]) -> BegunFrom:
        """Keep of each modality's scaler the first finely measured columns."""
        kept = {modality: (own, finely(own, own.columns)[:KEPT]) for modality, own in scalers}
        return cls(name, {modality: own.part(fine) for modality, (own, fine) in kept.items() if fine})

    @classmethod
    def of_cohort(cls, cohort: Cohort) -> BegunFrom:
        """Keep the same of a source cohort, whose patients with a known outcome were learned from."""
        found = []
        for name in cohort.modalities:
            if cohort.outcome is None or not has_form(kind_in(cohort, name), TABLE):
                continue
            rows = cohort.rows_of(name)
            frame = cohort.raw(name, rows[np.asarray(cohort.outcome.known)[rows]])
            numbers = [own for own in numbers_of(cohort, name, map(str, frame)) if is_numeric_dtype(frame[own])]
            if numbers and len(frame):
                found.append((name, Scaler.fit(frame[numbers])))
        return cls.of(cohort.name, found)

    def learned_from(self, cohort: Cohort) -> bool:
        """True if the scaling of one of its tables is that of this very cohort."""
        for name, scaler in self.scalers.items():
            if name not in cohort.modalities or not has_form(kind_in(cohort, name), TABLE):
                continue
            there = set(map(str, cohort.sources[name].columns or cohort.raw(name).columns))
            if scaled_on(
                cohort, name, scaler, numbers_of(cohort, name, [own for own in scaler.columns if own in there])
            ):
                return True
        return False


def numbers_of(cohort: Cohort, modality: str, columns: Iterable[str]) -> list[str]:
    """Return those of some columns of a table that are read as numbers, as far as it is said."""
    kinds = cohort.column_kinds(modality)
    return [own for own in columns if kinds.get(own, "") in ("", READ_ALIKE[0])]


def scaled_on(cohort: Cohort, modality: str, scaler: Scaler, columns: Iterable[str]) -> bool:
    """True if quantiles and number of patients of finely measured columns are those of this cohort's patients."""
    fine = finely(scaler, columns)
    if cohort.outcome is None or not fine:
        return False
    rows = cohort.rows_of(modality)
    rows = rows[np.asarray(cohort.outcome.known)[rows]]
    if not len(rows) or not np.isclose(scaler.tail, 1 / (len(rows) + 1)):
        return False
    here = Scaler.fit(cohort.raw(modality, rows)[fine])
    place = {scaler.columns[position]: rank for rank, position in enumerate(scaler.ranked.tolist())}
    theirs = scaler.knots[:, [place[column] for column in fine]]
    if len(fine) > 1 and np.allclose(theirs, theirs[:, :1]):  # as of ranks, which any two cohorts of a size have alike
        return False
    return len(here.ranked) == len(fine) and np.allclose(here.knots, theirs, rtol=1e-6, atol=0)


def finely(scaler: Scaler, columns: Iterable[str]) -> list[str]:
    """Return those of some columns that are ranked, and have too many different quantiles to be equal by chance."""
    distinct, asked = 1 + (np.diff(scaler.knots, axis=0) > 0).sum(0), set(columns)
    ranked = [scaler.columns[place] for place, many in zip(scaler.ranked, distinct, strict=True) if many >= FINE]
    return [column for column in ranked if column in asked]
