"""Trials compare ridges by day, where what is looked at is made of predictions, whosever they are."""

from collections.abc import Iterator
from contextlib import nullcontext

import pytest

from lighter_trials import ridges_by_day

LIGHTER = {"test_external_of_a_trial", "test_run_folder", "test_several", "test_sides", "test_validation"}


@pytest.fixture(scope="module", autouse=True)
def ridges(request: pytest.FixtureRequest) -> Iterator[None]:
    """Within these files, models of one modality are ridges by day."""
    with ridges_by_day() if request.path.stem in LIGHTER else nullcontext():
        yield
