"""The promise of a speaker: text in, text out; some also weigh the answers that there are. A plain function is one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from chiasm.language.fingerprint import fingerprint, name_of


@dataclass(frozen=True)
class Manner:
    """How an answer is to be written.

    Args:
        tokens: the most that are written.
        temperature: 0 takes the likeliest token each time; above it they are drawn.
        seed: of the draw; answers of different seeds are different draws.
        stops: signs at which an answer ends, which do not belong to it.
    """

    tokens: int = 24
    temperature: float = 0.0
    seed: int = 0
    stops: tuple[str, ...] = ("\n",)

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ValueError(f"tokens={self.tokens} leaves no room for an answer: choose 1 or more")
        if not 0 <= self.temperature <= 10:
            raise ValueError(f"temperature={self.temperature:g} is out of range: choose 0 to 10")


@dataclass(frozen=True)
class Said:
    """An answer in words, and what it cost.

    Args:
        text: without blanks at its ends, up to the first stop.
        read, written: tokens of the prompt and of the answer; None where nobody told.
        cut: the begin of the prompt was beyond the speaker's reach.
        ended: False where the answer stopped because it was as long as it might be.
    """

    text: str
    read: int | None = None
    written: int | None = None
    cut: bool = False
    ended: bool = True


@dataclass(frozen=True)
class Weighed:
    """Log-likelihood of each name that was weighed after a prompt, the prompt's tokens, and whether it was cut."""

    scores: tuple[float, ...]
    read: int = 0
    cut: bool = False


class NotSaid(Exception):
    """A speaker gave no answer: `kind` is crashed, silent or too long; `note` holds no word of what was asked."""

    def __init__(self, kind: str, note: str) -> None:
        super().__init__(f"{kind}: {note}")
        self.kind, self.note = kind, note


@runtime_checkable
class Speaker(Protocol):
    """Whoever answers a text with a text.

    `identity` is a hash of what answers; `turn` says that a prompt is put as a user's turn and not gone on with.
    """

    @property
    def name(self) -> str: ...
    @property
    def identity(self) -> str: ...
    @property
    def turn(self) -> bool: ...

    def say(self, prompt: str, manner: Manner) -> Said:
        """Answer a prompt.

        Raises:
            NotSaid: it failed, or kept silent.
        """
        ...


@runtime_checkable
class Weighing(Speaker, Protocol):
    """A speaker that also tells how likely each of some names is to follow a prompt."""

    def weigh(self, prompts: Sequence[str], names: Sequence[str]) -> list[Weighed]:
        """Return the log-likelihood of each name behind each prompt, up to a number that is the same for all names.

        Raises:
            NotSaid: a prompt leaves no room for a name.
        """
        ...


@dataclass(frozen=True)
class FunctionSpeaker:
    """A function of a prompt that returns its answer; what it raises counts as an answer that was not given."""

    function: Callable[[str], str]
    name: str
    identity: str
    turn: bool = False

    def say(self, prompt: str, manner: Manner) -> Said:
        """Call the function; where it takes a manner it is given that too."""
        try:
            text = self.function(prompt)
        except Exception as error:
            raise NotSaid("crashed", type(error).__name__) from None
        if not isinstance(text, str):
            raise NotSaid("crashed", f"{type(text).__name__} in the place of an answer")
        return Said(upto(text, manner.stops))


def speaker_of(given: Speaker | Callable[[str], str]) -> Speaker:
    """Take a function of a text as a speaker; its identity is what it does and what it holds.

    Raises:
        ValueError: it can neither be called nor speaks.
    """
    if isinstance(given, Speaker):
        return given
    if not callable(given):
        raise ValueError(f"a {type(given).__name__} cannot be asked: hand over a function of a text, or a speaker")
    return FunctionSpeaker(given, name_of(given), fingerprint(given))


def upto(text: str, stops: Sequence[str]) -> str:
    """The text up to the first stop behind its first word, without blanks at its ends."""
    text = text.strip()
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)].strip() if places else text
