"""The Minimal Lower Layer Protocol: HL7 v2 messages over a socket, each acknowledged before the next one is read."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import socket
import ssl
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

BEGIN, END = b"\x0b", b"\x1c\r"
MESSAGE_BYTES = 4 << 20
READ_BYTES = 1 << 16

Answer = Callable[[bytes, str], Awaitable[bytes]]
SHORT = {
    "commonName": "CN", "organizationName": "O", "organizationalUnitName": "OU", "countryName": "C",
    "localityName": "L", "stateOrProvinceName": "ST", "streetAddress": "STREET", "domainComponent": "DC",
    "userId": "UID",
}  # fmt: skip
LONGEST_SUBJECT = 1_000  # letters


@dataclass(frozen=True)
class MllpLimits:
    """What a sender may cost.

    Args:
        message_bytes: of one message.
        message_seconds: from its first byte to its last.
        idle_seconds: between messages.
        answer_seconds: until the acknowledgement is taken.
        handshake_seconds: of TLS.
        connections: at once; a sender's address has a quarter of them. The one that is idle for longest gives way.
    """

    message_bytes: int = MESSAGE_BYTES
    message_seconds: float = 30.0
    idle_seconds: float = 600.0
    answer_seconds: float = 60.0
    connections: int = 32
    handshake_seconds: float = 10.0

    @property
    def share(self) -> int:
        """Connections of one address."""
        return max(1, self.connections // 4)


class BrokenFrame(Exception):
    """What was sent is no frame: the connection is closed, since nobody knows where the next begins."""


@dataclass(eq=False, repr=False)
class Listener:
    """A server of MLLP.

    Args:
        answer: the acknowledgement of a message from a sender with a certificate of this subject, "" without one.
        told: is called with (event, **facts), none of them of a patient.
    """

    answer: Answer
    told: Callable[..., None]
    limits: MllpLimits = MllpLimits()
    _open: dict[asyncio.Task[None], str] = field(default_factory=dict)  # to the sender's address
    _idle: dict[asyncio.Task[None], None] = field(default_factory=dict)  # the longest idle one is the first
    _server: asyncio.Server | None = None

    async def start(self, own: socket.socket, context: ssl.SSLContext | None = None) -> int:
        """Answer who connects to a socket that listens, and return its port."""
        seconds = None if context is None else self.limits.handshake_seconds
        self._server = await asyncio.start_server(
            self._connected, sock=own, ssl=context, ssl_handshake_timeout=seconds, limit=READ_BYTES
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace_seconds: float) -> None:
        """Take no new connection, finish the messages that have begun, and close."""
        if self._server is None:
            return
        self._server.close()
        for task in set(self._idle):
            task.cancel()
        if self._open:
            _, late = await asyncio.wait(set(self._open), timeout=grace_seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        peer = str((writer.get_extra_info("peername") or "?")[0])
        if not self._has_room(peer):
            self.told("mllp-full", connections=self.limits.connections)
            writer.close()
            return
        self._open[task] = peer
        try:
            await self._converse(reader, writer, task)
        except BrokenFrame as error:
            self.told("mllp-broken", reason=str(error))
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            self.told("mllp-lost")
        finally:
            self._open.pop(task, None)
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
                await asyncio.wait_for(writer.wait_closed(), 5.0)

    def _has_room(self, peer: str) -> bool:
        """Tell whether one more may connect, for whom one that is idle gives way: of its own address, or of any."""
        own = [task for task, other in self._open.items() if other == peer]
        if len(own) >= self.limits.share:
            among = set(own)
        elif len(self._open) >= self.limits.connections:
            among = set(self._open)
        else:
            return True
        longest = next((task for task in self._idle if task in among), None)
        if longest is None:
            return False
        self.told("mllp-gave-way")
        del self._idle[longest], self._open[longest]
        longest.cancel()
        return True

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, task: asyncio.Task[None]
    ) -> None:
        subject = subject_of(writer.get_extra_info("peercert"))
        while self._server is not None and self._server.is_serving():
            self._idle[task] = None
            try:
                first = await asyncio.wait_for(self._first(reader), self.limits.idle_seconds)
            finally:
                self._idle.pop(task, None)
            if not first:
                return
            if first != BEGIN:
                raise BrokenFrame("it does not begin with the start of a frame")
            data = await asyncio.wait_for(self._message(reader), self.limits.message_seconds)
            acknowledged = await self.answer(data, subject)
            writer.write(BEGIN + acknowledged + END)
            await asyncio.wait_for(writer.drain(), self.limits.answer_seconds)

    async def _first(self, reader: asyncio.StreamReader) -> bytes:
        first = await reader.read(1)
        while first and first in b"\r\n":  # some senders end a frame with more than it asks for
            first = await reader.read(1)
        return first

    async def _message(self, reader: asyncio.StreamReader) -> bytes:
        parts, size = [], 0
        while True:
            try:
                part = await reader.readuntil(END)
            except asyncio.LimitOverrunError as error:
                part = await reader.readexactly(error.consumed)
            size += len(part)
            if size > self.limits.message_bytes:
                raise BrokenFrame(f"it has over {self.limits.message_bytes:,} bytes")
            if BEGIN in part:
                raise BrokenFrame("a frame begins within a frame")
            parts.append(part)
            if part.endswith(END):
                return b"".join(parts).removesuffix(END)


def subject_of(certificate: Mapping[str, Any] | None) -> str:
    """Return the subject of a certificate that TLS has checked, as RFC 4514 writes it: `CN=lab,O=Hospital`.

    Args:
        certificate: as `ssl.SSLSocket.getpeercert` gives it; None, or empty, without one.
    """
    parts = [
        "+".join(f"{SHORT.get(name, name)}={_escaped(value)}" for name, value in together)
        for together in (certificate or {}).get("subject", ())
    ]
    return ",".join(reversed(parts))[:LONGEST_SUBJECT]


def _escaped(value: str) -> str:
    found = re.sub(r'([,+"\\<>;])', r"\\\1", value).replace("\0", "\\00")
    found = f"\\{found}" if found[:1] in ("#", " ") else found
    return f"{found[:-1]}\\ " if found[1:].endswith(" ") else found


class Remembered:
    """Acknowledgements of the last messages, by sender and control id, and a digest that tells another message."""

    def __init__(self, most: int = 10_000) -> None:
        self._most = most
        self._found: OrderedDict[tuple[str, ...], tuple[bytes, bytes]] = OrderedDict()

    def get(self, key: tuple[str, ...], data: bytes) -> bytes | None:
        """Return the acknowledgement that this very message got; None where it is new.

        Raises:
            KeyError: another message had the same sender and control id.
        """
        if key not in self._found:
            return None
        digest, answer = self._found[key]
        if digest != hashlib.sha256(data).digest():
            raise KeyError(key)
        return answer

    def keep(self, key: tuple[str, ...], data: bytes, answer: bytes) -> None:
        """Remember an acknowledgement."""
        self._found[key] = (hashlib.sha256(data).digest(), answer)
        self._found.move_to_end(key)
        while len(self._found) > self._most:
            self._found.popitem(last=False)


async def send_message(
    host: str, port: int, data: bytes, seconds: float, context: ssl.SSLContext | None = None
) -> bytes:
    """Send a message and return its acknowledgement.

    Raises:
        ConnectionError: nobody is there, or the connection was closed.
        TimeoutError: it took too long.
        BrokenFrame: what came back is no frame.
    """

    async def conversation() -> bytes:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, limit=READ_BYTES)
        try:
            writer.write(BEGIN + data + END)
            await writer.drain()
            found = await reader.readuntil(END)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ConnectionError("the receiver closed the connection, or sent no acknowledgement") from None
        finally:
            writer.close()
        if not found.startswith(BEGIN):
            raise BrokenFrame("the acknowledgement is no frame")
        return found[len(BEGIN) : -len(END)]

    return await asyncio.wait_for(conversation(), seconds)
