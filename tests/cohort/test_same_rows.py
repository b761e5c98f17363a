"""Rows that many patients share are found where columns hold measurements, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import chiasm

N = 100


def found(values: Any, columns: int = 3) -> list[str]:
    """What the check says of shared rows in a table of these values."""
    ids = [f"p{row}" for row in range(N)]
    table = pd.DataFrame(values, index=ids, columns=[f"x{k}" for k in range(columns)])
    patients = pd.DataFrame({"y": np.arange(N) % 2}, index=ids)
    cohort = chiasm.cohort_from_frames(patients, {"mri": table}, chiasm.Classification("y"))
    return [own.what for own in chiasm.check_cohort(cohort) if own.finding == "same-rows"]


def drawn(columns: int = 3) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N, columns))


@pytest.mark.parametrize("written", [0.0, -1.0])
def test_a_value_in_place_of_what_was_not_measured_is_told(written: float) -> None:
    values = drawn()
    values[::3] = written
    assert found(values) == ["34 patients have the very same row of 3 numbers"]


def test_a_wide_table_is_compared_in_all_its_columns() -> None:
    values = drawn(100)
    values[::3] = 0.0
    assert found(values, 100) == ["34 patients have the very same row of 100 numbers"]
    values[:, -1] = np.arange(N)
    assert not found(values, 100)


def test_few_patients_codes_and_missing_cells_are_no_such_rows() -> None:
    values = drawn()
    values[:4] = 0.0
    assert not found(values)
    assert not found(np.random.default_rng(0).integers(0, 2, (N, 3)).astype(float))
    values = drawn()
    values[:40, 1:] = np.nan
    assert not found(values)
