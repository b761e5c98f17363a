"""Writing an answer back to a FHIR server: once, however often it is asked, with a bound on how long it is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from chiasm.serving.faults import Refused, refused

RESPONSE = "response"  # of an entry of a Bundle
TRIES = 3
SECONDS = 10.0
PAUSE = 0.2  # seconds before the second try, doubled before each next
BUSY = (408, 425, 429, 500, 502, 503, 504)
ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, repr=False)
class FhirServer:
    """A FHIR server that takes answers.

    Args:
        base: its address, as in `https://fhir.hospital.example/R4`; without TLS only on this machine.
        token: a bearer token; "" without one.
    """

    base: str
    token: str = ""

    def __post_init__(self) -> None:
        require_address(self.base, "the FHIR server")


def require_address(base: str, what: str) -> None:
    """Refuse an address that is none, carries a password, or leaves this machine without TLS.

    Raises:
        ValueError: with the reason.
    """
    parts = urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the address of {what} begins with https://")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(f"the address of {what} holds no name, password or query: give a file with the token")
    if parts.scheme == "http" and not _is_here(parts.hostname):
        raise ValueError(f"{what} is not on this machine: its address begins with https://")


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def write_back(server: FhirServer, resource: Mapping[str, Any]) -> str:
    """Store a resource unless one with its identifier is there; returns its reference there, "" where none is told.

    A transaction with a conditional create (`ifNoneExist`, FHIR R4 3.1.0.7.1): sent again after a lost answer, it
    stores nothing twice.

    Raises:
        Refused: 422 without a patient to write it to; 502 where the server refuses it, 504 where it does not answer
            in the tries that there are.
    """
    import httpx

    if not str(resource["subject"].get("reference", "")).partition("/")[2]:
        what = "the Bundle does not say of whom it is by a reference that the server has: name the Patient by its id"
        raise refused(422, "no-subject", what, "Bundle")
    identifier = resource["identifier"][0]
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "resource": dict(resource),
                "request": {
                    "method": "POST",
                    "url": resource["resourceType"],
                    "ifNoneExist": f"identifier={identifier['system']}|{identifier['value']}",
                },
            }
        ],
    }
    headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json", "Prefer": "return=minimal"}
    if server.token:
        headers["Authorization"] = f"Bearer {server.token}"
    async with httpx.AsyncClient(timeout=SECONDS, follow_redirects=False, trust_env=False) as client:
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(PAUSE * 2 ** (attempt - 1))
            try:
                answer = await client.post(server.base, json=bundle, headers=headers)
            except httpx.TransportError:
                continue
            if answer.status_code in BUSY:
                continue
            if answer.is_success and len(answer.content) <= ANSWER_BYTES:
                return _location(answer, resource["resourceType"])
            raise _failed(f"the FHIR server refuses the answer with status {answer.status_code}")
    raise refused(
        504, "not-written", f"the FHIR server does not take the answer in {TRIES} tries: try again", retry_after=5
    )


def _location(answer: Any, kind: str) -> str:
    try:
        entry = answer.json()["entry"][0][RESPONSE]
        status, location = str(entry["status"]), str(entry.get("location", ""))
    except (ValueError, KeyError, IndexError, TypeError):
        raise _failed("the FHIR server does not say what it did with the answer") from None
    if not status.startswith("2"):
        raise _failed(f"the FHIR server refuses the answer with status {status[:3]}")
    tail = location.partition("/_history")[0].rpartition(f"{kind}/")[2]
    return f"{kind}/{tail}" if tail else ""


def _failed(what: str) -> Refused:
    return refused(502, "not-written", f"{what}: nothing was written")
