"""Fixtures of tests about explanations."""

from __future__ import annotations

import pytest

import chiasm
from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.protocols import Model
from lighter_trials import ridges_in

ridges = ridges_in("test_columns_shuffled", "test_columns_checked", "test_columns_explained", "test_tokens_explained")


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 90, missing=0.2, seed=1)


@pytest.fixture(scope="module")
def late(cohort: Cohort) -> Model:
    return chiasm.fit(cohort, "late-fusion")
