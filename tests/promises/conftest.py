"""`ridges`, for promises about trials and pages, which ask for it by name: others are about the whole search."""

from collections.abc import Iterator

import pytest

from lighter_trials import ridges_by_day


@pytest.fixture
def ridges() -> Iterator[None]:
    """Within the test, models of one modality are ridges by day."""
    with ridges_by_day():
        yield
