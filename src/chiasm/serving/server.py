"""The server: sockets, TLS, signals and connections that are too slow, by uvicorn; one process, one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from chiasm.serving.address import Address
from chiasm.serving.service import Service

LISTEN_BACKLOG = 1024
HEADER_BYTES = 1 << 16
KEEP_ALIVE_SECONDS = 20


@dataclass(frozen=True)
class Listening:
    """Where a service listens.

    Args:
        certificate, key: of TLS, PEM; None: unencrypted.
        behind_proxy: believe what a proxy says of the client and the scheme.
        watch_seconds: how often to look for new models; 0: never.
    """

    address: Address
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    watch_seconds: float = 0.0


class Patient:
    """What a protocol of uvicorn does not do: close a connection whose headers do not come."""

    header_seconds = 10.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._wait()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)  # type: ignore[misc]
        own: Any = self
        cycle = own.cycle  # None before the first request
        if cycle is None or cycle.response_complete:
            self._wait()  # the headers of a request have begun, and are not whole
        else:
            self._come()

    def connection_lost(self, exc: Exception | None) -> None:
        self._come()
        super().connection_lost(exc)  # type: ignore[misc]

    def _wait(self) -> None:
        if self._waiting is None:
            own: Any = self
            self._waiting = own.loop.call_later(self.header_seconds, self._late)

    def _come(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _late(self) -> None:
        self._waiting = None
        own: Any = self
        if own.transport is not None and not own.transport.is_closing():
            own.transport.abort()


def protocol_of(seconds: float) -> type[asyncio.Protocol]:
    """Return uvicorn's protocol, httptools' where it is installed, with a limit on the time of headers."""
    base: Any = AutoHTTPProtocol
    return type("PatientProtocol", (Patient, base), {"header_seconds": seconds})


class Server(uvicorn.Server):
    """uvicorn's server, which answers what it has begun and then ends as a program that is done."""

    def __init__(self, config: uvicorn.Config, service: Service, begun: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._begun = service, begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._begun()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:  # asked twice
            self.force_exit = True
        self.should_exit = True
        if not self._service.stopping:
            self._service.stopping = True
            self._service.told("stopping", seconds=self._service.limits.grace_seconds)


def bound(address: Address, send_seconds: float) -> socket.socket:
    """Return a socket that listens.

    Raises:
        OSError: the address is not of this machine, is taken, or needs rights.
    """
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    own = socket.socket(family, socket.SOCK_STREAM)
    try:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # a client that takes nothing is let go of by the system too
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * send_seconds))
        own.bind((address.host, address.port))
        own.listen(LISTEN_BACKLOG)
        own.setblocking(False)
    except OSError as error:
        own.close()
        raise OSError(
            error.errno, error.strerror or "cannot be listened on", f"{address.host}:{address.port}"
        ) from None
    return own


def run(application: Any, service: Service, listening: Listening) -> None:
    """Serve until SIGTERM or SIGINT; SIGHUP loads new models.

    Raises:
        OSError: the address cannot be listened on.
        Exception: whatever kept the service from starting.
    """
    sock = bound(listening.address, service.limits.send_seconds)
    port = int(sock.getsockname()[1])
    quiet = logging.getLogger("uvicorn.error")  # its errors quote what failed, and the guard tells them without words
    quiet.setLevel(logging.CRITICAL)
    quiet.propagate = False
    config = uvicorn.Config(
        application,
        http=protocol_of(service.limits.header_seconds),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=listening.behind_proxy,
        limit_concurrency=service.limits.connections,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(service.limits.grace_seconds)),
        h11_max_incomplete_event_size=HEADER_BYTES,
        backlog=LISTEN_BACKLOG,
        ssl_certfile=listening.certificate,
        ssl_keyfile=listening.key,
    )

    def begun() -> None:
        models = [f"{own.name} {own.version}" for own in service.shelf]
        told = {"host": listening.address.host, "port": port, "tls": listening.certificate is not None}
        service.told("listening", **told, tokens=len(service.access.tokens), models=models)

    server = Server(config, service, begun)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(server, service, sock, listening.watch_seconds))
    if service.broken is not None:
        raise service.broken


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed; None: asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _serve(server: Server, service: Service, sock: socket.socket, watch_seconds: float) -> None:
    async with _reloading(service, watch_seconds):
        await server.serve(sockets=[sock])


@contextlib.asynccontextmanager
async def _reloading(service: Service, watch_seconds: float) -> AsyncIterator[None]:
    """Load new models at SIGHUP, and every so many seconds where that is asked for."""
    wanted = asyncio.Event()
    loop = asyncio.get_running_loop()
    signals = sys.platform != "win32"
    if signals:
        try:
            loop.add_signal_handler(signal.SIGHUP, wanted.set)
        except (ValueError, RuntimeError):  # not in the main thread, as in a test
            signals = False

    async def refresh() -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(wanted.wait(), watch_seconds or None)
            wanted.clear()
            try:
                await asyncio.to_thread(service.refresh)
            except Exception as error:
                service.failed(error)

    task = asyncio.create_task(refresh())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if signals:
            loop.remove_signal_handler(signal.SIGHUP)
