"""A fitted model and its folder, which tests of loading and of saving share."""

from __future__ import annotations

from pathlib import Path

import pytest

from chiasm.cohort import Cohort, synthetic_cohort
from chiasm.protocols import Model
from chiasm.recipes.registry import make_recipe


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    return synthetic_cohort("complementary", 60, target="survival", missing=0.2)


@pytest.fixture(scope="module")
def fitted(cohort: Cohort) -> Model:
    return make_recipe("late-fusion").fit(cohort, seed=0)


@pytest.fixture
def folder(fitted: Model, tmp_path: Path) -> Path:
    fitted.save(tmp_path / "model")
    return tmp_path / "model"
