"""Where hospitals and the server meet: a Flower `Grid` whose nodes come and ask, and may go and come back.

Hospitals open every connection, so that no port of theirs is reachable. `HospitalGrid` knows no network: `service.py`
hands it what comes over gRPC.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from flwr.app import DEFAULT_TTL, Error, Message, Metadata, RecordDict
from flwr.serverapp import Grid

from chiasm.federated.wire import FederationError

ASK_AGAIN_SECONDS = 10.0  # how long a hospital that asks is kept before it is told to ask again
LOST = 1


def message_apart(content: RecordDict, message_type: str, node: int, group: str) -> Message:
    """A message outside a run of Flower, where its constructor asks for the run."""
    metadata = Metadata(0, uuid4().hex, 0, node, "", group, time.time(), DEFAULT_TTL, message_type)
    make: Any = Message
    made: Message = make(content=content, metadata=metadata)
    return made


@dataclass
class Traffic:
    """Bytes of tensors, to a hospital and from it."""

    down: int = 0
    up: int = 0


@dataclass
class _Open:
    """A round in which answers are waited for."""

    messages: dict[str, Message]  # by hospital
    replies: dict[str, Message] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> set[str]:
        return set(self.messages) - set(self.replies) - set(self.refused)


class HospitalGrid(Grid):
    """Nodes are the invited hospitals, numbered from one in the order of their names.

    Args:
        names: of all that are invited.
        least: how many have to be there for a round.
        gather_seconds: how long the first round waits for all that are invited, and any for as many as it needs.
        answered: what came of a round before this server was started again, name to content.
        told: called with an event and its facts, for the log and the screen.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        least: int,
        gather_seconds: float,
        answered: Mapping[str, RecordDict] | None = None,
        told: Callable[..., None] = lambda event, **facts: None,
    ) -> None:
        self.names, self.least, self.gather_seconds, self.told = tuple(sorted(names)), least, gather_seconds, told
        self.traffic: dict[str, Traffic] = {name: Traffic() for name in self.names}
        self._answered = dict(answered or {})
        self._there: set[str] = set()
        self._gathered = False
        self._open: _Open | None = None
        self._last: RecordDict | None = None  # what hospitals get when all is done
        self._told_done: set[str] = set()
        self._changed = threading.Condition()

    # What Flower calls.

    def set_run(self, run: Any) -> None:
        """There is one run, and it needs no name."""

    @property
    def run(self) -> Any:
        """There is one run, and it needs no name."""
        raise FederationError("this grid has one run only")

    def name_of(self, node: int) -> str:
        """The hospital that a node is."""
        return self.names[node - 1]

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """A message to a hospital."""
        return message_apart(content, message_type, dst_node_id, group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Those who are there: at first all that are invited, or who of them came in `gather_seconds`.

        Who answered before the server was started again need not come back for that round. Later rounds wait only while
        fewer are there than a round needs; who comes back takes part in the next one.

        Raises:
            FederationError: fewer came.
        """
        end = time.monotonic() + self.gather_seconds
        with self._changed:
            wanted = self.least if self._gathered else len(self.names)
            while len(self._there | set(self._answered)) < wanted and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            self._gathered = True
            there = sorted(self._there | set(self._answered))  # what came before a restart counts, whoever stays away
        if len(there) < self.least:
            came = ", ".join(there) or "nobody"
            raise FederationError(
                f"{came} came in {self.gather_seconds:,.0f} s and a round needs {self.least}: see that the hospitals "
                "reach this server, and start it again with --resume"
            )
        return [self.names.index(name) + 1 for name in there]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Open a round with these messages, one a hospital."""
        sent = list(messages)
        with self._changed:
            self._open = _Open({self.name_of(message.metadata.dst_node_id): message for message in sent})
            for name, content in self._answered.items():
                if name in self._open.messages:
                    self._open.replies[name] = Message(content, reply_to=self._open.messages[name])
            self._answered = {}
            self._changed.notify_all()
        return [message.metadata.message_id for message in sent]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """The answers that are there by now, refused ones as errors."""
        wanted = set(message_ids)
        with self._changed:
            if self._open is None:
                return []
            asked = {name: own for name, own in self._open.messages.items() if own.metadata.message_id in wanted}
            found = [self._open.replies[name] for name in asked if name in self._open.replies]
            refused = [(own, self._open.refused[name]) for name, own in asked.items() if name in self._open.refused]
        return found + [Message(Error(LOST, reason), reply_to=own) for own, reason in refused]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Open a round, wait until all have answered or were refused, close it; who did not answer is not there."""
        identities = list(self.push_messages(messages))
        if not identities:
            return []
        end = time.monotonic() + timeout if timeout is not None else None
        with self._changed:
            assert self._open is not None
            while self._open.waiting and (end is None or end > time.monotonic()):
                self._changed.wait(None if end is None else end - time.monotonic())
            for name in sorted(self._open.waiting):
                self._open.refused[name] = f"no answer in {timeout:,.0f} s"
                self._there.discard(name)
                self.told("lost", client=name, reason=self._open.refused[name])
            found = list(self.pull_messages(identities))
            self._open = None
        return found

    # What the service calls, for a hospital whose token it has seen.

    def next_for(self, name: str, seconds: float = ASK_AGAIN_SECONDS) -> tuple[str, RecordDict | None]:
        """What a hospital shall do: `train` and `done` with a message's content, `wait` without; it is there now."""
        end = time.monotonic() + seconds
        with self._changed:
            if name not in self._there:
                self._there.add(name)
                self.told("joined", client=name)
                self._changed.notify_all()
            while True:
                if self._last is not None:
                    return "done", self._last
                if self._open is not None and name in self._open.waiting:
                    return "train", self._open.messages[name].content
                if (left := end - time.monotonic()) <= 0:
                    return "wait", None
                self._changed.wait(left)

    def open_group(self) -> str | None:
        """The round that is open now."""
        with self._changed:
            if self._open is None:
                return None
            return str(next(iter(self._open.messages.values())).metadata.group_id)

    def awaited(self, name: str, group: str) -> bool:
        """Whether this hospital's answer to this round is waited for."""
        with self._changed:
            return self._awaited(name, group)

    def answer(self, name: str, group: str, content: RecordDict, keep: Callable[[], None]) -> bool:
        """Take an answer that was read and found sound; False where nobody waits for it.

        Args:
            keep: writes it down, before the hospital may forget it.
        """
        with self._changed:
            if not self._awaited(name, group):
                return False
            keep()
            assert self._open is not None
            self._open.replies[name] = Message(content, reply_to=self._open.messages[name])
            self._changed.notify_all()
            return True

    def refuse(self, name: str, group: str, reason: str) -> None:
        """The round goes on without this hospital; it is not there until it asks again."""
        with self._changed:
            if self._awaited(name, group) and self._open is not None:
                self._open.refused[name] = reason
                self._there.discard(name)
                self._changed.notify_all()
        self.told("refused", client=name, reason=reason)

    def leave(self, name: str) -> None:
        """A hospital says that it goes: no round waits for it until it asks again."""
        with self._changed:
            if self._open is not None and name in self._open.waiting:
                self._open.refused[name] = "it left"
            self._there.discard(name)
            self._changed.notify_all()
        self.told("left", client=name)

    def finish(self, content: RecordDict) -> None:
        """From now on every hospital that asks is told that all is done."""
        with self._changed:
            self._last = content
            self._changed.notify_all()

    def told_done(self, name: str) -> None:
        """A hospital has everything."""
        with self._changed:
            self._told_done.add(name)
            self._changed.notify_all()

    def wait_until_told(self, seconds: float) -> None:
        """Until every hospital that is there has everything, but no longer than this."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._there - self._told_done and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _awaited(self, name: str, group: str) -> bool:
        if self._open is None or name not in self._open.waiting:
            return False
        return bool(self._open.messages[name].metadata.group_id == group)
