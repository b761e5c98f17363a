"""Cohorts of notes and of scans whose encoders have tiny networks, for recipes that adapt them; ridges as starts."""

from __future__ import annotations

from typing import Any

import pytest

import chiasm
from adapted_cohorts import notes, scans
from lighter_trials import ridges_in
from tiny_models import tiny_models


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders of the networks and of the token store."""
    return tiny_models(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def cohort(places: Any) -> chiasm.Cohort:
    """Notes."""
    return notes(*places)


@pytest.fixture(scope="session")
def images(places: Any) -> chiasm.Cohort:
    """Scans."""
    return scans(*places)


ridges = ridges_in("test_residual_start", "test_ensemble", "test_late_slopes")
