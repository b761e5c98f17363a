"""The server's side of gRPC: who asks is asked for its token first, and nothing is read before that.

Two calls, each with `name` and `token` beside it (metadata): `Next` says what a hospital shall do and streams the
updates it lacks; `Send` streams its adapter, of which no byte more is read than an adapter has.

Why not Flower's own server. Its `start_server` and `start_client` are deprecated since 1.13. What took their place
(`flower-superlink`, `flower-supernode`, `flwr run`; read in 1.41) sends an application, code and all, from a server to
every hospital, which installs what it asks for and runs it. Here a hospital runs the chiasm that it has installed, and
nothing that comes over the network is executed. It also takes three processes a site, of which one is an HTTP server,
polls every three seconds and keeps its state in one folder of the user's. The strategy and the hospital are Flower's
(`strategy.py`), so that who trusts a coordinator with that can run them there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from typing import Any

import grpc  # type: ignore[import-untyped]
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from chiasm.federated.folder import Federation
from chiasm.federated.grid import HospitalGrid
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
OPTIONS = [("grpc.max_receive_message_length", 4 * CHUNK), ("grpc.so_reuseport", 0)]
WRONG_TOKEN = (
    "the token is not the one that this hospital was given, or it is not invited: ask the coordinator for a new one"
)
THREADS_BESIDE = 8  # beside one for each hospital that waits for its next round
Identity = Callable[[bytes], bytes]


class Service:
    """The two calls, for one federation."""

    def __init__(self, federation: Federation, strategy: LoraStrategy, grid: HospitalGrid) -> None:
        self.federation, self.strategy, self.grid = federation, strategy, grid
        self.most_rank = largest_rank(dict(strategy.sites))
        self._turned: Counter[tuple[str, Any]] = Counter()

    def next(self, request: bytes, context: Any) -> Iterator[bytes]:
        """A document (`state`, `round`, `plan`, `updates`: number and bytes of each), then the updates in pieces."""
        name = self._who(context)
        try:
            asked = read_control(request)
            self._same_federation(asked)
            knows = whole(asked, "round", 0, self.federation.plan.rounds)
        except FederationError as error:
            self._abort(context, name, grpc.StatusCode.FAILED_PRECONDITION, str(error))
        # Who has not looked at its patients yet is told the plan only: no round waits for it until it can answer.
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

    def send(self, pieces: Iterator[bytes], context: Any) -> bytes:
        """A document (`round`, `rank`, and `patients` where the plan weighs by them), then the adapter in pieces.

        What comes back says whether it was taken; where it is refused the call fails with the reason.
        """
        name = self._who(context)
        group = "0"
        try:
            asked = read_control(next(pieces, b""))
            self._same_federation(asked)
            if asked.get("leaves") is True:
                self.grid.leave(name)
                return control({"taken": False})
            group = str(whole(asked, "round", 1, self.federation.plan.rounds))
            rank = whole(asked, "rank", 1, self.most_rank)
            if not self.grid.awaited(name, group):
                return control({"taken": False})
            data = gathered(pieces, most_bytes(self.strategy.sites, rank))
            self.grid.traffic[name].up += len(data)
            facts = {key: value for key, value in asked.items() if key in ("rank", "patients")}
            content = answer_content(data, facts)
            answer = self.strategy.read(content)
        except FederationError as error:
            reason = f"{error}"
            if group == "0":  # it spoke of no round, so whichever is open goes on without it
                group = self.grid.open_group() or group
            self.grid.refuse(name, group, reason)
            self._abort(context, name, grpc.StatusCode.INVALID_ARGUMENT, reason, log=False)
        taken = self.grid.answer(name, group, content, lambda: self.federation.keep_answer(int(group), name, answer))
        return control({"taken": taken})

    def _who(self, context: Any) -> str:
        """The hospital that calls, by its token."""
        given = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        name, token = given.get("name", ""), given.get("token", "")
        if not self.federation.admits(name, token):
            known = name in self.federation.invited  # a name that somebody else chose is not repeated
            self._abort(context, name if known else "", grpc.StatusCode.UNAUTHENTICATED, WRONG_TOKEN)
        if name not in self.grid.names:
            reason = "this hospital was invited after the server was started: it takes part when it starts again"
            self._abort(context, name, grpc.StatusCode.FAILED_PRECONDITION, reason)
        return name

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
            self._turned[name, code] += 1
            times = self._turned[name, code]
            if times == 10 ** (len(str(times)) - 1):  # the 1st, 10th, 100th: who has no token fills no disk
                self.grid.told("turned-away", client=name or None, reason=reason, times=times)
        context.abort(code, reason)


def answer_content(data: bytes, facts: dict[str, Any]) -> RecordDict:
    """An answer as the strategy reads it."""
    try:
        return RecordDict({ADAPTER: ArrayRecord({ADAPTER: packed(data)}), FACTS: MetricRecord(facts)})
    except (TypeError, ValueError) as error:
        raise FederationError("the facts beside an adapter are not numbers") from error


def kept_content(federation: Federation, number: int) -> dict[str, RecordDict]:
    """The answers to a round that came before the server was started again."""
    return {
        name: answer_content(
            to_bytes(answer.adapter),
            {"rank": answer.rank, **({} if answer.patients is None else {"patients": answer.patients})},
        )
        for name, answer in federation.answers(number).items()
    }


def listen(service: Service, address: str, credentials: Any | None) -> tuple[Any, int]:
    """The gRPC server and the port it listens on, which it chooses where the address says 0.

    Raises:
        FederationError: nothing can listen there.
    """
    handlers = {
        "Next": grpc.unary_stream_rpc_method_handler(service.next),
        "Send": grpc.stream_unary_rpc_method_handler(service.send),
    }
    threads = ThreadPoolExecutor(len(service.grid.names) + THREADS_BESIDE)
    server = grpc.server(threads, options=OPTIONS)
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
    """A document and the bytes after it, as both sides send them."""
    yield document
    yield from chunks(data)
