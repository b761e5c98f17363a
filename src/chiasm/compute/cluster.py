"""Tasks over the machines of a Ray cluster, in place of the processes of this one; results are the same."""

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

RETRIES = 5  # of a task whose worker or machine was lost
AHEAD = 2  # tasks in flight for each core, so that a large grid does not lie in the cluster's memory at once
ADDRESS = "RAY_ADDRESS"


def on_cluster(function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int) -> Iterator[Any]:
    """`function(context, task)` for every task, on the cluster that `RAY_ADDRESS` names or a local one of `jobs` cores.

    Results come in the order they finish. The context travels once to each machine; every task runs on one core and
    one thread, as in the pool of processes, so figures are equal. A task whose worker dies is run again. Files that the
    context names, the cohort's and the token store's, must be reachable under the same path on every machine.

    Raises:
        Unsupported: ray is not installed.
        Whatever `function` raised; tasks that did not start by then never do.
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
    """A connection that was there stays; one made here ends here."""
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
