"""The score of a conversation: each criterion of the persona's rubric, met or not, and in which turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.language.asking.hearing import stem, words_of
from chiasm.language.conversation.persona import Criterion, Persona
from chiasm.language.conversation.talk import Conversation, Turn, uses


@dataclass(frozen=True)
class Mark:
    """A criterion, and the first turn that met it, counted from 1; None where none did."""

    name: str
    points: float
    turn: int | None


@dataclass(frozen=True)
class Score:
    """What a conversation was worth by a rubric."""

    marks: tuple[Mark, ...]

    @property
    def points(self) -> float:
        """Points of the criteria that were met."""
        return sum(mark.points for mark in self.marks if mark.turn is not None)

    @property
    def of(self) -> float:
        """Points of all criteria."""
        return sum(mark.points for mark in self.marks)

    def __str__(self) -> str:
        lines = [f"{self.points:g} of {self.of:g} points"]
        lines += [
            f"  {mark.points:g}  {mark.name}: {'not met' if mark.turn is None else f'turn {mark.turn}'}"
            for mark in self.marks
        ]
        return "\n".join(lines)

    def as_json(self) -> dict[str, Any]:
        """The score as JSON can hold it."""
        return {"points": self.points, "of": self.of, "marks": [dict(vars(mark)) for mark in self.marks]}


def score(conversation: Conversation) -> Score:
    """Score a conversation by its persona's rubric: phrases used by the clinician, facts learned, acts done."""
    return Score(tuple(_mark(own, conversation.turns) for own in conversation.persona.rubric))


def replay(persona: Persona, heard: Sequence[str]) -> Conversation:
    """Hold a conversation again with what was said to the patient, as from a transcript, and return it to be scored."""
    made = Conversation(persona)
    for said in heard:
        made.hear(said)
    return made


def _mark(own: Criterion, turns: Sequence[Turn]) -> Mark:
    met = (number for number, turn in enumerate(turns, 1) if _meets(own, turn))
    return Mark(own.name, own.points, next(met, None))


def _meets(own: Criterion, turn: Turn) -> bool:
    if own.learns:
        return own.learns in turn.told
    if own.act:
        return own.act in turn.acts
    return uses([stem(word) for word in words_of(turn.heard)], own.asks)
