"""Card of a fitted model: what it reads and gives, what its folder holds of training patients, what it is not for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from chiasm.artifact import parts_within
from chiasm.cohort import Encoding
from chiasm.errors import count
from chiasm.shown import visible

WARM = "warm_kept"
"""Note of a network: 1 where the weights of a source were kept, 0 where a fresh start was."""
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


@runtime_checkable
class Noted(Protocol):
    """Protocol of a stored part with notes of its fit."""

    @property
    def notes(self) -> Mapping[str, float]: ...


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
    lines += ["", told] if (told := start_told(model)) else []
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


def choices_of_start(part: Any) -> list[Mapping[str, float]]:
    """Return the notes of the networks that could begin with a source's weights (`fitting.warm_start`)."""
    noted = (own.notes for own in parts_within(part) if isinstance(own, Noted))
    return [notes for notes in noted if WARM in notes]


def began_warm(part: Any) -> bool | None:
    """Return whether a network kept the weights of a source; None where there was no choice."""
    notes = choices_of_start(part)
    return any(bool(own[WARM]) for own in notes) if notes else None


def start_told(part: Any) -> str:
    """Say whether the weights of a source were kept, by which losses, and what was not copied; "" without a choice."""
    said = []
    for notes in choices_of_start(part):
        kept = "It began with the weights of a source" if notes[WARM] else "It began fresh, not with a source's weights"
        others = int(notes["warm_numbers"] - notes["warm_copied"])
        said.append(
            f"{kept}: trained from these its loss on held-out patients was {notes['loss_warm']:.4g}, and from a fresh "
            f"start {notes['loss_fresh']:.4g}. Of the source {count(int(notes['warm_copied']), 'number')} could be "
            f"copied; {count(others, 'other')} began fresh."
        )
    return " ".join(said)


def _plain(value: object) -> str:
    """Text without what Markdown or a terminal would act on."""
    plain = visible(value).replace("\n", " ").replace("|", "/").replace("`", "'")
    return plain.replace("<", "&lt;").replace("[", "(").replace("]", ")")
