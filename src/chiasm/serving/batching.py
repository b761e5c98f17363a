"""One thread in which models predict, patients of several requests together: no answer depends on the others."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from chiasm.compute.isolation import loaded_libraries
from chiasm.errors import raised_at
from chiasm.serving.answers import Answer, answers_of
from chiasm.serving.faults import refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient
from chiasm.serving.settings import Limits
from chiasm.serving.works import PREDICT, WORKS

MOMENTS = 25
"""For so many times `wait_seconds` a request waits at most for others to be predicted with, while others come."""


class FailedElsewhere(Exception):
    """An error that is not raised where the request waits, by its name and its place; its words stay where they are.

    Args:
        error: the name of its type.
        module, line: where it was raised.
    """

    def __init__(self, error: str, module: str, line: int) -> None:
        super().__init__(f"{error} in {module}, line {line}")
        self.place = error, module, line


@dataclass(eq=False, repr=False)
class Job:
    """What one request waits for: its patients' answers, or the result of a function.

    Args:
        loaded, patients, sources: of a prediction.
        function: of another piece of work, which is done alone.
    """

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    loaded: Loaded | None = None
    patients: Sequence[Patient] = ()
    sources: Mapping[str, Path] | None = None
    function: Callable[[], Any] | None = None

    @property
    def alone(self) -> bool:
        """True if nothing is predicted together with it: its files are read, or it is another piece of work."""
        return self.function is not None or bool(self.sources)

    def finish(self, result: Any = None, error: BaseException | None = None) -> None:
        """Hand the result to the request, unless it has stopped waiting.

        What would end the service where it is raised, as `SystemExit`, arrives as `FailedElsewhere`.
        """
        if error is not None and (not isinstance(error, Exception) or isinstance(error, StopIteration)):
            error = FailedElsewhere(type(error).__name__, *raised_at(error))

        def hand() -> None:
            if self.future.done():
                return
            self.future.set_exception(error) if error is not None else self.future.set_result(result)

        try:
            self.loop.call_soon_threadsafe(hand)
        except RuntimeError:  # the service has ended meanwhile
            return


class Worker:
    """The thread in which models predict, with one thread of torch and of BLAS.

    Args:
        scratch: private folder in which files are read.
        observed: is called with (patients, seconds) of each batch.
        failed: is called with an error that nobody waits for; the thread goes on.
    """

    def __init__(
        self, limits: Limits, scratch: Path, observed: Callable[[int, float], None],
        failed: Callable[[BaseException], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._limits, self._scratch, self._observed, self._failed = limits, scratch, observed, failed
        self._jobs: deque[Job] = deque()
        self._queued = 0  # patients of the jobs
        self._changed = threading.Condition()
        self._hand: list[Job] = []
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """End once what is waiting is done; returns False if that took longer than `seconds`."""
        with self._changed:
            self._ending = True
            self._changed.notify_all()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    async def predict(
        self, loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path] | None = None
    ) -> list[Answer]:
        """Return the answer of each patient, or why there is none.

        Raises:
            Refused: 503, it took too long.
        """
        loop = asyncio.get_running_loop()
        found: list[Answer] = await self._done(Job(loop, loop.create_future(), loaded, patients, sources))
        return found

    async def does(
        self, what: str, loaded: Loaded, patients: Sequence[Patient], sources: Mapping[str, Path] | None = None
    ) -> list[Answer]:
        """Predict, or do other work of `works` by its name, alone; returns the answer of each patient.

        Raises:
            Refused: 503, it took too long.
        """
        if what == PREDICT:
            return await self.predict(loaded, patients, sources)
        function = partial(WORKS[what], loaded, patients, sources or {}, self._scratch)
        loop = asyncio.get_running_loop()
        found: list[Answer] = await self._done(Job(loop, loop.create_future(), function=function))
        return found

    async def _done(self, job: Job) -> Any:
        with self._changed:
            if self._ending or not self._thread.is_alive():
                raise refused(503, "stopping", "the service is stopping: ask again", retry_after=5)
            self._jobs.append(job)
            self._queued += len(job.patients)
            if len(self._jobs) == 1 or self._queued >= self._limits.batch_patients:  # else the thread looks by itself
                self._changed.notify_all()
        try:
            async with asyncio.timeout(self._limits.answer_seconds):
                return await job.future
        except TimeoutError:
            what = f"there was no answer within {self._limits.answer_seconds:g} seconds: ask again"
            raise refused(503, "too-slow", what, retry_after=5) from None

    def _run(self) -> None:
        torch.set_num_threads(1)
        with loaded_libraries().limit(limits=1):
            while True:
                try:
                    return self._rounds()
                except BaseException as error:  # whatever ends a round does not end the service
                    if all(job.future.done() for job in self._hand):  # else whoever waits is told, and tells
                        self._failed(error)
                    for job in self._hand:
                        job.finish(error=error)
                    self._hand = []

    def _rounds(self) -> None:
        while (batch := self._next()) is not None:
            self._hand = batch
            self._work(batch)
            self._hand = []

    def _next(self) -> list[Job] | None:
        """Wait for a job, and then a moment for others of the same model, and another one as long as others come.

        What a prediction costs is nearly the same for one patient and for many, so that where many ask, each is
        answered sooner if more are predicted together; where few ask, none comes in the first moment.
        """
        with self._changed:
            while not self._jobs:
                if self._ending:
                    return None
                self._changed.wait()
            first, moment = self._jobs[0], self._limits.wait_seconds
            if not first.alone and moment:
                until = time.monotonic() + MOMENTS * moment
                before, found = 0, self._waiting(first)
                while before < found < self._limits.batch_patients and not self._ending and time.monotonic() < until:
                    self._moment(first.loop, until)
                    before, found = found, self._waiting(first)
            return self._taken()

    def _moment(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        """Wait a moment, and on a busy machine for as long as the loop takes for the requests that it has at hand."""
        turned = threading.Event()
        with contextlib.suppress(RuntimeError):  # the service has ended meanwhile
            loop.call_soon_threadsafe(loop.call_soon, turned.set)
            while True:
                self._changed.wait(self._limits.wait_seconds)
                if turned.is_set() or self._queued >= self._limits.batch_patients or time.monotonic() > until:
                    return

    def _waiting(self, first: Job) -> int:
        return sum(len(job.patients) for job in self._jobs if job.loaded is first.loaded and not job.alone)

    def _taken(self) -> list[Job]:
        """Take the first job, and those that are predicted with it, in their order."""
        first = self._jobs.popleft()
        batch, size = [first], len(first.patients)
        if first.alone:
            self._queued -= size
            return batch
        rest: deque[Job] = deque()
        while self._jobs:
            job = self._jobs.popleft()
            fits = job.loaded is first.loaded and not job.alone
            if fits and size + len(job.patients) <= self._limits.batch_patients:
                batch.append(job)
                size += len(job.patients)
            else:
                rest.append(job)
        self._jobs = rest
        self._queued -= size
        return batch

    def _work(self, batch: list[Job]) -> None:
        batch = [job for job in batch if not job.future.done()]  # nobody waits for the others any more
        if not batch:
            return
        if batch[0].function is not None:
            try:
                batch[0].finish(batch[0].function())
            except BaseException as error:
                batch[0].finish(error=error)
            return
        start = time.monotonic()
        try:
            together = self._answers(batch[0], [own for job in batch for own in job.patients])
        except BaseException as error:
            if len(batch) == 1:
                batch[0].finish(error=error)
                return
            for job in batch:  # so that what fails in one request fails that one alone
                self._work([job])
            return
        self._observed(len(together), time.monotonic() - start)  # before anyone has an answer and asks for the metrics
        at = 0
        for job in batch:
            job.finish(together[at : at + len(job.patients)])
            at += len(job.patients)

    def _answers(self, job: Job, patients: Sequence[Patient]) -> list[Answer]:
        assert job.loaded is not None  # a job without a function is a prediction
        return answers_of(job.loaded, patients, job.sources or {}, self._scratch)
