"""The HL7 v2 face of the service: an ORU^R01 in, its acknowledgement back, the prediction to a receiver as an ORU."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI

from chiasm.serving.audit import AuditFull
from chiasm.serving.faults import Refused, refused
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
    read_message,
)
from chiasm.serving.hospital.mapped import Mapped
from chiasm.serving.hospital.mllp import BrokenFrame, Listener, MllpLimits, Remembered, send_message
from chiasm.serving.hospital.risk import answer_of
from chiasm.serving.patients import patients_of
from chiasm.serving.settings import REFUSE

WHAT = "hl7-oru"
SEND_TRIES = 3
SEND_SECONDS = 10.0


@dataclass(frozen=True)
class Hl7Place:
    """Where messages come in, and where answers go.

    Args:
        host, port: of the listener.
        receiver: host and port to which predictions are sent.
        certificate, key: of TLS, PEM; None: unencrypted, on this machine alone.
        authority: certificates that the receiver's TLS is held against; None: unencrypted, on this machine alone.
    """

    host: str
    port: int
    receiver: tuple[str, int]
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None


@dataclass(eq=False)
class Hl7:
    """A listener of MLLP beside an application, which starts and ends with it; `port` is where it listens then."""

    mapped: Mapped
    place: Hl7Place
    limits: MllpLimits = field(default_factory=MllpLimits)
    port: int = 0

    def join(self, app: FastAPI) -> None:
        """Start with the application, and end with it."""
        inner, service = app.router.lifespan_context, self.mapped.service

        @contextlib.asynccontextmanager
        async def lifespan(own: FastAPI) -> AsyncIterator[None]:
            async with inner(own):
                listener = Listener(Answering(self), service.told, self.limits)
                self.port = await listener.start(self.place.host, self.place.port, self._context())
                service.told("hl7", port=self.port)
                try:
                    yield
                finally:
                    await listener.stop(service.limits.grace_seconds)

        app.router.lifespan_context = lifespan

    def _context(self) -> ssl.SSLContext | None:
        if self.place.certificate is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(self.place.certificate, self.place.key)
        return context


class Answering:
    """Answers messages: reads, predicts as `/predict` does, sends the prediction, and acknowledges."""

    def __init__(self, own: Hl7) -> None:
        self._own, self._service = own, own.mapped.service
        self._remembered = Remembered()
        self._one = asyncio.Lock()  # messages are answered in the order in which they came

    async def __call__(self, data: bytes) -> bytes:
        """Return the acknowledgement of a message; one that is sent again gets the one it got."""
        async with self._one:
            return await self._acknowledged(data)

    async def _acknowledged(self, data: bytes) -> bytes:
        now = datetime.now(UTC)
        start = time.monotonic()
        message: Message | None = None
        try:
            message = await asyncio.to_thread(read_message, data)
            key = (*message.sender, message.control)
            try:
                before = self._remembered.get(key, data)
            except KeyError:
                raise BrokenMessage("repeated-control-id", "another message had this control id (MSH-10)") from None
            if before is not None:
                return before
            pattern = await self._answer(message, now)
            acknowledged = acknowledgement(message, ACCEPTED, now)
            self._remembered.keep(key, data, acknowledged)
            code, outcome = ACCEPTED, "answered"
        except BrokenMessage as error:
            code, outcome, pattern = REJECTED, error.code, None
            acknowledged = acknowledgement(message, code, now, faults_of(error))
        except Refused as error:
            code, outcome, pattern = FAILED, error.code, None
            acknowledged = acknowledgement(message, code, now, error.faults)
        except Exception as error:  # its words may quote what was sent
            self._service.failed(error)
            code, outcome, pattern = FAILED, "failed", None
            fault = refused(500, "failed", "the service failed: its log says where")
            acknowledged = acknowledgement(message, code, now, fault.faults)
        return self._told(acknowledged, message, code, outcome, pattern, now, time.monotonic() - start)

    async def _answer(self, message: Message, now: datetime) -> str:
        service = self._service
        loaded, mapping = self._own.mapped.now()
        asked = asked_of_message(message, mapping, now)
        require_known(asked)
        patients = patients_of({"patients": [asked.patient]}, loaded.reads, service.limits, loaded.policy)
        (found,) = await service.worker.predict(loaded, patients, {})
        if not isinstance(found, dict):
            raise Refused(422, found)
        service.metrics.predicted(loaded.name, Counter([found["pattern"]]))
        resource = answer_of(asked, found, model_facts(loaded), loaded.model.target)
        await self._send(answer_message(message, resource, now))
        return str(found["pattern"])

    async def _send(self, data: bytes) -> None:
        place = self._own.place
        context = ssl.create_default_context(cafile=str(place.authority)) if place.authority else None
        for attempt in range(SEND_TRIES):
            if attempt:
                await asyncio.sleep(0.2 * 2 ** (attempt - 1))
            try:
                answer = await send_message(*place.receiver, data, SEND_SECONDS, context)
            except (OSError, TimeoutError, BrokenFrame):
                continue
            with contextlib.suppress(BrokenMessage):
                if (await asyncio.to_thread(read_message, answer)).field("MSA", 1) == ACCEPTED:
                    return
            raise refused(502, "not-sent", "the receiver does not accept the prediction")
        raise refused(
            504, "not-sent", f"the receiver takes no prediction in {SEND_TRIES} tries: send the message again"
        )

    def _told(
        self, acknowledged: bytes, message: Message | None, code: str, outcome: str, pattern: str | None, now: datetime,
        seconds: float,
    ) -> bytes:  # fmt: skip
        """Count the message and write it down; what cannot be written down is not acknowledged as taken."""
        service = self._service
        service.metrics.requests.labels("hl7", code).inc()
        service.metrics.seconds.labels("hl7").observe(seconds)
        facts = {} if pattern is None else {"patterns": {pattern or "none": 1}}
        try:
            if service.audit is not None:
                service.audit.write(who="hl7", what=WHAT, status=code, outcome=outcome, **facts)
        except AuditFull as error:
            service.audit_failed(error)
            if service.audit_full == REFUSE:
                fault = refused(503, "audit-full", "the audit trail cannot be written: nothing is answered")
                return acknowledgement(message, FAILED, now, fault.faults)
        return acknowledged
