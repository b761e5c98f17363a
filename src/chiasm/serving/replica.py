"""One replica under Ray Serve: a process with the thread in which models predict, asked by the process that serves.

What it is sent and what it answers goes from process to process on this machine. Nothing of it is raised, because Ray
writes down the words of an error, and these may quote a patient.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import raised_at
from chiasm.serving.answers import Answer
from chiasm.serving.batching import FailedElsewhere, Worker
from chiasm.serving.faults import Fault, Refused
from chiasm.serving.loaded import Loaded
from chiasm.serving.patients import Patient
from chiasm.serving.settings import Limits

PREFIX = "replica-"


@dataclass(frozen=True, repr=False)
class Reply:
    """What comes back: answers, or a refusal, or the place of a failure.

    Args:
        answers: of each patient.
        refused: status, faults and seconds after which to ask again.
        failed: name of the error, module, line.
        batches: (patients, seconds) of what was predicted together since the last reply.
    """

    answers: list[Answer] | None = None
    refused: tuple[int, tuple[Fault, ...], int | None] | None = None
    failed: tuple[str, str, int] | None = None
    batches: tuple[tuple[int, float], ...] = ()

    def given(self) -> list[Answer]:
        """Return the answers.

        Raises:
            Refused: as in the replica.
            FailedElsewhere: it failed there.
        """
        if self.refused is not None:
            raise Refused(self.refused[0], self.refused[1], self.refused[2])
        if self.failed is not None:
            raise FailedElsewhere(*self.failed)
        return self.answers or []


class Replica:
    """Answers as the process that serves would.

    Args:
        limits: of the service.
        scratch: private folder of the service, in which this process has one of its own.
    """

    def __init__(self, limits: Limits, scratch: str) -> None:
        self._own = Path(tempfile.mkdtemp(prefix=PREFIX, dir=scratch))
        self._batches: list[tuple[int, float]] = []
        self._models: dict[str, Loaded] = {}
        self._worker = Worker(limits, self._own, lambda patients, seconds: self._batches.append((patients, seconds)))
        self._worker.start()
        self._grace = limits.grace_seconds

    async def answer(
        self, what: str, key: str, held: Sequence[Any], live: Sequence[str], patients: Sequence[Patient],
        sources: Mapping[str, Path],
    ) -> Reply:  # fmt: skip
        """Predict, or do other work of `works`, with a model.

        Args:
            key, held: name of the model, and where Ray holds it, alone in a list so that it is fetched once.
            live: names of the models that are served; what else is kept here is forgotten.
        """
        try:
            loaded = self._models.get(key) or await held[0]
            self._models[key] = loaded
            for old in self._models.keys() - {key, *live}:
                del self._models[old]
            found = await self._worker.does(what, loaded, patients, sources)
            return Reply(found, batches=self._told())
        except Refused as error:
            return Reply(refused=(error.status, error.faults, error.retry_after), batches=self._told())
        except Exception as error:
            return Reply(failed=(type(error).__name__, *raised_at(error)), batches=self._told())

    def _told(self) -> tuple[tuple[int, float], ...]:
        own = tuple(self._batches)
        del self._batches[: len(own)]  # the thread of the models may have added one meanwhile
        return own

    def check_health(self) -> None:
        """Let Ray replace this process where its thread has ended.

        Raises:
            RuntimeError: it has.
        """
        if not self._worker.alive:
            raise RuntimeError("the thread of the models has ended")

    def __del__(self) -> None:
        if "_grace" in vars(self):  # else it was never whole
            self._worker.stop(self._grace)
            shutil.rmtree(self._own, ignore_errors=True)
