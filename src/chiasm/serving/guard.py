"""What stands before the application: host, origin, token, limits of size, time and number, headers, audit trail."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import Route

from chiasm.serving.access import Caller
from chiasm.serving.audit import AuditFull
from chiasm.serving.faults import Refused, refusal, refused
from chiasm.serving.page import FILES
from chiasm.serving.service import Service
from chiasm.serving.settings import MEGABYTE, REFUSE

Scope = dict[str, Any]
ASKED = "chiasm.asked"
OPEN = {"/health", "/health/live", "/health/ready", *FILES}  # what is asked without a token
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
HTTPS_ONLY = b"max-age=31536000"


@dataclass(eq=False, repr=False)
class Asked:
    """What is known of a request while it is in work; a handler adds model, patterns and outcome."""

    id: str
    start: float
    caller: Caller | None = None
    what: str = ""
    model: str = ""
    version: str = ""
    digest: str = ""
    patients: int = 0
    patterns: Counter[str] = field(default_factory=Counter)
    outcome: str = "answered"
    status: int = 0


class ClientGone(Exception):
    """The client does not take the answer."""


class Guard:
    """An ASGI application around another one."""

    def __init__(self, app: Any, service: Service) -> None:
        self.app, self.service = app, service
        self._in_work: Counter[str] = Counter()
        self._strangers: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        asked = Asked(secrets.token_hex(8), time.monotonic())
        scope[ASKED] = asked
        answer = _Answer(self, scope, asked, send)
        client = ""
        try:
            headers = _headers(scope)
            self._admit(scope, headers, asked)
            if not self._is_open(scope):
                client = self._enter(scope, asked)
            body = _Body(receive, self._most(headers), self.service.limits.body_seconds)
            await self.app(scope, body, answer)
        except Refused as fault:
            await answer.refuse(fault)
        except ClientGone:
            pass
        except Exception as error:  # its words may quote what was sent: they are neither told nor logged
            self.service.failed(error)
            await answer.refuse(refused(500, "failed", "the service failed: its log says where"))
        finally:
            if client:
                self._in_work[client] -= 1
                self.service.metrics.open.dec()

    def _admit(self, scope: Scope, headers: dict[bytes, bytes], asked: Asked) -> None:
        """Refuse, before a byte of the body is read.

        Raises:
            Refused: 400, 401, 403, 413, 415, 421 or 503.
        """
        service = self.service
        host = headers.get(b"host", b"").decode("latin-1")
        if not service.hosts.knows(host):
            raise refused(421, "wrong-host", "the service does not go by the name in the Host header: see --allow-host")
        origin = headers.get(b"origin", b"").decode("latin-1").lower()
        if origin and origin not in {f"{scheme}://{host.lower()}" for scheme in ("http", "https")}:
            raise refused(403, "other-origin", "a page of another origin may not ask")
        if self._is_open(scope):
            asked.caller = Caller("-", frozenset())
            return
        asked.caller = service.access.caller(headers.get(b"authorization", b"").decode("latin-1") or None)
        if asked.caller is None:
            raise refused(401, "no-token", "send a token of this service as Authorization: Bearer TOKEN")
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise refused(415, "packed", "the body is packed: send it as it is")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise refused(400, "content-length", "the header Content-Length is no number")
        if len(length) > 18 or int(length) > self._most(headers):
            raise too_large(self._most(headers))
        if service.stopping:
            raise refused(503, "stopping", "the service is stopping: ask again", retry_after=5)

    def _is_open(self, scope: Scope) -> bool:
        return scope["path"] in OPEN or scope["path"] in self.service.open_addresses

    def _most(self, headers: dict[bytes, bytes]) -> int:
        limits = self.service.limits
        several = headers.get(b"content-type", b"").lower().startswith(b"multipart/")
        return limits.upload_bytes if several else limits.body_bytes

    def _enter(self, scope: Scope, asked: Asked) -> str:
        """Count a request in work.

        Raises:
            Refused: 429 for a client that has its share, 503 where all are taken.
        """
        limits = self.service.limits
        assert asked.caller is not None  # `_admit` refused otherwise
        client = (
            f"token {asked.caller.name}" if self.service.access.tokens else f"at {(scope.get('client') or ['?'])[0]}"
        )
        if limits.per_client and self._in_work[client] >= limits.per_client:
            raise refused(429, "too-many", f"{limits.per_client} requests are in work: ask again", retry_after=1)
        if self._in_work.total() >= limits.concurrency:
            raise refused(503, "busy", "the service has all that it can do: ask again", retry_after=1)
        self._in_work[client] += 1
        self.service.metrics.open.inc()
        return client

    def seldom(self, code: str) -> int | None:
        """Count what a stranger can bring about at will; the number where it is the 1st, 10th, 100th ..., else None."""
        self._strangers[code] += 1
        times = self._strangers[code]
        return times if times == 10 ** (len(str(times)) - 1) else None


def _headers(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers.

    Raises:
        Refused: 400, one of those that decide stands twice.
    """
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found and name in (b"host", b"authorization", b"content-length", b"content-type", b"origin"):
            raise refused(400, "repeated-header", "a header stands twice")
        found[name] = value
    return found


