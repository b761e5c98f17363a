"""A conversation with a synthetic patient: what each turn moved, what was told, and who spoke for the patient.

What may be told in a turn is decided by the persona's states and facts alone. The texts of the facts are said as they
stand, or by a callable that is given them: what such a speaker says is kept only where it tells every fact that was
asked for and none that is not to be told yet, and is counted otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chiasm.language.asking.hearing import stem, words_of
from chiasm.language.conversation.persona import Known, Persona, Phrases

Speaker = Callable[[str], str]
"""Given a prompt, it says what the patient says."""
MOST_TURNS = 200
MOST_CHARACTERS = 2_000
UNKNOWN = "I do not know."
SHARED = 0.6
"""Share of the words of a fact from which on it counts as told."""


@dataclass(frozen=True)
class Turn:
    """One exchange.

    Args:
        heard: what was said to the patient.
        says: what the patient answered.
        before, after: the states.
        acts: what was done in `heard`, by the persona's phrases.
        told: names of the facts that the answer tells.
        withheld: names of facts that were asked for and are not told in this state.
        replaced: why what a speaker said was not kept; "" where it was, or nobody spoke.
    """

    heard: str
    says: str
    before: str
    after: str
    acts: tuple[str, ...]
    told: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    replaced: str = ""


@dataclass
class Conversation:
    """A patient who is talked with.

    Args:
        persona: who is talked with.
        speaker: says it in words of its own; None says the texts of the facts.
        turns: what was said so far.
    """

    persona: Persona
    speaker: Speaker | None = None
    turns: list[Turn] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The state that the patient is in."""
        return self.turns[-1].after if self.turns else self.persona.starts

    @property
    def told(self) -> tuple[str, ...]:
        """Names of the facts that were told so far, each once."""
        return tuple(dict.fromkeys(name for turn in self.turns for name in turn.told))

    @property
    def replaced(self) -> int:
        """How often what a speaker said was not kept."""
        return sum(bool(turn.replaced) for turn in self.turns)

    def hear(self, heard: str) -> Turn:
        """Say something to the patient, and return the turn.

        Raises:
            ValueError: nothing was said, too much, or the conversation has too many turns.
        """
        if not heard.strip():
            raise ValueError("nothing was said to the patient")
        if len(heard) > MOST_CHARACTERS:
            raise ValueError(f"{len(heard):,} characters are too many for one turn: say {MOST_CHARACTERS:,} or fewer")
        if len(self.turns) >= MOST_TURNS:
            raise ValueError(f"the conversation has {MOST_TURNS} turns: begin another one")
        own, before = self.persona, self.state
        words = [stem(word) for word in words_of(heard)]
        acts = tuple(name for name, phrases in own.acts.items() if uses(words, phrases))
        after = next((move.to for move in own.moves if move.start == before and move.after in acts), before)
        asked = [fact for fact in own.facts if uses(words, fact.asks)]
        open_ = [fact for fact in asked if after in fact.states]
        withheld = tuple(fact.name for fact in asked if after not in fact.states)
        plain = self._plainly(open_, withheld, after, acts)
        says, replaced = self._spoken(heard, plain, open_, after)
        turn = Turn(heard, says, before, after, acts, tuple(fact.name for fact in open_), withheld, replaced)
        self.turns.append(turn)
        return turn

    def _plainly(self, told: Sequence[Known], withheld: Sequence[str], state: str, acts: Sequence[str]) -> str:
        parts = [fact.says for fact in told]
        if withheld:
            parts.append(self.persona.state(state).withholds)
        replies = self.persona.replies
        return " ".join(parts) or next((replies[act] for act in acts if act in replies), UNKNOWN)

    def _spoken(self, heard: str, plain: str, told: Sequence[Known], state: str) -> tuple[str, str]:
        """What the patient says, and why a speaker's words were not taken."""
        if self.speaker is None:
            return plain, ""
        said = self.speaker(self.prompt(heard, plain, state))
        if not isinstance(said, str) or not said.strip():
            return plain, "it said nothing"
        said = " ".join(said.split())
        if len(said) > MOST_CHARACTERS:
            return plain, "it said too much"
        if any(not tells(said, fact) for fact in told):
            return plain, "it left out a fact"
        known = {*self.told, *(fact.name for fact in told)}
        if any(tells(said, fact) for fact in self.persona.facts if fact.name not in known):
            return plain, "it told a fact that is not to be told yet"
        return said, ""

    def prompt(self, heard: str, plain: str, state: str) -> str:
        """What a speaker is given: who it is, what was said, and all that may be told now."""
        lines = [
            f"You are a patient: {self.persona.name}. {self.persona.manner}".rstrip(),
            f"You are {state}. Answer as the patient, in one or two sentences, and tell nothing but what stands under "
            "TELL.",
            f"Patient: {self.persona.opens}",
        ]
        for turn in self.turns:
            lines += [f"Clinician: {turn.heard}", f"Patient: {turn.says}"]
        return "\n".join([*lines, f"Clinician: {heard}", f"TELL: {plain}", "Patient:"])

    def as_json(self) -> dict[str, Any]:
        """The conversation as JSON can hold it."""
        return {
            "persona": self.persona.name,
            "opens": self.persona.opens,
            "turns": [{key: _plain(value) for key, value in vars(turn).items()} for turn in self.turns],
            "replaced": self.replaced,
        }


def uses(words: Sequence[str], phrases: Phrases) -> bool:
    """Whether stems of words hold one of the phrases, its words side by side."""
    joined = f" {' '.join(words)} "
    return any(f" {' '.join(phrase)} " in joined for phrase in phrases)


def tells(said: str, fact: Known) -> bool:
    """Whether a text tells a fact: most of the fact's longer words stand in it."""
    wanted = {stem(word) for word in words_of(fact.says) if len(word) > 3 or word.isdigit()}
    held = {stem(word) for word in words_of(said)}
    return bool(wanted) and len(wanted & held) >= SHARED * len(wanted)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
