"""An answer to a question in plain words, and where what it says stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Place:
    """Where a value stands: a file of a folder, the key in it, and the value itself.

    A key goes down by points; `[name]` takes the row of a list that is called so, `[3]` the fourth one.
    """

    file: str
    key: str
    value: Any = None

    def __str__(self) -> str:
        return f"{self.file}: {self.key}"


@dataclass(frozen=True)
class Answer:
    """What is answered to a question.

    Args:
        answered: False where what was asked does not hold the answer; `text` then says so.
        text: the answer in plain words.
        places: where each of its values stands.
        asks: questions that could be asked instead, where this one is not answered.
        topic: what the question was taken to be about; "" where it was not answered.
    """

    answered: bool
    text: str
    places: tuple[Place, ...] = ()
    asks: tuple[str, ...] = ()
    topic: str = ""

    def __str__(self) -> str:
        lines = [self.text, *(f"  {place}" for place in self.places)]
        if self.asks:
            lines += ["It can be asked, for instance:", *(f"  {one}" for one in self.asks)]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The answer as JSON can hold it."""
        return {
            "answered": self.answered,
            "text": self.text,
            "places": [{"file": own.file, "key": own.key, "value": own.value} for own in self.places],
            "asks": list(self.asks),
            "topic": self.topic,
        }


def not_answered(what: str, asks: Sequence[str]) -> Answer:
    """An answer that says what does not hold it, and what can be asked.

    Args:
        what: what was asked, as a sentence names it: "the run".
    """
    return Answer(False, f"{what[:1].upper()}{what[1:]} holds no answer to this question.", asks=tuple(asks))
