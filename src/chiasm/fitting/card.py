"""Card of a fitted model: what it reads and gives, what its folder holds of training patients, what it is not for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from chiasm.artifact import parts_within
from chiasm.cohort import Encoding
from chiasm.errors import count
from chiasm.shown import visible

LISTED = 40  # columns of a modality that are named
SHARING = "Who may read the folder may read these: share it as you would share such figures of your patients."
LIMITS = """\
- Patients unlike those it learned from: another disease, another way to measure, another time. Try it on patients of
  your own with known outcomes first.
- A decision about a patient. It is no medical device, and nobody has approved it.
- A claim of how good it is. It holds no score: `chiasm evaluate` measures the recipe, on patients that it has not
  learned from.
"""


@runtime_checkable
class HoldsTraining(Protocol):
    """Protocol of a stored part that keeps something of training patients beyond fitted weights."""

    def of_training(self) -> str:
        """Say in a phrase what a model folder holds of training patients by this part; empty: nothing."""
        ...


class Described(Protocol):
    """Protocol of what a card describes: the public fields of a fitted model."""

    @property
    def recipe(self) -> str: ...
    @property
    def modalities(self) -> dict[str, str]: ...
    @property
    def target(self) -> dict[str, Any]: ...
    @property
    def encodings(self) -> dict[str, Encoding]: ...
    @property
    def learned_from(self) -> dict[str, int]: ...
    @property
    def columns(self) -> dict[str, list[str]]: ...
    @property
    def trained_parameters(self) -> int: ...


def card_of(model: Described) -> str:
    """Write the card of a fitted model in Markdown."""
    learned = " with ".join(count(number, noun.removesuffix("s")) for noun, number in model.learned_from.items())
    target = ", ".join(f"{key} '{_plain(value)}'" for key, value in model.target.items())
    lines = [
        f"# Model card: `{_plain(model.recipe)}`",
        "",
        f"A model of chiasm. {count(model.trained_parameters, 'trained parameter')}"
        + (f", learned from {learned}." if learned else "."),
        "",
        "## What it gives",
        "",
        f"One row for each patient, for the target of {target}. A patient needs one or more of the modalities below.",
        "",
        "## What it reads",
        "",
        "| modality | kind | columns | encoder |",
        "|---|---|---|---|",
    ]
    for name, kind in model.modalities.items():
        number = f"{len(model.columns[name]):,}" if name in model.columns else "-"
        encoder = _plain(model.encodings[name].encoder) if name in model.encodings else "-"
        lines.append(f"| {_plain(name)} | {_plain(kind)} | {number} | {encoder} |")
    for name, columns in model.columns.items():
        if len(columns) <= LISTED:
            lines += ["", f"Columns of {_plain(name)}: {', '.join(map(_plain, columns))}."]
    said = held_of_training(model).items()
    held = [f"- {number} x {phrase}" if number > 1 else f"- {phrase}" for phrase, number in said]
    lines += [
        "",
        "## What this folder holds of training patients",
        "",
        "Fitted weights, and:" if held else "Fitted weights alone.",
        *held,
        "",
        *((SHARING, "") if held else ()),
        "## What it is not for",
        "",
        LIMITS,
    ]
    return "\n".join(lines)


def held_of_training(part: Any) -> Mapping[str, int]:
    """Collect what every part of a model says that it keeps of training patients, and how often the same is said."""
    said = (own.of_training() for own in parts_within(part) if isinstance(own, HoldsTraining))
    return Counter(phrase for phrase in said if phrase)


def _plain(value: object) -> str:
    """Text without what Markdown or a terminal would act on."""
    plain = visible(value).replace("\n", " ").replace("|", "/").replace("`", "'")
    return plain.replace("<", "&lt;").replace("[", "(").replace("]", ")")
