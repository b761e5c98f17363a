"""What a way of prompting consists of, and the ways that have a name.

Sources: Medprompt, Nori et al., arXiv 2311.16452; OpenMedLM, Maharjan et al., arXiv 2402.19371; chain of thought, Wei
et al., arXiv 2201.11903; self-consistency, Wang et al., arXiv 2203.11171.
"""

from __future__ import annotations

from dataclasses import dataclass

from chiasm.language.speaking.speaker import Manner

THINK = "Let us think step by step."
REASONS = f"{THINK} Then end with 'The answer is' and the letter of the right option."
STOPS, ENDS = ("\n",), ("\nQuestion:",)


@dataclass(frozen=True)
class Prompting:
    """How a question is put, and how often.

    Args:
        examples: worked examples before it, the nearest first.
        chain: reasons are asked for before the answer; those of an example are the speaker's own, and shown only where
            they end in the right answer.
        shuffles: orders of the options in which it is asked; 0 for as many as options, in which each option stands at
            each place once.
        samples: answers that are drawn in each order.
        temperature: of the draws; one sample alone is the likeliest, whatever it says.
        tokens: most that are written, 0 for 24, or 256 with reasons.
        seed: of the draws and orders.
    """

    examples: int = 0
    chain: bool = False
    shuffles: int = 1
    samples: int = 1
    temperature: float = 0.7
    tokens: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("examples", 0), ("shuffles", 0), ("samples", 1), ("tokens", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name}={getattr(self, name)} cannot be: choose {least} or more")
        if self.samples > 1 and self.temperature <= 0:
            raise ValueError("samples at temperature=0 are all the same: choose a temperature above 0, or samples=1")

    def manner(self, number: int) -> Manner:
        """How the sample of this number is written."""
        tokens = self.tokens or (256 if self.chain else 24)
        drawn = self.temperature if self.samples > 1 else 0.0
        return Manner(tokens, drawn, self.seed + number, ENDS if self.chain else STOPS)

    @property
    def told(self) -> str:
        """It in words."""
        parts = [f"after the {self.examples} nearest worked examples" if self.examples else "without worked examples"]
        if self.chain:
            parts.append("with reasons before the answer")
        if self.shuffles != 1:
            parts.append(
                f"in {self.shuffles or 'as many'} orders of its options{'' if self.shuffles else ' as it has'}"
            )
        if self.samples > 1:
            parts.append(f"{self.samples} answers drawn at temperature {self.temperature:g}")
        return ", ".join(parts)


WAYS = {
    "zero-shot": Prompting(),
    "few-shot": Prompting(examples=5),
    "chain-of-thought": Prompting(chain=True),
    "self-consistency": Prompting(chain=True, samples=5),
    "shuffled": Prompting(shuffles=0),
    "openmedlm": Prompting(examples=5, chain=True, samples=5),
    "medprompt": Prompting(examples=5, chain=True, shuffles=5),
}
"""Names of ways of prompting."""
