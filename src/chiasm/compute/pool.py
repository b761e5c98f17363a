"""Parallel execution of tasks in single-thread processes, faster on a CPU than threads for models of this size."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from chiasm.compute.isolation import threads_for

AHEAD = 4  # tasks in flight per process, so that neither all tasks nor all results are in memory at once
QUICK_SECONDS, LONG_SECONDS = 1.0, 5.0
FORKS = sys.platform == "linux"
QUOTA = Path("/sys/fs/cgroup/cpu.max")  # microseconds of processor, in how many microseconds
_context: Any = None
_function: Callable[[Any, Any], Any] | None = None


def side_by_side(function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int) -> Iterator[Any]:
    """Run `function(context, task)` for every task; yield results as they finish.

    One job or one task runs in this process. Otherwise up to `jobs` processes of one thread each are used, which end
    with this one even if it is killed. The context is sent once per process, not with every task.

    Raises:
        Whatever `function` raised, after pending tasks were cancelled.
    """
    if jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield function(context, task)
        return
    # A fork shares the cohort without a copy and sees recipes defined in a notebook; it is safe only on Linux.
    start = multiprocessing.get_context("fork" if FORKS else "spawn")
    with ProcessPoolExecutor(
        min(jobs, len(tasks)), mp_context=start, initializer=_enter, initargs=(function, context, os.getpid())
    ) as pool:
        left = iter(tasks)
        waiting = {pool.submit(_run, task) for task in islice(left, AHEAD * jobs)}
        try:
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                waiting |= {pool.submit(_run, task) for task in islice(left, len(done))}
                while done:
                    yield done.pop().result()
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def as_it_pays(function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int) -> Iterator[Any]:
    """Run tasks of similar length as `side_by_side`, but in this process while the rest would take a second at most.

    The first two tasks run here in any case, unless the first is long: it loads packages and weights that forks then
    share, and the second shows how long the others will take.
    """
    if jobs <= 1:
        yield from side_by_side(function, context, tasks, jobs)
        return
    for number in range(len(tasks)):
        start = time.perf_counter()
        with threads_for(0):
            result = function(context, tasks[number])
        seconds = time.perf_counter() - start
        yield result
        left = len(tasks) - number - 1
        if seconds * left > QUICK_SECONDS and (number or seconds > LONG_SECONDS):
            yield from side_by_side(function, context, tasks[number + 1 :], jobs)
            return


def default_jobs() -> int:
    """Return the number of cores that this process may use where processes can be forked, else 1."""
    return usable_cores() if FORKS else 1


def usable_cores() -> int:
    """Return the number of cores left to this process by its affinity and by the quota of its container."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no container, or "max": no quota
        return cores


def _enter(function: Callable[[Any, Any], Any], context: Any, parent: int) -> None:
    global _context, _function
    _context, _function = context, function
    torch.set_num_threads(1)
    threadpool_limits(limits=1)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this worker when its parent is gone; otherwise it would wait for work forever."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _run(task: Any) -> Any:
    if _function is None:
        raise RuntimeError("the worker was not initialised")
    return _function(_context, task)
