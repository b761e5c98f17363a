"""Card of a fitted model: what it reads and gives, what its folder holds of training patients, what it is not for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from chiasm.artifact import parts_within
from chiasm.cohort import Encoding
from chiasm.encoders.knowledge import Entities
from chiasm.errors import count
from chiasm.fitting.card_patients import USE, training_told
from chiasm.fitting.history import Step, history_told
from chiasm.protocols import search_of
from chiasm.shown import visible

WARM, TRIED, HELD_OUT = "warm_kept", "warm_sources", "warm_held_out"
"""Notes of a network that could begin with a source's weights: 1 where these were kept; sources that were tried, and
patients who were held out to choose by."""
SOURCE, FRESH, UNTRIED = "source", "fresh", "untried"
"""How a network began: with the weights of a source, fresh after a choice, or fresh because no source was tried."""
TOLD_ERROR, TOLD_SHUFFLED = "text error", "text error shuffled"
TOLD_DIFFERENCE, TOLD_UNCERTAINTY = "text error difference", "text error difference standard error"
TOLD_PATIENTS, TOLD_SHARE = "text error patients", "text owed to the others"
"""Notes of a network that tells a text: its errors, on how many patients, and the share of what is told, if any."""
NOT_ADAPTED = "not adapted"
"""Note of a network: 1 where too few patients have the modality whose encoder is to be adapted."""
SOFT = "soft prompts, vectors that can keep what training patients had"
LISTED = 40  # columns of a modality that are named
SHARING = "Who may read the folder may read these: share it as you would share such figures of your patients."
LIMITS = """\
- Patients unlike those it learned from: another disease, another way to measure, another time. Try it on patients of
  your own with known outcomes first.
- A decision about a patient. It is no medical device, and nobody has approved it.
- A claim of how good it is. The model itself has no score: `chiasm evaluate` measures its recipe, on patients that
  the models of a trial have not learned from.
"""


@runtime_checkable
class Revised(Protocol):
    """A model that may have been recalibrated or extended; `history` has the steps."""

    @property
    def history(self) -> tuple[Step, ...]: ...


@runtime_checkable
class HoldsTraining(Protocol):
    """Protocol of a stored part that keeps something of training patients beyond fitted weights."""

    def of_training(self) -> str:
        """Say in a phrase what a model folder holds of training patients by this part; empty: nothing."""
        ...


@runtime_checkable
class KeepsRows(Protocol):
    """Protocol of a stored part that can keep rows of training patients: landmarks of a kernel, soft prompts."""

    @property
    def keeps_rows(self) -> bool: ...


class Named(Protocol):
    """Protocol of what has a name."""

    @property
    def name(self) -> str: ...


@runtime_checkable
class Begun(Protocol):
    """Protocol of a stored part that may have begun with a source's weights: notes of its fit, and whose they were."""

    @property
    def notes(self) -> Mapping[str, float]: ...
    @property
    def begun_from(self) -> Sequence[Named]: ...


class Described(Protocol):
    """Protocol of what a card describes: the public fields of a fitted model."""

    @property
    def recipe(self) -> str: ...
    @property
    def kinds(self) -> dict[str, str]: ...
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
        "## Intended use",
        "",
        USE,
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
    for name, kind in model.kinds.items():
        number = f"{len(model.columns[name]):,}" if name in model.columns else "-"
        encoder = _plain(model.encodings[name].encoder) if name in model.encodings else "-"
        lines.append(f"| {_plain(name)} | {_plain(kind)} | {number} | {encoder} |")
    for told in (
        tuning_told(model),
        start_told(model),
        text_told(model),
        *adaptation_told(model),
        *knowledge_told(model),
    ):
        lines += ["", told] if told else []
    for name, columns in model.columns.items():
        if len(columns) <= LISTED:
            lines += ["", f"Columns of {_plain(name)}: {', '.join(map(_plain, columns))}."]
    if learned_of := training_told(model):
        lines += ["", "## Who it learned from", "", "\n\n".join(map(_plain, learned_of))]
    if steps := history_told(model.history if isinstance(model, Revised) else ()):
        lines += ["", "## What was done since", "", *(_plain(step) for step in steps)]
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


def rows_kept(part: Any) -> list[str]:
    """Collect what the parts of a model that can keep rows of training patients say of it; empty: there are none."""
    parts = [own for own in parts_within(part) if isinstance(own, KeepsRows) and own.keeps_rows]
    said = [own.of_training() if isinstance(own, HoldsTraining) else SOFT for own in parts]
    return list(dict.fromkeys(phrase for phrase in said if phrase))


def notes_of(part: Any, name: str) -> list[Mapping[str, float]]:
    """Return the notes of the parts of a model that have one of this name."""
    noted = (own.notes for own in parts_within(part) if isinstance(own, Begun))
    return [notes for notes in noted if name in notes]


