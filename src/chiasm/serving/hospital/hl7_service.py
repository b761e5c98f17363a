"""The HL7 v2 face of the service: an ORU^R01 in, its acknowledgement back, the prediction to a receiver as an ORU."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from chiasm.serving.address import Address
from chiasm.serving.audit import AuditFull
from chiasm.serving.faults import Fault, Refused, refused
from chiasm.serving.hospital.facts import require_known
from chiasm.serving.hospital.fhir import model_facts
from chiasm.serving.hospital.hl7 import (
    ACCEPTED,
    FAILED,
    REJECTED,
    BrokenMessage,
    Message,
    acknowledgement,
    answer_message,
    asked_of_message,
    faults_of,
    head_of,
    read_message,
)
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.mapping import MappingError
from chiasm.serving.hospital.mllp import BrokenFrame, Listener, MllpLimits, Remembered, send_message
from chiasm.serving.hospital.risk import answer_of
from chiasm.serving.patients import patients_of
from chiasm.serving.server import bound
from chiasm.serving.settings import REFUSE

WHAT = "hl7-oru"
AUDIT_FULL = "audit-full"
SEND_TRIES = 3
SEND_SECONDS = 10.0


@dataclass(frozen=True)
class Hl7Place:
    """Where messages come in, and where answers go.

    Args:
        address: of the listener.
        receiver: host and port to which predictions are sent.
        certificate, key: of TLS, PEM; None: unencrypted, on this machine alone.
        clients: certificates that the TLS of senders is held against; None: whoever connects, on this machine alone.
        authority: certificates that the receiver's TLS is held against; None: unencrypted, on this machine alone.
        zone: of times that name none.
    """

    address: Address
    receiver: tuple[str, int]
    certificate: Path | None = None
    key: Path | None = None
    clients: Path | None = None
    authority: Path | None = None
    zone: tzinfo = UTC


@dataclass(eq=False)
class Hl7:
    """A listener of MLLP beside an application, which starts and ends with it; `port` is where it listens then."""

    mapped: Mapped
    place: Hl7Place
    limits: MllpLimits = field(default_factory=MllpLimits)
    port: int = 0

    def join(self, app: FastAPI) -> None:
        """Listen, and answer from the application's start to its end.

        Raises:
            MappingError: the address cannot be listened on, or the files of TLS are none or do not belong together.
        """
        inner, service = app.router.lifespan_context, self.mapped.service
        context, sending = self._contexts()
        free = [self._bound()]

        @contextlib.asynccontextmanager
        async def lifespan(own: FastAPI) -> AsyncIterator[None]:
            listener = Listener(Answering(self, sending), service.told, self.limits)
            async with inner(own):
                self.port = await listener.start(free.pop() if free else self._bound(), context)
                service.told("hl7", port=self.port)
                try:
                    yield
                finally:
                    await listener.stop(service.limits.grace_seconds)

        app.router.lifespan_context = lifespan

    def _bound(self) -> socket.socket:
        try:
            return bound(self.place.address, self.limits.answer_seconds)
        except OSError as error:
            where = f"{self.place.address.host}:{self.place.address.port}"
            raise MappingError(f"`listen` of [hl7] is {where}, which cannot be listened on: {error.strerror}") from None

    def _contexts(self) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
        """Return the TLS of the listener and that of sending."""
        place, own, sending = self.place, None, None
        try:
            if place.certificate is not None:
                own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                own.minimum_version = ssl.TLSVersion.TLSv1_2
                own.load_cert_chain(place.certificate, place.key, password=lambda: b"")
                if place.clients is not None:
                    own.load_verify_locations(place.clients)
                    own.verify_mode = ssl.CERT_REQUIRED
            if place.authority is not None:
                sending = ssl.create_default_context(cafile=str(place.authority))
        except (ssl.SSLError, ValueError, OSError):
            raise MappingError(
                "`certificate`, `key`, `clients` or `authority` of [hl7] is no PEM file, asks for a password, or the "
                "key is that of another certificate"
            ) from None
        return own, sending


@dataclass
class _Taken:
    """A message in work: a number of its own, and what its line of the audit trail tells beside its outcome."""

    id: str
    facts: dict[str, Any] = field(default_factory=dict)


class Answering:
    """Answers messages: reads, predicts as `/predict` does, sends the prediction, and acknowledges."""

    def __init__(self, own: Hl7, sending: ssl.SSLContext | None = None) -> None:
        self._own, self._service, self._sending = own, own.mapped.service, sending
        self._remembered = Remembered()
        self._one = asyncio.Lock()  # messages are answered in the order in which they came

    async def __call__(self, data: bytes, subject: str = "") -> bytes:
        """Return the acknowledgement of a message; one that is sent again gets the one it got.

        Args:
            subject: of the sender's certificate, which stands in the audit trail; "" without one.
        """
        async with self._one:
            return await self._acknowledged(data, subject)

    async def _acknowledged(self, data: bytes, subject: str) -> bytes:
        now = datetime.now(UTC)
        start = time.monotonic()
        asked = _Taken(secrets.token_hex(8), {"certificate": subject} if subject else {})
        message: Message | None = None
        try:
            message = await asyncio.to_thread(read_message, data)
            acknowledged, code = await self._answered(message, data, asked, now), ACCEPTED
        except BrokenMessage as error:
            message = message or head_of(data)
            acknowledged, code = self._refused(message, REJECTED, error.code, faults_of(error), asked, now), REJECTED
        except Refused as error:
            acknowledged, code = self._refused(message, FAILED, error.code, error.faults, asked, now), FAILED
        except Exception as error:  # its words may quote what was sent
            self._service.failed(error)
            fault = refused(500, "failed", "the service failed: its log says where")
            acknowledged, code = self._refused(message, FAILED, fault.code, fault.faults, asked, now), FAILED
        self._service.metrics.requests.labels("hl7", code).inc()
        self._service.metrics.seconds.labels("hl7").observe(time.monotonic() - start)
        return acknowledged

    async def _answered(self, message: Message, data: bytes, asked: _Taken, now: datetime) -> bytes:
        """Predict, write it down, send it, and only then remember that it was taken."""
        key = (*message.sender, message.control)
        try:
            before = self._remembered.get(key, data)
        except KeyError:
            raise BrokenMessage("repeated-control-id", "another message had this control id (MSH-10)") from None
        if before is not None:
            self._write_down(asked, ACCEPTED, "repeated")
            return before
        sent = await self._predicted(message, asked, now)
        self._write_down(asked, ACCEPTED, "answered")
        await self._send(sent)
        acknowledged = acknowledgement(message, ACCEPTED, now)
        self._remembered.keep(key, data, acknowledged)
        return acknowledged

    async def _predicted(self, message: Message, taken: _Taken, now: datetime) -> bytes:
        service = self._service
        loaded, mapping = self._own.mapped.now()
        taken.facts |= {"model": loaded.name, "version": loaded.version, "sha256": loaded.digest}
        asked = asked_of_message(message, mapping, now, self._own.place.zone)
        require_known(asked)
        patients = patients_of(
            {"patients": [asked.patient]}, loaded.reads, service.limits, loaded.policy, chooses=loaded.chooses
        )
        taken.facts["patients"] = 1
        (found,) = await service.worker.predict(loaded, patients, {})
        if not isinstance(found, dict):
            raise Refused(422, found)
        service.metrics.predicted(loaded.name, Counter([found["pattern"]]))
        taken.facts["patterns"] = {str(found["pattern"]) or "none": 1}
        return answer_message(message, answer_of(asked, found, model_facts(loaded), loaded.model.target), now)

    async def _send(self, data: bytes) -> None:
        for attempt in range(SEND_TRIES):
            if attempt:
                await asyncio.sleep(0.2 * 2 ** (attempt - 1))
            try:
                answer = await send_message(*self._own.place.receiver, data, SEND_SECONDS, self._sending)
            except (OSError, TimeoutError, BrokenFrame):
                continue
            with contextlib.suppress(BrokenMessage):
                if (await asyncio.to_thread(read_message, answer)).field("MSA", 1) == ACCEPTED:
                    return
            raise refused(502, "not-sent", "the receiver does not accept the prediction")
        raise refused(
            504, "not-sent", f"the receiver takes no prediction in {SEND_TRIES} tries: send the message again"
        )

    def _refused(
        self, message: Message | None, code: str, outcome: str, faults: tuple[Fault, ...], asked: _Taken, now: datetime
    ) -> bytes:
        """Write down that nothing was answered, which is told even where it cannot be written down."""
        if outcome != AUDIT_FULL:
            try:
                self._write_down(asked, code, outcome)
            except Refused as error:
                code, faults = FAILED, error.faults
        return acknowledgement(message, code, now, faults)

    def _write_down(self, asked: _Taken, code: str, outcome: str) -> None:
        """Append a line to the audit trail.

        Raises:
            Refused: 503, it cannot be written, and what is not written down is not answered.
        """
        service = self._service
        if service.audit is None:
            return
        facts = {"request": asked.id, "status": code, "outcome": outcome, **asked.facts}
        try:
            service.audit.write(who="hl7", what=WHAT, **facts)
        except AuditFull as error:
            service.audit_failed(error)
            if service.audit_full == REFUSE:
                what = "the audit trail cannot be written: nothing is answered"
                raise refused(503, AUDIT_FULL, what) from None
