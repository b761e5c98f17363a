"""Cohorts of notes and of scans whose encoders have tiny networks, for the recipes that adapt them."""

from __future__ import annotations

from typing import Any

import pytest

import chiasm
from adapted_cohorts import notes, scans
from tiny_models import tiny_models


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Folders of the networks and of the token store."""
    return tiny_models(tmp_path_factory.mktemp("models")), tmp_path_factory.mktemp("store")


@pytest.fixture(scope="module")
def cohort(places: Any) -> chiasm.Cohort:
    """Notes."""
    return notes(*places)


@pytest.fixture(scope="module")
def images(places: Any) -> chiasm.Cohort:
    """Scans."""
    return scans(*places)
