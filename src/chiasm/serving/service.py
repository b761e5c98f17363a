"""A running service: its models, the thread in which they predict, who may ask, what is counted and written down."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chiasm.errors import raised_at
from chiasm.serving.access import Access
from chiasm.serving.address import Hosts
from chiasm.serving.audit import Audit, AuditFull
from chiasm.serving.batching import FailedElsewhere, Worker
from chiasm.serving.metrics import Metrics
from chiasm.serving.replicas import Replicated
from chiasm.serving.settings import REFUSE, Limits
from chiasm.serving.shelf import Shelf

Told = Callable[..., None]
SCRATCH = "chiasm-serve-"


@dataclass(eq=False, repr=False)
class Service:
    """Everything of a service but its addresses; `application` makes an ASGI application of it.

    Args:
        shelf: its models.
        access: the tokens.
        hosts: names by which it may be asked.
        limits: what a caller may cost it.
        audit: the audit trail; None: none is kept.
        audit_full: "refuse" answers what cannot be written down, or "serve".
        told: is called with (event, **facts), none of them a value or an identifier of a patient.
        replicas: processes under Ray Serve in which models predict; 0: a thread of this one.
    """

    shelf: Shelf
    access: Access
    hosts: Hosts
    limits: Limits
    audit: Audit | None
    audit_full: str
    told: Told
    replicas: int = 0

    def __post_init__(self) -> None:
        self.metrics = Metrics()
        self.stopping = False
        self.open_addresses = set[str]()  # of pages that extensions add, which are told without a token
        remove_left_over()
        self.scratch = Path(tempfile.mkdtemp(prefix=f"{SCRATCH}{os.getpid()}-"))  # mode 700
        try:
            self.worker = self._worker()
        except Exception:
            shutil.rmtree(self.scratch, ignore_errors=True)
            if self.audit is not None:
                self.audit.close()
            raise
        self._audit_told = False
        self.broken: Exception | None = None  # why it could not start

    def _worker(self) -> Worker | Replicated:
        if not self.replicas:
            return Worker(self.limits, self.scratch, self.metrics.batched, self.failed)
        return Replicated(self.replicas, self.limits, self.scratch, self.metrics, self.told, lambda: list(self.shelf))

    def start(self) -> None:
        self.worker.start()
        self._counted()

    def stop(self) -> None:
        """End the thread, once what waits is done, and remove what was written of patients."""
        self.stopping = True
        if not self.worker.stop(self.limits.grace_seconds):
            self.told("late", seconds=self.limits.grace_seconds)
        shutil.rmtree(self.scratch, ignore_errors=True)
        if self.audit is not None:
            with contextlib.suppress(AuditFull):
                self.audit.write(who="-", what="stop", status=200, outcome="stopped")
            self.audit.close()

    @property
    def ready(self) -> bool:
        """True if it answers."""
        full = self.audit is not None and self.audit.full and self.audit_full == REFUSE
        return self.worker.alive and not self.stopping and not full

    def refresh(self) -> Mapping[str, str]:
        """Load new and replaced models; returns what could not be loaded, and why."""
        failed = self.shelf.refresh()
        self.metrics.reloads.inc(len(failed))
        self._counted()
        return failed

    def _counted(self) -> None:
        self.metrics.models.clear()
        for own in self.shelf:
            self.metrics.models.labels(own.name, own.version).set(1)

    def failed(self, error: BaseException) -> None:
        """Tell where the service failed, and not the words of the error, which may quote a patient's values."""
        name, module, line = (
            error.place if isinstance(error, FailedElsewhere) else (type(error).__name__, *raised_at(error))
        )
        self.metrics.failures.inc()
        self.told("failed", error=name, module=module, line=line)

    def audit_failed(self, error: AuditFull) -> None:
        self.metrics.audit.inc()
        if not self._audit_told:
            self.told("audit-full", reason=str(error), refusing=self.audit_full == REFUSE)
        self._audit_told = True


def remove_left_over() -> None:
    """Remove the private folders of services that were killed."""
    for found in Path(tempfile.gettempdir()).glob(f"{SCRATCH}*-*"):
        number = found.name.removeprefix(SCRATCH).partition("-")[0]
        with contextlib.suppress(OSError):
            if number.isdecimal() and found.stat().st_uid == os.getuid() and not _runs(int(number)):
                shutil.rmtree(found)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def facts_of(service: Service) -> dict[str, Any]:
    """What `/models` tells."""
    failed = service.shelf.failed
    default = service.shelf.get()
    models = [
        {
            "name": own.name,
            "version": own.version,
            "sha256": own.digest,
            "recipe": own.model.recipe,
            "target": own.model.target,
            "modalities": {name: reads.kind for name, reads in own.reads.items()},
            "patterns": list(own.model.patterns),
            "calibrated": own.thresholds is not None,
            "keeps_similar": own.model.similar is not None,
            "draws": own.draws,
        }
        for own in service.shelf
    ]
    return {"default": {"name": default.name, "version": default.version}, "models": models, "failed": dict(failed)}
