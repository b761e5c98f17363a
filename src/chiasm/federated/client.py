"""Client of a federation: a hospital polls the coordinator, trains on its own patients and sends its adapter."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MessageType, RecordDict

from chiasm import artifact
from chiasm.cohort import Cohort
from chiasm.federated.address import client_channel
from chiasm.federated.grid import message_apart
from chiasm.federated.limits import CALL_SECONDS
from chiasm.federated.service import PROTOCOL, SERVICE, pieces_of
from chiasm.federated.strategy import ADAPTER, FACTS, TASK, UPDATES, hospital_app, packed, take_updates
from chiasm.federated.wire import CHUNK, FederationError, control, gathered, read_control
from chiasm.fitting.model import FittedModel
from chiasm.recipes.hospitals.federation import Participant, Plan, finished

MOST_UPDATE_BYTES = 2**31
RETRY_SECONDS, LEAVE_SECONDS = 1.0, 2.0
AWAY = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
)


@dataclass(frozen=True)
class Joining:
    """Connection settings of a hospital.

    Args:
        server: `host:port` of the coordinator.
        name, token: as given by the coordinator.
        authority: PEM file of the authority that signed the server's certificate; None: those that gRPC trusts.
        insecure: connect without TLS, to a loopback address only.
        rank: rank of the adapter; None: the plan's.
        share_count: share the number of training patients if the plan weighs hospitals by it.
        patience_seconds: how long to retry an unreachable server.
    """

    server: str
    name: str
    token: str
    authority: Path | None = None
    insecure: bool = False
    rank: int | None = None
    share_count: bool = True
    patience_seconds: float = 600.0


def run_client(
    base_folder: Path,
    base: FittedModel,
    cohort: Cohort,
    joining: Joining,
    *,
    device: str = "cpu",
    told: Callable[..., None] = lambda event, **facts: None,
) -> FittedModel:
    """Take part in a federation until its last round; return the final model.

    Args:
        base_folder, base: the common base model; the folder's identity is compared with the server's.
        cohort: the hospital's cohort, encoded for the base.
        told: called with an event and its facts (`plan`, `training`, `sending`, `away`).

    Raises:
        FederationError: the server refuses this hospital, sends invalid messages, or cannot be reached.
        Unsupported: the cohort does not fit the base.
    """
    identity = artifact.identity(base_folder)
    with client_channel(joining.server, joining.authority, joining.insecure, 4 * CHUNK) as channel:
        line = Line(channel, joining, told)
        who = {"protocol": PROTOCOL, "base": identity}
        plan = plan_of(line.next(control({**who, "round": 0, "ready": False}))[0])
        if plan.weights == "patients" and not joining.share_count:
            raise FederationError(
                "this federation weighs hospitals by their number of training patients, which you do not tell: ask the "
                "coordinator for weights 'equal'"
            )
        participant = Participant(base, cohort, plan, joining.rank or plan.rank, joining.name, device)
        app = hospital_app(participant)
        told("plan", plan=plan, patients=participant.patients, rank=participant.rank)
        try:
            while True:
                document, updates = line.next(control({**who, "round": participant.round, "ready": True}))
                if document["state"] == "done":
                    take_updates(participant, updates)
                    return finished(base, plan, participant.updates)
                if document["state"] == "train":
                    told("training", round=document["round"])
                    reply = app(_instruction(document["round"], updates), Context(0, 1, {}, RecordDict(), {}))
                    facts = dict(reply.content.metric_records[FACTS])
                    data = reply.content.array_records[ADAPTER][ADAPTER].data
                    told("sending", round=document["round"], bytes=len(data), **facts)
                    line.send(control({**who, "round": document["round"], **facts}), data)
        except BaseException:
            line.leave(control({**who, "leaves": True}))
            raise


class Line:
    """The two calls to the server, retried while it is unreachable."""

    def __init__(self, channel: Any, joining: Joining, told: Callable[..., None]) -> None:
        self.joining, self.told = joining, told
        self.metadata = (("name", joining.name), ("token", joining.token))
        self._next = channel.unary_stream(f"/{SERVICE}/Next")
        self._send = channel.stream_unary(f"/{SERVICE}/Send")

    def next(self, request: bytes) -> tuple[dict[str, Any], dict[int, bytes]]:
        """Ask for the next instruction; return it and the updates by round."""

        def call() -> tuple[dict[str, Any], dict[int, bytes]]:
            stream: Iterator[bytes] = self._next(request, metadata=self.metadata, timeout=CALL_SECONDS)
            document = read_control(next(stream, b""))
            sizes = _sizes(document)
            data = gathered(stream, sum(size for _, size in sizes))
            updates, start = {}, 0
            for number, size in sizes:
                updates[number] = data[start : start + size]
                start += size
            return document, updates

        return self._patiently(call)  # type: ignore[no-any-return]

    def send(self, document: bytes, data: bytes) -> bool:
        """Send the adapter; return whether it was accepted, False if the round has closed meanwhile."""
        answer = self._patiently(
            lambda: self._send(pieces_of(document, data), metadata=self.metadata, timeout=CALL_SECONDS)
        )
        return bool(read_control(answer).get("taken"))

    def leave(self, document: bytes) -> None:
        """Tell the server, if reachable, not to wait for this hospital."""
        with contextlib.suppress(grpc.RpcError):
            self._send(iter([document]), metadata=self.metadata, timeout=LEAVE_SECONDS)

    def _patiently(self, call: Callable[[], Any]) -> Any:
        end = time.monotonic() + self.joining.patience_seconds
        away = False
        while True:
            try:
                return call()
            except grpc.RpcError as error:
                code, details = error.code(), error.details() or ""
                if code not in AWAY or "larger than max" in details:
                    raise FederationError(f"'{self.joining.name}' was turned away: {details}") from None
                if "certificate" in details.lower() or "handshake" in details.lower():
                    raise FederationError(
                        f"no encrypted connection to {self.joining.server}: its certificate is not of --authority, is "
                        "for another name, or it speaks no TLS"
                    ) from None
                if time.monotonic() >= end:
                    raise FederationError(
                        f"{self.joining.server} did not answer for {self.joining.patience_seconds:,.0f} s: ask the "
                        "coordinator whether it runs, and start this command again; it goes on where the others are"
                    ) from None
                if not away:
                    self.told("away", server=self.joining.server)
                away = True
                time.sleep(RETRY_SECONDS)


def plan_of(document: dict[str, Any]) -> Plan:
    """Read the plan from a server's message.

    Raises:
        FederationError: the plan is missing or invalid.
    """
    try:
        return Plan(**document["plan"])
    except (KeyError, TypeError, ValueError) as error:
        raise FederationError("the server's plan cannot be: it has another chiasm, install the same one") from error


def _instruction(number: int, updates: dict[int, bytes]) -> Message:
    arrays = ArrayRecord({str(key): packed(data) for key, data in updates.items()})
    content = RecordDict({UPDATES: arrays, TASK: ConfigRecord({"round": number})})
    return message_apart(content, MessageType.TRAIN, 1, str(number))


def _sizes(document: dict[str, Any]) -> list[tuple[int, int]]:
    found = document.get("updates")
    if not isinstance(found, list) or len(found) > 10_000 or document.get("state") not in ("train", "wait", "done"):
        raise FederationError("the server says something that cannot be")
    sizes = []
    for item in found:
        if not (isinstance(item, list) and len(item) == 2 and all(isinstance(part, int) and part > 0 for part in item)):
            raise FederationError("the server says something that cannot be")
        sizes.append((item[0], item[1]))
    if sum(size for _, size in sizes) > MOST_UPDATE_BYTES:
        raise FederationError("the server wants to send more than any update of this base is")
    return sizes