def choices_of_start(part: Any) -> list[Begun]:
    """Return the networks of a part that could begin with a source's weights (`fitting.warm_start`)."""
    return [own for own in parts_within(part) if isinstance(own, Begun) and WARM in own.notes]


def start_of(part: Any) -> str:
    """Return how the networks of a part began: `SOURCE`, `FRESH` or `UNTRIED`; "" where there was nothing to choose."""
    notes = [own.notes for own in choices_of_start(part)]
    if any(own[WARM] for own in notes):
        return SOURCE
    return (FRESH if any(own.get(TRIED) for own in notes) else UNTRIED) if notes else ""


def start_told(part: Any) -> str:
    """Say whose weights a network began with, and by which losses; "" where there was nothing to choose."""
    return " ".join(_start_told(own.notes, own.begun_from) for own in choices_of_start(part))


def _start_told(notes: Mapping[str, float], begun_from: Sequence[Named]) -> str:
    if not notes.get(TRIED):
        why = "no source reads these training patients" if notes.get(HELD_OUT) else "nobody could be held out to ask"
        return f"It began fresh, and no source was tried: {why}."
    tried = int(notes[TRIED])
    which = f", the best of {count(tried, 'source')}" if tried > 1 else ""
    losses = (
        f"the negative log likelihood of {count(int(notes[HELD_OUT]), 'held-out patient')} was "
        f"{_number(notes, 'nll_warm')} after it and {_number(notes, 'nll_fresh')} after a fresh start, and a source is "
        f"kept that gains more than {notes['warm_enough']:.2f}"
    )
    if not notes[WARM]:
        best = f"the best of {count(tried, 'source')}" if tried > 1 else "one"
        return f"It began fresh, not with the weights of a source. {best.capitalize()} was tried: {losses}."
    numbers, copied = int(notes["warm_numbers"]), int(notes["warm_copied"])
    rest = "" if numbers == copied else f"; the other {numbers - copied:,} began as without a source"
    whose = f" '{_plain(begun_from[0].name)}'" if begun_from else ""
    return (
        f"It began with the weights of the source{whose}{which}: {losses}. Of its own {count(numbers, 'number')} "
        f"{copied:,} were copied{rest}."
    )


def _number(notes: Mapping[str, float], name: str) -> str:
    return f"{notes[name]:.4g}" if name in notes else "not a number"


def text_told(part: Any) -> str:
    """Say how well a text is told, and how much of that is owed to the other modalities; "" where none was told."""
    said = []
    for notes in notes_of(part, TOLD_ERROR):
        share = f", {notes[TOLD_SHARE]:.0%} of all that is told" if TOLD_SHARE in notes else ""
        said.append(
            "Before the target it learned to tell hidden parts of a text: with an error, over the variance, of "
            f"{notes[TOLD_ERROR]:.3g}, and of {notes[TOLD_SHUFFLED]:.3g} with the other modalities of another patient. "
            f"The difference, {notes[TOLD_DIFFERENCE]:.3g} (standard error {notes[TOLD_UNCERTAINTY]:.2g}){share}, is "
            f"owed to the others; measured on {count(int(notes[TOLD_PATIENTS]), 'patient')}, who also chose the epoch."
        )
    return " ".join(said)


def adaptation_told(part: Any) -> list[str]:
    """Say that an encoder was not adapted, where too few training patients had its modality."""
    said = "No encoder was adapted: too few training patients had the modality that was to be."
    return [said] if notes_of(part, NOT_ADAPTED) else []


def knowledge_told(part: Any) -> list[str]:
    """Say that a model reads knowledge beside its modalities, and whose names it holds; nothing where it does not."""
    known = [len(own.entities) for own in parts_within(part) if isinstance(own, Entities)]
    return [
        f"It also reads which of {number:,} {'entity' if number == 1 else 'entities'} a patient has, in the column of "
        "the manifest's [knowledge]; the folder holds their names. Of a patient without one, or with one that is new, "
        "it reads the modalities alone."
        for number in known[:1]
    ]


def tuning_told(part: Any) -> str:
    """Say which options were picked, among how many and by what; "" where none were searched."""
    search = search_of(part)
    if search is None:
        return ""
    return "Tuned: " + _plain(search.sentence, r"\[", r"\]")


def _plain(value: object, left: str = "(", right: str = ")") -> str:
    """Text without what Markdown or a terminal would act on; `left` and `right` stand for square brackets."""
    plain = visible(value).replace("\n", " ").replace("|", "/").replace("`", "'")
    return plain.replace("<", "&lt;").replace("[", left).replace("]", right)
