"""What a service counts, as Prometheus reads it; a pattern of few patients is not told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total
from prometheus_client.core import CounterMetricFamily

from chiasm.cohort.small_cells import guarded, small

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
PATIENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts of requests, their time, batches, patterns and failures."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Total("chiasm_requests", "Requests, by route and status.", ["route", "status"], **own)
        self.seconds = Histogram(
            "chiasm_request_seconds", "Seconds from the first byte to the answer.", ["route"], buckets=SECONDS, **own
        )
        self.batch = Histogram("chiasm_batch_patients", "Patients predicted together.", buckets=PATIENTS, **own)
        self.work = Histogram("chiasm_batch_seconds", "Seconds that a batch took.", buckets=SECONDS, **own)
        self.failures = Total("chiasm_failures", "Requests that failed by a fault of the service.", **own)
        self.audit = Total("chiasm_audit_failures", "Lines that the audit trail could not take.", **own)
        self.again = Total("chiasm_asked_again", "Requests that a replica was lost with, and another was asked.", **own)
        self.open = Gauge("chiasm_requests_in_work", "Requests in work.", **own)
        self.models = Gauge("chiasm_model", "Versions that are served.", ["model", "version"], **own)
        self.reloads = Total("chiasm_reload_failures", "Models that could not be loaded.", **own)
        self._patterns: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()
        self.registry.register(self)

    def batched(self, patients: int, seconds: float) -> None:
        self.batch.observe(patients)
        self.work.observe(seconds)

    def predicted(self, model: str, patterns: Counter[str]) -> None:
        """Count the patterns of patients who were predicted."""
        with self._lock:
            self._patterns.update({(model, pattern): number for pattern, number in patterns.items()})

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yield the patients of each pattern, where it had five or more, and where none of fewer follows from it."""
        told = CounterMetricFamily(
            "chiasm_patients", "Patients predicted, by pattern; not of fewer than five.", labels=["model", "pattern"]
        )
        with self._lock:
            found = dict(self._patterns)
        for model in sorted({own for own, _ in found}):
            cells = {pattern: number for (own, pattern), number in sorted(found.items()) if own == model}
            counts = np.array(list(cells.values()))
            hidden = guarded(counts, np.ones((1, len(counts))), secret=small(counts))
            for (pattern, number), secret in zip(cells.items(), hidden.tolist(), strict=True):
                if not secret:
                    told.add_metric([model, pattern or "none"], number)
        yield told

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return generate_latest(self.registry)
