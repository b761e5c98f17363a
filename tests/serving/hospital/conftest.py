"""A receiver of predictions, for each file of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hl7_receiver import Receiver


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    own = Receiver()
    yield own
    own.close()
