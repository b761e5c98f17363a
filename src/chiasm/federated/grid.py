"""A Flower `Grid` of hospitals that poll the server, and may leave and return between rounds.

Hospitals open every connection, so that none needs a reachable port. `HospitalGrid` does no networking: `service.py`
passes it the messages received over gRPC.
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

ASK_AGAIN_SECONDS = 10.0  # how long a poll is held before the hospital is told to ask again
LOST = 1


def message_apart(content: RecordDict, message_type: str, node: int, group: str) -> Message:
    """Create a message outside a run of Flower, whose own constructor requires one."""
    metadata = Metadata(0, uuid4().hex, 0, node, "", group, time.time(), DEFAULT_TTL, message_type)
    make: Any = Message
    made: Message = make(content=content, metadata=metadata)
    return made


@dataclass
class Traffic:
    """Bytes of tensors sent to a hospital and received from it."""

    down: int = 0
    up: int = 0


@dataclass
class _Open:
    """An open round, which waits for answers."""

    messages: dict[str, Message]  # by hospital
    replies: dict[str, Message] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def waiting(self) -> set[str]:
        return set(self.messages) - set(self.replies) - set(self.refused)


class HospitalGrid(Grid):
    """Flower grid whose nodes are the invited hospitals, numbered from one in the order of their names.

    Args:
        names: names of all invited hospitals.
        least: minimum number of hospitals for a round.
        gather_seconds: how long the first round waits for all invited hospitals, and later ones for `least`.
        answered: answers to the open round from before a restart of the server, by name.
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
        self._round = 0  # number of rounds opened
        # hospital -> how many rounds in a row waited for it in vain, and the round until which none waits for it alone
        self._late: dict[str, tuple[int, int]] = {}
        self._gathered = False
        self._open: _Open | None = None
        self._last: RecordDict | None = None  # sent to hospitals when all rounds are done
        self._told_done: set[str] = set()
        self._changed = threading.Condition()

    # Called by Flower.

    def set_run(self, run: Any) -> None:
        """Ignore the run: this grid has only one."""

    @property
    def run(self) -> Any:
        """Raise FederationError: this grid has only one run, which has no description."""
        raise FederationError("this grid has one run only")

    def name_of(self, node: int) -> str:
        """Return the name of a node's hospital."""
        return self.names[node - 1]

    def create_message(
        self, content: RecordDict, message_type: str, dst_node_id: int, group_id: str, ttl: float | None = None
    ) -> Message:
        """Create a message to a hospital."""
        return message_apart(content, message_type, dst_node_id, group_id)

    def get_node_ids(self) -> Iterable[int]:
        """Wait for hospitals and return those present; the first round waits up to `gather_seconds` for all invited.

        A hospital that answered before a restart of the server need not return for that round. Later rounds wait only
        while fewer than `least` are present; a hospital that returns takes part in the next round.

        Raises:
            FederationError: fewer than `least` hospitals are present in time.
        """
        end = time.monotonic() + self.gather_seconds
        with self._changed:
            wanted = self.least if self._gathered else len(self.names)
            while len(self._there | set(self._answered)) < wanted and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
            self._gathered = True
            there = sorted(
                self._there | set(self._answered)
            )  # answers from before a restart count, even of absent hospitals
        if len(there) < self.least:
            came = ", ".join(there) or "nobody"
            raise FederationError(
                f"{came} came in {self.gather_seconds:,.0f} s and a round needs {self.least}: see that the hospitals "
                "reach this server, and start it again with --resume"
            )
        return [self.names.index(name) + 1 for name in there]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Open a round with these messages, one per hospital."""
        sent = list(messages)
        with self._changed:
            self._round += 1
            self._open = _Open({self.name_of(message.metadata.dst_node_id): message for message in sent})
            for name, content in self._answered.items():
                if name in self._open.messages:
                    self._open.replies[name] = Message(content, reply_to=self._open.messages[name])
            self._answered = {}
            self._changed.notify_all()
        return [message.metadata.message_id for message in sent]

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the answers received so far, refused ones as errors."""
        wanted = set(message_ids)
        with self._changed:
            if self._open is None:
                return []
            asked = {name: own for name, own in self._open.messages.items() if own.metadata.message_id in wanted}
            found = [self._open.replies[name] for name in asked if name in self._open.replies]
            refused = [(own, self._open.refused[name]) for name, own in asked.items() if name in self._open.refused]
        return found + [Message(Error(LOST, reason), reply_to=own) for own, reason in refused]

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> Iterable[Message]:
        """Run a round: send, wait until all have answered or were refused, and mark the others as absent.

        A hospital that let a round wait in vain may take part in later ones. The next three wait for it only as long as
        for the others, or as long as they lack answers; then one waits again, and if in vain, the next seven do not,
        and so on until it answers: of many rounds it delays few.
        """
        sent = list(messages)
        if not sent:  # no hospital evaluates: that is no round
            return []
        identities = list(self.push_messages(sent))
        end = time.monotonic() + timeout if timeout is not None else None
        with self._changed:
            assert self._open is not None
            while self._awaits_more() and (end is None or end > time.monotonic()):
                self._changed.wait(None if end is None else end - time.monotonic())
            in_vain = self._awaits_more()  # and not only late: a slow machine may reach the end as the last one answers
            for name in sorted(self._open.waiting):
                self._open.refused[name] = (
                    f"no answer in {timeout:,.0f} s" if in_vain else "no answer before the others, and late before"
                )
                if in_vain and self._round > self._late.get(name, (0, 0))[1]:  # it was waited for
                    vain = self._late.get(name, (0, 0))[0] + 1
                    self._late[name] = vain, self._round + 2 ** (vain + 1) - 1
                self._there.discard(name)
                self.told("lost", client=name, reason=self._open.refused[name])
            found = list(self.pull_messages(identities))
            self._open = None
        return found

    # Called by the service, for a hospital with a valid token.

    def next_for(self, name: str, seconds: float = ASK_AGAIN_SECONDS) -> tuple[str, RecordDict | None]:
        """Register a hospital as present; return `train` or `done` with a message's content, or `wait` without."""
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
        """Return the open round, None if there is none."""
        with self._changed:
            if self._open is None:
                return None
            return str(next(iter(self._open.messages.values())).metadata.group_id)

    def awaited(self, name: str, group: str) -> bool:
        """Return whether this round waits for this hospital's answer."""
        with self._changed:
            return self._awaited(name, group)

    def answer(self, name: str, group: str, content: RecordDict, keep: Callable[[], None]) -> bool:
        """Accept a validated answer; return False if the round does not wait for it.

        Args:
            keep: stores the answer, before it is acknowledged.
        """
        with self._changed:
            if not self._awaited(name, group):
                return False
            keep()
            assert self._open is not None
            self._open.replies[name] = Message(content, reply_to=self._open.messages[name])
            self._late.pop(name, None)
            self._changed.notify_all()
            return True

    def refuse(self, name: str, group: str, reason: str) -> None:
        """Continue the round without this hospital, which is absent until it asks again."""
        with self._changed:
            if self._awaited(name, group) and self._open is not None:
                self._open.refused[name] = reason
                self._there.discard(name)
                self._changed.notify_all()
        self.told("refused", client=name, reason=reason)

    def leave(self, name: str) -> None:
        """Register that a hospital leaves: no round waits for it until it asks again."""
        with self._changed:
            if self._open is not None and name in self._open.waiting:
                self._open.refused[name] = "it left"
            self._there.discard(name)
            self._changed.notify_all()
        self.told("left", client=name)

    def finish(self, content: RecordDict) -> None:
        """Answer every hospital that asks from now on with `done` and this content."""
        with self._changed:
            self._last = content
            self._changed.notify_all()

    def told_done(self, name: str) -> None:
        """Register that a hospital has received the final updates."""
        with self._changed:
            self._told_done.add(name)
            self._changed.notify_all()

    def wait_until_told(self, seconds: float) -> None:
        """Wait until every present hospital has received the final updates, at most this many seconds."""
        end = time.monotonic() + seconds
        with self._changed:
            while self._there - self._told_done and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)

    def _awaits_more(self) -> bool:
        """Return whether the open round lacks an answer that it waits for."""
        assert self._open is not None
        waiting = self._open.waiting
        late = {name for name, (_, until) in self._late.items() if self._round <= until}
        return bool(waiting - late) or (bool(waiting) and len(self._open.replies) < self.least)

    def _awaited(self, name: str, group: str) -> bool:
        if self._open is None or name not in self._open.waiting:
            return False
        return bool(self._open.messages[name].metadata.group_id == group)
