"""Tasks over processes: quick ones stay here, and neither all tasks nor all results lie in memory at once."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from chiasm.compute import pool
from chiasm.compute.pool import as_it_pays, default_jobs, side_by_side


def quick(context: int, task: int) -> tuple[int, int, int]:
    return task + context, os.getpid(), torch.get_num_threads()


def slow(context: int, task: int) -> tuple[int, int, int]:
    time.sleep(0.05)
    return quick(context, task)


def failing(context: int, task: int) -> int:
    if task == 3:
        raise ValueError("task three has no answer")
    return task


def test_quick_tasks_run_here_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "QUICK_SECONDS", 3600.0)  # a busy machine makes any task slow once
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = list(as_it_pays(quick, 10, range(50), 2))
        assert found == [(task + 10, os.getpid(), 1) for task in range(50)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_slow_tasks_run_in_processes_from_the_third_on() -> None:
    found = list(as_it_pays(slow, 10, range(30), 2))
    assert sorted(value for value, _, _ in found) == list(range(10, 40))
    assert sorted(value for value, where, _ in found if where == os.getpid()) == [10, 11]
    assert len({where for _, where, _ in found}) == 3 and {threads for _, _, threads in found} == {1}


def test_one_long_task_is_enough_to_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "LONG_SECONDS", 0.01)
    found = list(as_it_pays(slow, 0, range(30), 2))
    assert [value for value, where, _ in found if where == os.getpid()] == [0]


class Watched(Sequence[int]):
    """Tasks that know how many were asked for."""

    def __init__(self, number: int) -> None:
        self.number, self.asked = number, 0

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: Any) -> Any:
        if index >= self.number:
            raise IndexError
        self.asked += 1
        return index


def test_tasks_are_asked_for_as_they_are_needed() -> None:
    tasks, most = Watched(200), 0
    for number, _ in enumerate(side_by_side(quick, 0, tasks, 2), start=1):
        most = max(most, tasks.asked - number)
    assert number == 200 and tasks.asked == 200
    assert most <= 2 * pool.AHEAD * 2


@pytest.mark.parametrize("run", [side_by_side, as_it_pays])
def test_what_a_task_raises_is_raised_here(run: Any) -> None:
    with pytest.raises(ValueError, match="task three has no answer"):
        list(run(failing, 0, range(40), 2))


def test_jobs_are_the_cores_that_the_process_may_use() -> None:
    allowed = sorted(os.sched_getaffinity(0))
    try:
        os.sched_setaffinity(0, allowed[:1])
        assert default_jobs() == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert 1 <= default_jobs() <= len(allowed)


@pytest.mark.parametrize(
    ("quota", "most"), [("150000 100000", 1), ("max 100000", 10**6), ("200000 100000", 2), ("", 10**6)]
)
def test_a_container_s_quota_bounds_the_jobs(
    quota: str, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpu.max").write_text(quota)
    monkeypatch.setattr(pool, "QUOTA", tmp_path / "cpu.max")
    assert default_jobs() == min(most, len(os.sched_getaffinity(0)))
