"""Replicas under Ray Serve: several processes of this machine in which models predict, behind the one that serves.

Who may ask, limits, what is read of a request, the audit trail and what is told stay in the process that serves. It
sends checked patients to a replica by Ray Serve, which starts the replicas, spreads the requests, and replaces one that
is lost. What a lost replica had in work is asked of another one: a prediction changes nothing, and may be made twice.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chiasm.errors import Unsupported
from chiasm.serving.answers import Answer
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.metrics import Metrics
from chiasm.serving.patients import Patient
from chiasm.serving.replica import Replica, Reply
from chiasm.serving.settings import MEGABYTE, Limits
from chiasm.serving.works import PREDICT

TRIES = 4  # replicas that are asked of one request
STORE_BYTES = 256 * MEGABYTE  # of memory that processes share, for models and large requests
LONGEST_PLACE = 40  # letters of the private folder: the paths of Ray's sockets are 107 letters long at most
HEALTH_SECONDS = 2.0
FOLDER = "r"
NAME = "chiasm"
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to Ray's makers
    "RAY_AUTH_MODE": "token",  # its ports are reached from elsewhere, and take who has the token alone
    "RAY_task_events_report_interval_ms": "0",  # no record of what was asked
    "RAY_enable_metrics_collection": "0",
    "RAY_SERVE_LOG_TO_STDERR": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_worker_niceness": "0",
}


class Replicated:
    """What a `Worker` does, by replicas: it is asked in the same way.

    Args:
        number: of replicas.
        scratch: private folder of the service, in which each replica and Ray have their own.
        models: returns the models that are served now.
    """

    def __init__(
        self, number: int, limits: Limits, scratch: Path, metrics: Metrics, told: Callable[..., None],
        models: Callable[[], Sequence[Loaded]],
    ) -> None:  # fmt: skip
        require_possible(number, scratch)
        self._number, self._limits, self._scratch = number, limits, scratch
        self._metrics, self._told, self._models = metrics, told, models
        self._held: dict[int, tuple[Loaded, str, Any]] = {}
        self._handle: Any = None

    def start(self) -> None:
        """Start Ray on this machine, and the replicas.

        Raises:
            Unsupported: this process uses Ray already.
        """
        if "ray" in sys.modules:
            raise Unsupported("Ray is in use in this process already: serve with replicas in a process of its own")
        with _environment({**QUIET, "RAY_AUTH_TOKEN": secrets.token_hex(32)}):  # which Ray reads when it is imported
            self._start()

    def _start(self) -> None:
        import ray
        from ray import serve
        from ray.serve.config import ProxyLocation
        from ray.serve.schema import LoggingConfig

        place = self._scratch / FOLDER  # Ray opens it to everybody, within one that is this user's alone
        ray.init(
            address="local",
            num_cpus=self._number,
            num_gpus=0,
            include_dashboard=False,
            object_store_memory=STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.CRITICAL,
            _node_ip_address="127.0.0.1",
            _temp_dir=str(place),
        )
        _hush()
        quiet = LoggingConfig(enable_access_log=False, log_level="ERROR")
        serve.start(proxy_location=ProxyLocation.Disabled, logging_config=quiet)  # nobody asks Ray over HTTP
        own = serve.deployment(
            Replica,
            name="model",
            num_replicas=self._number,
            max_ongoing_requests=self._limits.concurrency,
            health_check_period_s=HEALTH_SECONDS,
            health_check_timeout_s=5 * HEALTH_SECONDS,
            graceful_shutdown_timeout_s=self._limits.grace_seconds,
            ray_actor_options={"num_cpus": 1},
        )
        self._handle = serve.run(
            own.bind(self._limits, str(self._scratch)), name=NAME, route_prefix=None, logging_config=quiet
        )
        self._told("replicas", number=self._number)

    def stop(self, seconds: float) -> bool:
        """End Ray and the replicas; nothing waits here any more, so that it is always in time."""
        if self._handle is not None:
            import ray

            self._handle = None
            ray.shutdown()
        return True

    @property
    def alive(self) -> bool:
        return self._handle is not None

    async def predict(
        self, loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path] | None = None
    ) -> list[Answer]:
        """Return the answer of each patient, or why there is none.

        Raises:
            Refused: 503, it took too long, or replicas are lost.
        """
        return await self.does(PREDICT, loaded, patients, sources)

    async def does(
        self, what: str, loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path] | None = None
    ) -> list[Answer]:
        """Predict, or do other work of `works` by its name; returns the answer of each patient.

        Raises:
            Refused: 503, it took too long, or replicas are lost.
        """
        key, held, live = self._of(loaded)
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                reply = await self._asked(what, key, [held], live, list(patients), dict(sources or {}))
        except TimeoutError:
            told = f"there was no answer within {self._limits.answer_seconds:g} seconds: ask again"
            raise refused(503, "too-slow", told, retry_after=5) from None
        for number, seconds in reply.batches:
            self._metrics.batched(number, seconds)
        return reply.given()

    async def _asked(self, *words: Any) -> Reply:
        """Ask a replica, and another one where it is lost.

        Raises:
            Refused: 503, the service is stopping, or replicas are lost one after the other.
        """
        from ray.exceptions import RayError
        from ray.serve.exceptions import RayServeException

        for attempt in range(TRIES):
            if self._handle is None:
                raise refused(503, "stopping", "the service is stopping: ask again", retry_after=5)
            if attempt:
                self._metrics.again.inc()
                self._told("asked-again", attempt=attempt)
                await asyncio.sleep(0.05 * 2**attempt)
            try:
                reply: Reply = await self._handle.answer.remote(*words)
                return reply
            except (RayError, RayServeException):  # of Ray alone: a replica raises nothing
                continue
        raise refused(503, "replicas-lost", "the processes that predict are lost: ask again", retry_after=5)

    def _of(self, loaded: Loaded) -> tuple[str, Any, tuple[str, ...]]:
        """Return the name of a model among replicas, where Ray holds it, and the names of those that are served."""
        import ray

        found = self._held.get(id(loaded))
        if found is None:
            here = {id(own) for own in self._models()}
            self._held = {key: own for key, own in self._held.items() if key in here}
            found = self._held[id(loaded)] = loaded, secrets.token_hex(8), ray.put(loaded)
        return found[1], found[2], tuple(own[1] for own in self._held.values())


def require_possible(number: int, scratch: Path) -> None:
    """Refuse, before anything is started, what cannot be.

    Raises:
        ValueError: no replica is asked for, or the folder for private files has too long a path.
        Unsupported: Ray Serve is not installed.
    """
    if number < 1:
        raise ValueError(
            f"--replicas is {number}, and is 1 or more; leave it out to predict in the service's own process"
        )
    missing = [name for name in ("ray", "grpc_reflection", "fastapi") if importlib.util.find_spec(name) is None]
    if missing:
        raise Unsupported(f"replicas need the package '{missing[0]}': pip install 'chiasm[serve,scale]'")
    if len(str(scratch)) > LONGEST_PLACE:
        raise ValueError(
            f"the folder for temporary files has so long a path that Ray's sockets do not fit: set TMPDIR to one of "
            f"{LONGEST_PLACE - len(scratch.name) - 1} letters at most, as /tmp"
        )


def _hush() -> None:
    """Let Ray say nothing on the outputs of the process that serves: what is lost and asked again is told by `told`."""
    from ray._private import worker

    for name in ("ray", "ray.serve"):
        logging.getLogger(name).disabled = True
    worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def _environment(own: Mapping[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started; those of before come back."""
    before = {name: os.environ.get(name) for name in own}
    os.environ.update(own)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
