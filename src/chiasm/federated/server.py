"""Server of a federation: the coordinator waits for hospitals, aggregates their adapters, writes the final model."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, RecordDict

from chiasm.federated.address import server_credentials
from chiasm.federated.folder import MODEL, Federation, open_federation
from chiasm.federated.grid import HospitalGrid
from chiasm.federated.limits import Seldom
from chiasm.federated.service import Service, kept_content, listen
from chiasm.federated.strategy import UPDATES, LoraStrategy, Round, updates_record
from chiasm.federated.wire import FederationError, Sites, State, require_fold
from chiasm.recipes.hospitals.federation import SCALING, Plan, finished, sites_of

GOODBYE_SECONDS = 30.0
LONGEST_SECONDS = 30 * 86_400.0  # thread waits have an upper limit


@dataclass(frozen=True)
class Serving:
    """Network settings and waiting times of a server.

    Args:
        address: `host:port`; port 0 takes a free one.
        certificate, key: PEM files.
        insecure: listen without TLS, on a loopback address only.
        gather_seconds: how long the first round waits for all invited hospitals, and later ones for the minimum.
        round_seconds: how long a round waits for answers.
    """

    address: str
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    gather_seconds: float = 600.0
    round_seconds: float = 3600.0

    def __post_init__(self) -> None:
        for name, seconds in (("gather", self.gather_seconds), ("patience", self.round_seconds)):
            if not 0 <= seconds <= LONGEST_SECONDS:
                raise FederationError(f"--{name} lies between 0 and {LONGEST_SECONDS:,.0f} seconds")


def run_server(
    path: Path, serving: Serving, *, resume: bool = False, told: Callable[..., None] = lambda event, **facts: None
) -> list[dict[str, Any]]:
    """Serve a federation until its last round and write its final model; return a summary of each round.

    Args:
        path: the federation's folder.
        resume: continue with existing rounds; answers already received to an open round are not requested again.
        told: called with an event and its facts (`listening` with its port, `joined`, `round`, `refused`, `lost`).

    Raises:
        FederationError: rounds exist and `resume` is False; too few hospitals are invited, come or answer.
    """
    federation = open_federation(path)
    updates, names = federation.updates(), list(federation.invited)
    if len(names) < federation.least:
        raise FederationError(
            f"{len(names)} hospitals are invited and a round needs {federation.least}: chiasm federate invite"
        )
    if not resume and federation.round_folder(1).exists():
        raise FederationError(f"'{path.name}' has begun: add --resume to go on")
    base = federation.base
    require_sound(updates, federation.plan, sites_of(base))
    credentials = server_credentials(serving.address, serving.certificate, serving.key, serving.insecure)

    def log_and_tell(event: str, **facts: Any) -> None:
        federation.log(event, **facts)
        told(event, **facts)

    both = Seldom(log_and_tell)
    grid = HospitalGrid(
        names, least=federation.least, gather_seconds=serving.gather_seconds, told=both,
        answered=kept_content(federation, len(updates) + 1),
    )  # fmt: skip
    clock = _Clock()
    strategy = LoraStrategy(
        federation.plan, sites_of(base), updates=updates, least=federation.least, name_of=grid.name_of,
        keep=lambda done: keep_round(federation, grid, done, clock.lap(), both), write=grid.create_message,
    )  # fmt: skip
    server, port = listen(Service(federation, strategy, grid), serving.address, credentials)
    try:
        both("listening", port=port, tls=credentials is not None)
        left = federation.plan.rounds - len(updates)
        if left > 0:
            with _quiet_flower():
                strategy.start(grid, ArrayRecord(), num_rounds=left, timeout=serving.round_seconds)
        finished(base, federation.plan, strategy.updates).save(path / MODEL)
        both("finished", rounds=len(strategy.updates))
        grid.finish(RecordDict({UPDATES: updates_record(federation.plan, strategy.updates)}))
        grid.wait_until_told(GOODBYE_SECONDS)
    finally:
        server.stop(grace=1.0).wait()
    return federation.rounds()


def require_sound(updates: list[State], plan: Plan, sites: Sites) -> None:
    """Raise FederationError for a kept round whose update cannot be folded into the weights."""
    for number, update in enumerate(updates, start=1):
        try:
            require_fold(update, sites, 1.0 if plan.aggregation == "flora" else SCALING)
        except (FederationError, KeyError, RuntimeError):
            folder = f"round-{number:03d}"
            raise FederationError(
                f"round {number} holds an update that cannot be folded into the base: delete '{folder}' and the rounds "
                "after it, and start again with --resume"
            ) from None


def keep_round(
    federation: Federation, grid: HospitalGrid, done: Round, seconds: float, told: Callable[..., None]
) -> None:
    """Store a finished round, reset the traffic counters and report it."""
    by_patients = federation.plan.weights == "patients"
    counts = {name: (answer.patients or 0) if by_patients else 1 for name, answer in done.answers.items()}
    clients = [
        {
            "client": name,
            "rank": answer.rank,
            "patients": answer.patients,
            "weight": counts[name] / sum(counts.values()),
            "bytes_up": grid.traffic[name].up,
            "bytes_down": grid.traffic[name].down,
        }
        for name, answer in done.answers.items()
    ]
    rank = next(tensor.shape[0] for name, tensor in done.update.items() if ".lora_A." in name)
    document = {
        "round": done.number,
        "aggregation": federation.plan.aggregation,
        "rank": rank,
        "seconds": round(seconds, 3),
        "clients": clients,
        "refused": done.refused,
    }
    federation.keep_round(done.number, done.update, document)
    for traffic in grid.traffic.values():
        traffic.up = traffic.down = 0
    told("round", **document)


class _Clock:
    """Stopwatch that returns the seconds since the last lap."""

    def __init__(self) -> None:
        self.last = time.monotonic()

    def lap(self) -> float:
        before, self.last = self.last, time.monotonic()
        return self.last - before


@contextmanager
def _quiet_flower() -> Iterator[None]:
    """Silence Flower's step-by-step messages on standard error; the server reports its own events."""
    logger = logging.getLogger("flwr")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
