"""Requests that come while others are read are predicted together, up to a limit, and each has its own answer."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chiasm.serving import batching
from chiasm.serving.batching import Worker
from chiasm.serving.settings import Limits


def asked(limits: Limits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, pause: float) -> list[int]:
    """Ask so many times, each while the loop is busy for a while with reading the one before; the sizes of batches."""
    sizes: list[int] = []
    monkeypatch.setattr(batching, "answers_of", lambda loaded, patients, sources, scratch: list(patients))
    worker = Worker(limits, tmp_path, lambda size, seconds: sizes.append(size))
    worker.start()
    loaded: Any = SimpleNamespace()

    async def one(k: int) -> None:
        time.sleep(pause)
        mine: Any = f"patient {k}"
        assert await worker.predict(loaded, [mine]) == [mine]

    async def all_of_them() -> None:
        await asyncio.gather(*(one(k) for k in range(number)))

    asyncio.run(all_of_them())
    assert worker.stop(10)
    return sizes


def test_what_is_read_after_one_another_is_predicted_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = Limits(wait_seconds=0.02, batch_patients=8)  # all are read in more than six such moments
    sizes = asked(limits, tmp_path, monkeypatch, 16, 0.01)
    assert sizes == [8, 8]


def test_nobody_waits_where_that_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = asked(Limits(wait_seconds=0.0), tmp_path, monkeypatch, 8, 0.02)
    assert sum(sizes) == 8 and len(sizes) > 2


def test_one_alone_has_its_answer_after_a_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = time.monotonic()
    assert asked(Limits(wait_seconds=0.05), tmp_path, monkeypatch, 1, 0.0) == [1]
    assert time.monotonic() - start < 25 * 0.05
