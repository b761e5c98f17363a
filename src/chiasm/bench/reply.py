"""What a candidate says to one item, and the promise of a candidate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from chiasm.bench.item import Asked
from chiasm.errors import count, warning
from chiasm.language.questions import Question

CUT = "prompt cut"
"""The note of an answer to a prompt whose begin was beyond the model's reach."""


@dataclass(frozen=True)
class Reply:
    """What was said to an item: words, or a score for each option, or why nothing was said.

    Args:
        key: of the item that was asked.
        text: the answer in words.
        scores: one for each option in the order shown, higher is better; they are read in the place of words.
        failure: `crashed` or `silent`, where nothing came back.
        note: what kind of failure it was, or `CUT`, without a word of the item.
        position: of the option that was chosen, in the order shown, from 0; it is read in the place of words.
    """

    key: str
    text: str | None = None
    scores: tuple[float, ...] | None = None
    failure: str = ""
    note: str = ""
    position: int | None = None

    def as_json(self) -> dict[str, Any]:
        """As a line of the answers; what is empty is left out."""
        own: dict[str, Any] = {
            "id": self.key,
            "text": self.text,
            "scores": None if self.scores is None else list(self.scores),
        }
        own |= {"failure": self.failure or None, "note": self.note or None, "position": self.position}
        return {name: value for name, value in own.items() if value is not None}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> Reply:
        """Read a line of the answers."""
        scores = row.get("scores")
        return cls(
            str(row["id"]),
            None if row.get("text") is None else str(row["text"]),
            None if scores is None else tuple(float("nan") if own is None else float(own) for own in scores),
            str(row.get("failure") or ""),
            str(row.get("note") or ""),
            None if row.get("position") is None else int(row["position"]),
        )


def cut_told(replies: Mapping[str, Sequence[Reply]]) -> list[str]:
    """Say of how many prompts the begin was cut, over all ways of asking (name to replies)."""
    number = sum(own.note == CUT for each in replies.values() for own in each)
    what = f"{count(number, 'prompt')} cut at the begin, being longer than the model can read"
    todo = "its answers rest on the rest; take fewer worked examples, or a model that reads more"
    return [str(warning(what, todo, finding="prompt-cut"))] if number else []


@runtime_checkable
class Candidate(Protocol):
    """Whoever answers items.

    `name` is for people, `identity` the hash of what answers: equal for equal weights and options, whatever the suite.
    `sees_attachments` is False for one that is never shown an image; `told` says in a sentence how it was asked.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def sees_attachments(self) -> bool: ...
    @property
    def told(self) -> str: ...

    def answer(self, items: Sequence[Asked]) -> Iterator[Reply]:
        """Answer the items in this order, each once."""
        ...


@runtime_checkable
class Learner(Candidate, Protocol):
    """A candidate that shows worked examples of its own choice."""

    def apart_from(self, items: Iterable[Question]) -> Candidate:
        """The candidate without examples that are one of these items, or nearly so."""
        ...


Opened = Callable[..., Candidate]
"""Opens a candidate from the text behind its prefix, with what it was given to learn from."""
