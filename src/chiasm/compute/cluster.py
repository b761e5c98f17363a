"""Parallel execution of tasks on a Ray cluster instead of local processes, with identical results."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from chiasm.errors import Unsupported

RETRIES = 5  # retries of a task whose worker or machine was lost
AHEAD = 2  # tasks in flight per core, so that a large grid is not in the cluster's memory all at once
ADDRESS = "RAY_ADDRESS"


def on_cluster(function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int) -> Iterator[Any]:
    """Run `function(context, task)` for each task on the cluster at `RAY_ADDRESS`, or a local one of `jobs` cores.

    Results are yielded as they finish. The context is sent once to each machine; every task runs on one core and one
    thread, as in the process pool, so results are equal. A task whose worker dies is run again. Files that the context
    names (of the cohort and the token store) must be reachable under the same path on every machine.

    Raises:
        Unsupported: ray is not installed.
        Whatever `function` raised; tasks that have not started by then never do.
    """
    if not tasks:
        return
    if importlib.util.find_spec("ray") is None:
        raise Unsupported('a cluster needs ray: pip install "chiasm[scale]"')
    import ray

    with _connected(ray, jobs):
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_one_thread)
        shared = ray.put((function, context))
        cores = max(1, int(ray.cluster_resources().get("CPU", 1)))  # type: ignore[no-untyped-call]
        waiting = list(tasks)[::-1]
        flying: list[Any] = []
        try:
            while waiting or flying:
                while waiting and len(flying) < AHEAD * cores:
                    flying.append(remote.remote(shared, waiting.pop()))
                finished, flying = ray.wait(flying)
                for reference in finished:
                    try:
                        result = ray.get(reference)
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause if error.cause is not None else error from None
                    yield result
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)


def _one_thread(shared: tuple[Callable[[Any, Any], Any], Any], task: Any) -> Any:
    function, context = shared
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        return function(context, task)


@contextmanager
def _connected(ray: Any, jobs: int) -> Iterator[None]:
    """Connect to Ray; an existing connection is kept, one opened here is closed on exit."""
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
    if os.environ.get(ADDRESS):
        ray.init(address="auto", **quiet)
    else:
        ray.init(num_cpus=jobs, include_dashboard=False, **quiet)
    try:
        yield
    finally:
        ray.shutdown()
