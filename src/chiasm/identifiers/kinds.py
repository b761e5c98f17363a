"""The 18 kinds of identifier of the Safe Harbor rule of HIPAA, 45 CFR 164.514(b)(2)(i)."""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.cohort.accepted import BY_SCREEN


@dataclass(frozen=True)
class Kind:
    """One kind: its short `key`, its letter in the rule, what it is called, and what may stand in its place."""

    key: str
    letter: str
    noun: str
    instead: str = ""

    @property
    def finding(self) -> str:
        """Name of the finding, by which `[accept]` of a manifest accepts it."""
        return BY_SCREEN + self.key


KINDS = {
    kind.key: kind
    for kind in (
        Kind("name", "A", "names"),
        Kind("place", "B", "places smaller than a state", "keep the state or the country"),
        Kind("date", "C", "dates, or ages over 89", "keep the year, or days since the first visit; write 90 for older"),
        Kind("phone", "D", "telephone numbers"),
        Kind("fax", "E", "fax numbers"),
        Kind("email", "F", "e-mail addresses"),
        Kind("social", "G", "social security or national identity numbers"),
        Kind("record", "H", "medical record numbers"),
        Kind("plan", "I", "health plan numbers"),
        Kind("account", "J", "account numbers"),
        Kind("licence", "K", "certificate or licence numbers"),
        Kind("vehicle", "L", "vehicle identifiers or plates"),
        Kind("device", "M", "device identifiers or serial numbers"),
        Kind("url", "N", "web addresses"),
        Kind("ip", "O", "IP addresses"),
        Kind("biometric", "P", "biometric identifiers"),
        Kind("photo", "Q", "photographs that may show a face"),
        Kind("other", "R", "other identifying codes or texts"),
    )
}
