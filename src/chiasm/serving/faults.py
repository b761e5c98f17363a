"""What a request is refused for: a status, a stable code, the field, and one sentence; never a value of a patient."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.errors import count

MOST_TOLD = 20  # faults of one request that are told one by one


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong.

    Args:
        field: its place, as in `patients[2].clinical.age`; empty where it is no field.
        code: its short stable name.
        message: one sentence: what, and what to do.
    """

    field: str
    code: str
    message: str


class Refused(Exception):
    """A request that is not answered.

    Args:
        status: of HTTP.
        faults: what is wrong, one or more.
        retry_after: seconds after which to try again; None: trying again does not help.
    """

    def __init__(self, status: int, faults: Sequence[Fault], retry_after: int | None = None) -> None:
        super().__init__(faults[0].message)
        self.status, self.faults, self.retry_after = status, tuple(faults), retry_after

    @property
    def code(self) -> str:
        return self.faults[0].code

    def document(self) -> dict[str, Any]:
        """Return the body of the answer."""
        first, more = self.faults[0], self.faults[1:]
        told = {"code": first.code, "message": first.message} | ({"field": first.field} if first.field else {})
        found: dict[str, Any] = {"error": told}
        if more:
            shown = more[: MOST_TOLD - 1]
            found["also"] = [{"field": own.field, "code": own.code, "message": own.message} for own in shown]
            if len(more) > len(shown):
                found["more"] = f"and {count(len(more) - len(shown), 'other fault')}"
        return found


def refused(status: int, code: str, message: str, field: str = "", retry_after: int | None = None) -> Refused:
    """Make the refusal of one fault."""
    return Refused(status, [Fault(field, code, message)], retry_after)


def refusal(fault: Refused) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Status, headers and body of a fault."""
    body = json.dumps(fault.document()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    if fault.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if fault.status in (408, 413):
        headers.append((b"connection", b"close"))
    return fault.status, headers, body