def too_large(most: int) -> Refused:
    """Make the refusal of a body of more than so many bytes."""
    return refused(413, "too-large", f"a request may have {most / MEGABYTE:,.3g} MB: send fewer patients")


class _Body:
    """`receive`, with the limits of size and time."""

    def __init__(self, receive: Any, most: int, seconds: float) -> None:
        self._receive, self._most, self._seconds = receive, most, seconds
        self._size, self._until, self._ended = 0, 0.0, False

    async def __call__(self) -> Any:
        if self._ended:  # what comes then is that the client has gone
            return await self._receive()
        self._until = self._until or time.monotonic() + self._seconds
        try:
            async with asyncio.timeout(max(0.001, self._until - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise refused(408, "too-slow", f"the body did not come within {self._seconds:g} seconds") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._size += len(message.get("body", b""))
        self._ended = not message.get("more_body", False)
        if self._size > self._most:
            raise too_large(self._most)
        return message


def route_of(scope: Scope) -> str:
    """Return the pattern of the address that was asked, in which nothing stands that a caller wrote."""
    route = scope.get("route")
    return route.path if isinstance(route, Route) else "other"


class _Answer:
    """`send`: writes the audit trail before anything is told, adds the headers, and waits for a slow client so long."""

    def __init__(self, guard: Guard, scope: Scope, asked: Asked, send: Any) -> None:
        self._guard, self._scope, self._asked, self._send = guard, scope, asked, send
        self._service = guard.service
        self.begun = self._dropped = False

    async def refuse(self, fault: Refused) -> None:
        """Answer with the fault, unless an answer has begun."""
        if self.begun:
            return
        self._asked.outcome = fault.code
        status, headers, body = refusal(fault)
        await self({"type": "http.response.start", "status": status, "headers": headers})
        await self({"type": "http.response.body", "body": body})

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.begun = True
            message = await self._begin(message)
        elif self._dropped:
            return
        if message is None:
            return
        try:
            async with asyncio.timeout(self._service.limits.send_seconds):
                await self._send(message)
        except TimeoutError:
            raise ClientGone from None

    async def _begin(self, message: Any) -> Any:
        asked, service = self._asked, self._service
        asked.status = message["status"]
        route = route_of(self._scope)
        service.metrics.requests.labels(route, str(asked.status)).inc()
        service.metrics.seconds.labels(route).observe(time.monotonic() - asked.start)
        try:
            self._record()
        except AuditFull as error:
            service.audit_failed(error)
            if service.audit_full == REFUSE and asked.what:  # what is not written down is not told
                self._dropped = True
                fault = refused(
                    503, "audit-full", "the audit trail cannot be written: nothing is answered", retry_after=60
                )
                status, headers, body = refusal(fault)
                await self._send({"type": "http.response.start", "status": status, "headers": self._with(headers)})
                await self._send({"type": "http.response.body", "body": body})
                return None
        return {**message, "headers": self._with(message.get("headers", []))}

    def _with(self, headers: Any) -> list[tuple[bytes, bytes]]:
        own = {name for name, _ in headers}
        added = dict(HEADERS)
        if self._scope.get("scheme") == "https":
            added[b"strict-transport-security"] = HTTPS_ONLY
        return [
            *headers,
            *((name, value) for name, value in added.items() if name not in own),
            (b"x-request-id", self._asked.id.encode()),
        ]

    def _record(self) -> None:
        asked, audit = self._asked, self._service.audit
        if audit is None or (not asked.what and asked.status < 400):
            return
        facts: dict[str, Any] = {"request": asked.id, "status": asked.status, "outcome": asked.outcome}
        if asked.caller is None or not asked.what:
            times = self._guard.seldom(asked.outcome)
            if times is None:
                return
            facts["times"] = times
        who = "" if asked.caller is None else asked.caller.name
        if asked.model:
            facts |= {"model": asked.model, "version": asked.version, "sha256": asked.digest}
        if asked.patients:
            facts["patients"] = asked.patients
        if asked.patterns:
            facts["patterns"] = {name or "none": number for name, number in sorted(asked.patterns.items())}
        audit.write(who=who, what=asked.what or "refused", **facts)
