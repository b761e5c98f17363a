"""Limits and policies of a service."""

from __future__ import annotations

from dataclasses import dataclass, fields

FLAG, REFUSE, SERVE = "flag", "refuse", "serve"
MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a service lets a caller cost it.

    Args:
        body_bytes, upload_bytes: of a request of JSON, and of one with files, before it is read further.
        patients: of one request.
        concurrency: requests that are in work at once; more are told to come back (503).
        per_client: of these by one token, or one address where there are no tokens (429); 0: as many as all.
        connections: that are open at once.
        header_seconds, body_seconds, send_seconds: for a client to send headers, to send the body, to take an answer.
        answer_seconds: from the body to the answer.
        grace_seconds: for what is in work when the service is told to stop.
        batch_patients: that are predicted together at most.
        wait_seconds: that a request waits for others to be predicted with; as long as some come in such a moment it
            waits another one, 25 in all.
    """

    body_bytes: int = 16 * MEGABYTE
    upload_bytes: int = 512 * MEGABYTE
    patients: int = 256
    concurrency: int = 256
    per_client: int = 0
    connections: int = 1024
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    send_seconds: float = 30.0
    answer_seconds: float = 30.0
    grace_seconds: float = 20.0
    batch_patients: int = 128
    wait_seconds: float = 0.002

    def __post_init__(self) -> None:
        for own in fields(self):
            value = getattr(self, own.name)
            if value < 0 or (value == 0 and own.name not in ("per_client", "wait_seconds", "grace_seconds")):
                raise ValueError(f"the limit {own.name} is {value:g}, and must be above 0")


@dataclass(frozen=True)
class Policy:
    """What a service does with patients unlike those of training.

    Args:
        unseen: "flag" a pattern of modalities that no training patient had, or "refuse" to predict it.
        unfamiliar: "refuse" a value that lies far outside of training and a category that the model does not have, or
            "flag" them and predict, as the offline prediction does.
    """

    unseen: str = FLAG
    unfamiliar: str = REFUSE

    def __post_init__(self) -> None:
        for own in fields(self):
            if getattr(self, own.name) not in (FLAG, REFUSE):
                raise ValueError(f"--{own.name} is '{getattr(self, own.name)}', and is one of {FLAG}, {REFUSE}")
