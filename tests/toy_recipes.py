"""A recipe that is fitted in a moment: its link is one column of a table, which an option names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd

import chiasm
from chiasm.citation import Citation
from chiasm.cohort import Cohort
from chiasm.fitting.base import BaseRecipe, Training
from chiasm.heads.response import Response
from chiasm.protocols import Predictor

RIGHT = 3
"""The column of `columns_cohort` that the outcome follows."""
FITS: list[tuple[int, float]] = []
"""What was fitted, in turn: (column, power)."""
STOP_AT: list[int] = []
"""The fit, counted from one, that is interrupted; empty: none."""


@dataclass(frozen=True)
class Column:
    """Link that is a column of modality `a`, or of `b` too, to a power."""

    column: int
    power: float
    trained_parameters: int = 0

    def link(self, cohort: Cohort) -> np.ndarray:
        """Return the link `(B, 1)`."""
        out = np.zeros((len(cohort), 1))
        for name in cohort.modalities:
            rows = cohort.rows_of(name)
            values = np.asarray(cohort.raw(name), dtype=float)[:, self.column]
            out[rows, 0] += np.sign(values) * np.abs(values) ** self.power
        return out


@dataclass(frozen=True)
class OneColumn(BaseRecipe):
    """The recipe; a power below zero diverges."""

    column: int = 0
    power: float = 1.0

    id: ClassVar[str] = "one-column"
    family: ClassVar[str] = "made"
    needs: ClassVar[str] = "a table"
    paper: ClassVar[Citation] = Citation("None", "none", 2026, "https://example.org")
    least_modalities: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if self.column < 0:
            raise ValueError(f"column={self.column} lies before the first")

    def learn(self, training: Training) -> tuple[Predictor, Response]:
        """Take the column."""
        FITS.append((self.column, self.power))
        if STOP_AT and len(FITS) == STOP_AT[0]:
            raise KeyboardInterrupt
        if self.power < 0:
            raise FloatingPointError("the column diverged")
        predictor = Column(self.column, self.power)
        link = predictor.link(training.cohort)
        return predictor, Response.fit(training.target, link, training.outcome, calibrate=False)


def columns_cohort(n: int = 60, shift: float = 0.0, rows: slice = slice(0, 0)) -> Cohort:
    """Patients with six columns in each of two tables, whose number follows `RIGHT` of both; two given folds.

    Args:
        shift: is added to every value and outcome of the patients `rows`.
    """
    rng = np.random.default_rng(5)
    ids = [f"p{number:03d}" for number in range(n)]
    tables = {name: rng.normal(size=(n, 6)) for name in ("a", "b")}
    value = sum(own[:, RIGHT] for own in tables.values()) + rng.normal(size=n)
    value[rows] += shift
    frames = {}
    for name, own in tables.items():
        own[rows] += shift
        frames[name] = pd.DataFrame(own, index=ids, columns=[f"{name}{k}" for k in range(6)])
    fold = np.where(np.arange(n) < n // 3, "test", "train")
    patients = pd.DataFrame({"value": value, "fold": fold}, index=ids)
    return chiasm.cohort_from_frames(patients, frames, target=chiasm.Regression("value"), folds="fold")
