"""One small model for the tests of the service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lighter_trials import only_ridges
from served_models import stored


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with only_ridges():
        return stored(tmp_path_factory.mktemp("served") / "risk")


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("CHIASM_SERVE_TOKEN", raising=False)
    yield
