"""What was done to a fitted model after its fit, each step with the model of before, so that it can be undone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chiasm.artifact import storable
from chiasm.errors import count
from chiasm.heads.response import Response

UPDATE, EXTEND, PREFER = "update", "extend", "prefer"


@storable("step")
@dataclass(frozen=True)
class Step:
    """One step after the fit.

    Args:
        what: "update" (recalibrated on later outcomes), "extend" (a modality added) or "prefer" (what a scorer prefers,
            learned).
        parent: identity of the model folder that it was done to; empty for a model that lay in no folder.
        told: what was changed, in a sentence.
        learned_from: how many `patients`, and with times how many `events`, the step learned from.
        cohort: name of their cohort.
        before: what maps links to predictions in the parent.
        levelled: True if patterns of modalities got a level of their own.
    """

    what: str
    parent: str
    told: str
    learned_from: dict[str, int]
    cohort: str
    before: Response
    levelled: bool = False

    @property
    def sentence(self) -> str:
        """What was done on whom, and to which model."""
        learned = " with ".join(count(n, noun.removesuffix("s")) for noun, n in self.learned_from.items())
        whose = f"model {self.parent[:12]}" if self.parent else "a model that was not stored"
        return f"{self.told} On {learned} of '{self.cohort}'; before it: {whose}."


def history_told(steps: Sequence[Step]) -> list[str]:
    """Say each step, the first first; nothing for a model as it was fitted."""
    return [f"{number}. {step.sentence}" for number, step in enumerate(steps, start=1)]
