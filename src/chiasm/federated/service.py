"""gRPC service of the server: every caller is authenticated by its token before anything else is read.

There are two calls, each with `name` and `token` as metadata: `Next` tells a hospital what to do and streams the
updates it lacks; `Send` streams its adapter, and reading stops at the size that an adapter has at most. How many calls
a hospital has open at once and how long it may take to send are limited (`limits.py`), so that none can keep the others
from being answered.

Why not Flower's own server: its `start_server` and `start_client` are deprecated since 1.13. Their successors
(`flower-superlink`, `flower-supernode`, `flwr run`; as of 1.41) send an application including its code from a server to
every hospital, which installs its requirements and runs it. Here a hospital runs its installed chiasm, and nothing
received over the network is executed. Flower's also need three processes per site, one of them an HTTP server, poll
every three seconds and keep their state in one folder of the user's. The strategy and the hospital are Flower's
(`strategy.py`), so they can run there for those who trust a coordinator with code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import grpc  # type: ignore[import-untyped]
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from chiasm.federated.folder import Federation
from chiasm.federated.grid import HospitalGrid
from chiasm.federated.limits import (
    DOCUMENT_SECONDS,
    MOST_CALLS,
    SEND_SECONDS,
    SERVER_OPTIONS,
    THREADS_BESIDE,
    WAITING_CALLS,
    OpenCalls,
    within,
)
from chiasm.federated.strategy import ADAPTER, FACTS, TASK, UPDATES, LoraStrategy, packed
from chiasm.federated.wire import (
    CHUNK,
    FederationError,
    chunks,
    control,
    gathered,
    most_bytes,
    read_control,
    to_bytes,
    whole,
)
from chiasm.recipes.hospitals.federation import largest_rank

SERVICE = "chiasm.Federation"
PROTOCOL = 1
OPTIONS = [("grpc.max_receive_message_length", 4 * CHUNK), ("grpc.so_reuseport", 0), *SERVER_OPTIONS]
WRONG_TOKEN = (
    "the token is not the one that this hospital was given, or it is not invited: ask the coordinator for a new one"
)
Identity = Callable[[bytes], bytes]


class Service:
    """The two gRPC calls of one federation."""

    def __init__(self, federation: Federation, strategy: LoraStrategy, grid: HospitalGrid) -> None:
        self.federation, self.strategy, self.grid = federation, strategy, grid
        self.most_rank = largest_rank(dict(strategy.sites))
        self.calls = OpenCalls()

    def next(self, request: bytes, context: Any) -> Iterator[bytes]:
        """Answer `Next` within the limits of a hospital; see `instruct`."""
        name = self._who(context)
        with self._counted(name, context):
            yield from self.instruct(name, request, context)

    def send(self, pieces: Iterator[bytes], context: Any) -> bytes:
        """Answer `Send` within the limits of a hospital; see `receive`."""
        name = self._who(context)
        with self._counted(name, context):
            return self.receive(name, pieces, context)

    def instruct(self, name: str, request: bytes, context: Any) -> Iterator[bytes]:
        """Stream a document (`state`, `round`, `plan`, `updates`: numbers and sizes), then the updates in chunks."""
        try:
            asked = read_control(request)
            self._same_federation(asked)
            knows = whole(asked, "round", 0, self.federation.plan.rounds)
        except FederationError as error:
            self._abort(context, name, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        # A hospital that has not prepared its patients yet gets only the plan: no round waits for it until it is ready.
        state, content = self.grid.next_for(name) if asked.get("ready") is True else ("wait", None)
        updates: dict[int, bytes] = {}
        number = 0
        if content is not None:
            found = {int(key): array.data for key, array in content.array_records[UPDATES].items()}
            updates = {key: data for key, data in found.items() if key > knows}
            if state == "train":
                number = int(content.config_records[TASK]["round"])  # type: ignore[arg-type]
        sizes = [[key, len(data)] for key, data in updates.items()]
        yield control({"state": state, "round": number, "plan": asdict(self.federation.plan), "updates": sizes})
        for data in updates.values():
            self.grid.traffic[name].down += len(data)
            yield from chunks(data)
        if state == "done":
            self.grid.told_done(name)

    def receive(self, name: str, pieces: Iterator[bytes], context: Any) -> bytes:
        """Receive a document (`round`, `rank`, and `patients` if the plan weighs by it), then the adapter in chunks.

        The reply says whether the adapter was accepted; if it is refused, the call fails with the reason.
        """
        group = "0"
        try:
            with within(DOCUMENT_SECONDS, context, lambda: self._silent(name, DOCUMENT_SECONDS)):
                document = next(pieces, b"")
            asked = read_control(document)
            self._same_federation(asked)
            if asked.get("leaves") is True:
                self.grid.leave(name)
                return control({"taken": False})
            group = str(whole(asked, "round", 1, self.federation.plan.rounds))
            rank = whole(asked, "rank", 1, self.most_rank)
            if not self.grid.awaited(name, group):
                return control({"taken": False})
            with within(SEND_SECONDS, context, lambda: self._silent(name, SEND_SECONDS)):
                data = gathered(pieces, most_bytes(self.strategy.sites, rank))
            self.grid.traffic[name].up += len(data)
            facts = {key: value for key, value in asked.items() if key in ("rank", "patients")}
            content = answer_content(data, facts)
            answer = self.strategy.read(content)
        except FederationError as error:
            reason = f"{error}"
            if group == "0":  # it named no round, so the open one continues without it
                group = self.grid.open_group() or group
            self.grid.refuse(name, group, reason)
            self._abort(context, name, grpc.StatusCode.INVALID_ARGUMENT, reason, log=False)
        taken = self.grid.answer(name, group, content, lambda: self.federation.keep_answer(int(group), name, answer))
        return control({"taken": taken})

    def _who(self, context: Any) -> str:
        """Authenticate the caller by its token; return the hospital's name."""
        given = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        name, token = given.get("name", ""), given.get("token", "")
        if not self.federation.admits(name, token):
            known = name in self.federation.invited  # an unknown name is untrusted and not logged
            self._abort(context, name if known else "", grpc.StatusCode.UNAUTHENTICATED, WRONG_TOKEN)
        if name not in self.grid.names:
            reason = "this hospital was invited after the server was started: it takes part when it starts again"
            self._abort(context, name, grpc.StatusCode.FAILED_PRECONDITION, reason)
        return name

    @contextmanager
    def _counted(self, name: str, context: Any) -> Iterator[None]:
        with self.calls.one_of(name) as free:
            if not free:
                reason = f"it has {MOST_CALLS} calls open already: one client a hospital"
                self._abort(context, name, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
            yield

    def _silent(self, name: str, seconds: float) -> None:
        self.grid.told("turned-away", client=name, reason=f"a call of it was not whole in {seconds:,.0f} s")

    def _same_federation(self, asked: dict[str, Any]) -> None:
        if asked.get("protocol") != PROTOCOL:
            raise FederationError("the server and this hospital have different versions of chiasm: install the same")
        if asked.get("base") != self.federation.base_identity:
            raise FederationError(
                f"your base is another model than the federation's, whose identity begins with "
                f"{self.federation.base_identity[:12]}: ask the coordinator for it"
            )

    def _abort(self, context: Any, name: str, code: Any, reason: str, log: bool = True) -> Any:
        if log:
            self.grid.told("turned-away", client=name or None, reason=reason)
        context.abort(code, reason)


def answer_content(data: bytes, facts: dict[str, Any]) -> RecordDict:
    """Wrap an answer in the message content that the strategy reads."""
    try:
        return RecordDict({ADAPTER: ArrayRecord({ADAPTER: packed(data)}), FACTS: MetricRecord(facts)})
    except (TypeError, ValueError) as error:
        raise FederationError("the facts beside an adapter are not numbers") from error


def kept_content(federation: Federation, number: int) -> dict[str, RecordDict]:
    """Load the answers to a round that were received before a restart of the server."""
    return {
        name: answer_content(
            to_bytes(answer.adapter),
            {"rank": answer.rank, **({} if answer.patients is None else {"patients": answer.patients})},
        )
        for name, answer in federation.answers(number).items()
    }


def listen(service: Service, address: str, credentials: Any | None) -> tuple[Any, int]:
    """Start the gRPC server; return it and its port, which it chooses if the address says 0.

    Raises:
        FederationError: the server cannot listen on this address.
    """
    handlers = {
        "Next": grpc.unary_stream_rpc_method_handler(service.next),
        "Send": grpc.stream_unary_rpc_method_handler(service.send),
    }
    most = (
        len(service.grid.names) * MOST_CALLS + THREADS_BESIDE
    )  # as many as all hospitals can hold, and some to refuse
    server = grpc.server(ThreadPoolExecutor(most), options=OPTIONS, maximum_concurrent_rpcs=most + WAITING_CALLS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    try:
        port = (
            server.add_insecure_port(address) if credentials is None else server.add_secure_port(address, credentials)
        )
    except RuntimeError as error:
        raise FederationError(f"nothing can listen on {address}: is another server there?") from error
    server.start()
    return server, int(port)


def pieces_of(document: bytes, data: bytes) -> Iterable[bytes]:
    """Yield a document followed by chunks of data, the format of every stream."""
    yield document
    yield from chunks(data)
