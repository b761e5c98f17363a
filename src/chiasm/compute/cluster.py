"""Parallel execution of tasks on a Ray cluster instead of local processes, with identical results."""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, runtime_checkable

import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from chiasm.errors import Unsupported

RETRIES = 5  # retries of a task whose worker or machine was lost
AHEAD = 2  # tasks in flight per core or GPU, so that a large grid is not in the cluster's memory all at once
ADDRESS = "RAY_ADDRESS"


@runtime_checkable
class OnDevice(Protocol):
    """Protocol of a context whose tasks compute on a device of torch."""

    device: str


def on_cluster(
    function: Callable[[Any, Any], Any], context: Any, tasks: Sequence[Any], jobs: int, *, gpus: float | None = None
) -> Iterator[Any]:
    """Run `function(context, task)` for each task on the cluster at `RAY_ADDRESS`, or a local one of `jobs` cores.

    Results are yielded as they finish, each in memory of its own: what Ray hands out are views of memory that it uses
    again for other results once the connection is closed. The context is sent once to each machine; every task runs on
    one core and one thread, as in the process pool, so results are equal. Where the context's device is "cuda", every
    task has a GPU of its own, or the share `gpus` of one, by which several fit on it side by side: their memory is not
    kept apart. A task whose worker dies is run again. Files that the context names (of the cohort and the token store)
    must be reachable under the same path on every machine.

    Raises:
        Unsupported: ray is not installed, or no machine of the cluster has the GPU that is asked for.
        ValueError: one GPU is named by its number.
        Whatever `function` raised; tasks that have not started by then never do.
    """
    if not tasks:
        return
    if importlib.util.find_spec("ray") is None:
        raise Unsupported('a cluster needs ray: pip install "chiasm[scale]"')
    import ray

    gpus = gpus_for(context, gpus)
    with _connected(ray, jobs):
        there = ray.cluster_resources()
        if gpus and there.get("GPU", 0) < gpus:
            raise Unsupported(
                "no machine of the cluster offers a GPU: compute on the device 'cpu', or add one that does"
            )
        remote = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_one_thread)
        shared = ray.put((function, context))
        side_by_side = max(1, int(there.get("GPU", 1) / gpus if gpus else there.get("CPU", 1)))
        waiting = list(tasks)[::-1]
        flying: list[Any] = []
        try:
            while waiting or flying:
                while waiting and len(flying) < AHEAD * side_by_side:
                    flying.append(remote.remote(shared, waiting.pop()))
                finished, flying = ray.wait(flying)
                for reference in finished:
                    try:
                        result = ray.cloudpickle.loads(ray.get(reference))
                    except ray.exceptions.RayTaskError as error:
                        raise error.cause if error.cause is not None else error from None
                    yield result
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)


def gpus_for(context: Any, asked: float | None = None) -> float:
    """Number of GPUs that a task of this context needs, or the share of one that was asked for.

    Raises:
        ValueError: it names one GPU by its number, which Ray, that hands them out, cannot promise; or GPUs are asked
            for and nothing is computed on one, or a number that Ray does not hand out.
    """
    device = str(context.device) if isinstance(context, OnDevice) else "cpu"
    if device.startswith("cuda:"):
        raise ValueError(f"on a cluster the device is 'cuda', not '{device}': Ray chooses a GPU for each task")
    if asked is None:
        return int(device == "cuda")
    if device != "cuda":
        raise ValueError("GPUs are asked for each task, and nothing is computed on one: say the device 'cuda' too")
    if not (0 < asked < 1 or (asked >= 1 and asked == int(asked))):
        raise ValueError(f"a task has a share of a GPU below 1 or a whole number of them, not {asked:g}")
    return asked


def _one_thread(shared: tuple[Callable[[Any, Any], Any], Any], task: Any) -> bytes:
    """Run one task, and return the result as the bytes that Ray would send, with its arrays, which arrive as copies."""
    import ray

    function, context = shared
    torch.set_num_threads(1)
    with threadpool_limits(limits=1):
        return bytes(ray.cloudpickle.dumps(function(context, task)))


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
