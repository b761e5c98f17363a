"""A speaker that is counted: calls and tokens, no more of them than a budget, and none for what was said before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from chiasm.language.speaking.said_before import SaidBefore
from chiasm.language.speaking.speaker import Manner, NotSaid, Said, Speaker, Weighed, Weighing

SIGNS_OF_A_TOKEN = 4
"""Bytes that are taken for a token where nobody tells their number."""


class BudgetSpent(ValueError):
    """The next call would be beyond the budget; what was said before is kept."""


@dataclass
class Metered:
    """A speaker with a budget and a memory.

    Args:
        speaker: who answers.
        calls: the most prompts that are put to it; None: any number.
        tokens: the most that are read and written together; what a call will read is guessed before it, at four bytes
            a token, and what it may write is taken for written. None: any number.
        before: what was said before.
    """

    speaker: Speaker
    calls: int | None = None
    tokens: int | None = None
    before: SaidBefore | None = None
    counted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for name, most in (("calls", self.calls), ("tokens", self.tokens)):
            if most is not None and most < 0:
                raise ValueError(f"a budget of {most} {name} is none: choose 0 or more")

    @property
    def identity(self) -> str:
        """Of the speaker, whether its template is used or not."""
        return f"{self.speaker.identity} {'turn' if self.speaker.turn else 'text'}"

    def say(self, prompt: str, manner: Manner) -> Said:
        """Answer as the speaker does, or did before.

        Raises:
            BudgetSpent: before the call.
            NotSaid: the speaker gave no answer; the call counts.
        """
        known = self.before.said(self.identity, prompt, manner) if self.before is not None else None
        if known is not None:
            self.counted["said before"] += 1
            return known
        self.require(1, guessed(prompt) + manner.tokens)
        try:
            said = self.speaker.say(prompt, manner)
        except NotSaid as error:
            self.count(1, guessed(prompt))
            self.counted[error.kind] += 1
            raise
        told = said.read is not None and said.written is not None
        self.counted["tokens guessed"] += not told
        self.count(1, (said.read or 0) + (said.written or 0) if told else guessed(prompt) + guessed(said.text))
        if self.before is not None:
            self.before.keep(self.identity, prompt, manner, said)
        return said

    def weigh(self, prompts: Sequence[str], names: Sequence[str]) -> list[Weighed]:
        """Weigh names behind prompts as the speaker does, or did before.

        Raises:
            BudgetSpent: before the call.
            NotSaid: a name leaves no room for a prompt.
        """
        assert isinstance(self.speaker, Weighing)
        known = {
            own: self.before.weighed(self.identity, own, names) if self.before is not None else None for own in prompts
        }
        left = [own for own, found in known.items() if found is None]
        self.counted["said before"] += len(known) - len(left)
        if left:
            self.require(len(left), sum(map(guessed, left)))
            for own, new in zip(left, self.speaker.weigh(left, names), strict=True):
                self.count(1, new.read)
                known[own] = new
                if self.before is not None:
                    self.before.keep(self.identity, own, names, new)
        return [found for own in prompts if (found := known[own]) is not None]

    def require(self, calls: int, tokens: int) -> None:
        """Refuse what is beyond the budget.

        Raises:
            BudgetSpent: it is.
        """
        for name, most, more in (("calls", self.calls, calls), ("tokens", self.tokens, tokens)):
            if most is not None and self.counted[name] + more > most:
                kept = (
                    "the memory keeps what was said"
                    if self.before is not None
                    else "with a memory nothing would be asked twice"
                )
                raise BudgetSpent(
                    f"the budget of {most:,} {name} is spent: {self.counted[name]:,} are used, and the next prompt "
                    f"needs {more:,} more; go on with a larger one ({kept})"
                )

    def count(self, calls: int, tokens: int) -> None:
        """Count what was used."""
        self.counted["calls"] += calls
        self.counted["tokens"] += tokens


def guessed(text: str) -> int:
    """Tokens of a text where nobody tells their number."""
    return -(-len(text.encode()) // SIGNS_OF_A_TOKEN)
