"""What a card says of the patients a model learned from: patterns of modalities and the share of each outcome."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from chiasm.cohort.small_cells import LEAST

PATTERNS = 20  # that are named, in the order of the model
USE = """\
**NEEDS INPUT**: in whom, when and by whom it is to be used, what its prediction is to change, and what else it would
stand beside. A model folder cannot know this; nobody should use the model before it is written down."""


@runtime_checkable
class Learned(Protocol):
    """Protocol of a model that knows of its training: numbers of patients, patterns, the share of each outcome."""

    @property
    def learned_from(self) -> dict[str, int]: ...
    @property
    def patterns(self) -> tuple[str, ...]: ...
    @property
    def prevalence(self) -> dict[str, float]: ...


def training_told(model: Any) -> list[str]:
    """Say which patterns of modalities training patients had, and how common each outcome was; [] where not known.

    The share of an outcome that one to four patients had, and then of each, is not told.
    """
    if not isinstance(model, Learned):
        return []
    said = []
    if model.patterns:
        shown = ", ".join(model.patterns[:PATTERNS])
        rest = len(model.patterns) - PATTERNS
        more = f" and {rest:,} more patterns" if rest > 0 else ""
        said.append(
            f"Modalities that training patients had together: {shown}{more}. "
            "A patient of another pattern is predicted from the modalities that are there, as no training patient was."
        )
    if (shares := shares_told(model.prevalence, model.learned_from.get("patients", 0))) != "":
        said.append(
            f"Share of each outcome among them: {shares}. Probabilities follow these shares: where an outcome is more "
            "or less common, they are off until they are told so."
        )
    return said


def shares_told(prevalence: Mapping[str, float], patients: int) -> str:
    """Format the share of each outcome; without numbers where one to four patients had, or had not, one of them."""
    if not prevalence:
        return ""
    counts = [round(share * patients) for share in prevalence.values()]
    if any(0 < n < LEAST or 0 < patients - n < LEAST for n in counts):
        return "too few of one of them to say"
    return ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in prevalence.items())
