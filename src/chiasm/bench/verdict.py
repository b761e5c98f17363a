"""One sentence on what the answers show, and the facts behind it: chance, controls, images, positions, what was none.

Asked in this order. *Too few to say*: fewer than 30 groups. *Below chance*: the interval lies below it. *Knows
nothing*: the interval holds chance, or the difference from a constant answer holds zero or lies below it. *Answers
without the question*: the difference from the same candidate without the question does. Else *knows something*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chiasm.bench.controls import BLIND, NO_CONTEXT, NO_QUESTION, SHUFFLED
from chiasm.bench.item import LETTERS, same_options
from chiasm.bench.marks import Marks
from chiasm.bench.scoring import Apart, Score, none_for_nan
from chiasm.language.parsing import WAYS
from chiasm.metrics.shares import marginal_homogeneity
from chiasm.shown import interval

ENOUGH = 30
"""Groups from which a figure is judged."""
MARGIN = 0.05
"""Difference below which an image, a question or a text counts as not used."""
LEVEL = 0.05
MOSTLY = 0.5
"""Share of answers that become another option once options move, from which a bias is one of position."""
TOO_FEW, BELOW, NOTHING, SKIPS, SOMETHING = (
    *("too few to say", "below chance", "knows nothing"),
    *("answers without the question", "knows something"),
)
MUTE = "Nothing that it said could be read as an answer"
"""The first words where no item was answered, which says nothing of the items."""


@dataclass(frozen=True)
class Positions:
    """Shares of the positions that were answered and that are right, over the items with an answer.

    Args:
        names: letters, or the labels where all items share their options.
        answered, right: number of items for each.
        n: number of items with an answer.
        p: that both have the same shares (Stuart and Maxwell); None with fewer than 30 answers.
        moved: share of items whose answer is another option once the options are moved on; None where that was not run.
    """

    names: tuple[str, ...]
    answered: tuple[int, ...]
    right: tuple[int, ...]
    n: int
    p: float | None
    moved: float | None

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        own = asdict(self) | {name: list(asdict(self)[name]) for name in ("names", "answered", "right")}
        return {name: none_for_nan(value) for name, value in own.items()}

    @property
    def bias(self) -> str:
        """What a bias is of: where all items share their options only moving these tells an option from its place."""
        if self.names == tuple(LETTERS[: len(self.names)]) or (self.moved or 0) > MOSTLY:
            return "of position"
        return "of position, or for this option" if self.moved is None else "for this option, wherever it stands"

    @property
    def biased(self) -> bool:
        """True if positions are answered in other shares than they are right."""
        return self.p is not None and self.p < LEVEL

    @property
    def favourite(self) -> int:
        """Place that is answered most often."""
        return int(np.argmax(self.answered))


@dataclass(frozen=True)
class BenchVerdict:
    """The outcome, one of five words, and the sentences that say why."""

    outcome: str
    sentence: str
    uses: Mapping[str, str]

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"outcome": self.outcome, "sentence": self.sentence, "uses": dict(self.uses)}


def positions_of(marks: Marks, rotated: Marks | None = None) -> Positions | None:
    """Compare the positions that were answered with those that are right; None where no item has options."""
    rows = [k for k, item in enumerate(marks.items) if item.options]
    if not rows:
        return None
    width = max(len(marks.items[k].options) for k in rows)
    names = same_options([marks.items[k] for k in rows]) or tuple(LETTERS[:width])
    told = [k for k in rows if marks.positions[k] >= 0]
    pairs = np.array([[marks.positions[k], nearest_right(marks, k)] for k in told], dtype=np.intp).reshape(-1, 2)
    counts = [tuple(int(n) for n in np.bincount(pairs[:, side], minlength=width)) for side in (0, 1)]
    p = marginal_homogeneity(pairs, width) if len(told) >= ENOUGH else None
    moved = None
    if rotated is not None:
        both = [k for k in rows if marks.positions[k] >= 0 and rotated.positions[k] >= 0]
        moved = float(np.mean([marks.positions[k] != rotated.positions[k] for k in both])) if both else None
    return Positions(names, counts[0], counts[1], len(told), p, moved)


def nearest_right(marks: Marks, row: int) -> int:
    """The position that was answered where it is right, else the first right one."""
    place, right = int(marks.positions[row]), marks.items[row].positions
    return place if place in right else right[0]


def verdict_of(
    primary: Score,
    differences: Sequence[Apart],
    marks: Marks,
    positions: Positions | None,
    *,
    label: str,
    sees: bool,
    margin: float = MARGIN,
) -> BenchVerdict:
    """Judge the primary figure of a candidate.

    Args:
        primary: its score.
        differences: from every control, in the primary figure.
        marks: the candidate's answers.
        positions: of `positions_of`.
        label: of the primary figure.
        sees: whether the candidate can be shown attachments.
        margin: difference below which an image or a text counts as not used.
    """
    against = {own.asking: own for own in differences if own.figure == primary.figure}
    units = "groups" if any(item.group for item in marks.items) else "items"
    outcome, why = judged(primary, against, units)
    first = opening(outcome) if marks.answered.any() or outcome != BELOW else MUTE
    told = [f"{first}: {label} {interval(primary.value, primary.low, primary.high)}{why}."]
    uses = {}
    for control, what in ((NO_QUESTION, "question"), (NO_CONTEXT, "text"), (BLIND, "image"), (SHUFFLED, "right image")):
        if control in against:
            uses[what], said = used(against[control], what, margin)
            if outcome not in (TOO_FEW, NOTHING) or what in ("image", "right image"):
                told.append(said)
    there = any(own.was_there for item in marks.items for own in item.attachments)
    if any(item.attachments for item in marks.items) and not (there and sees):
        uses["image"] = "never shown"
        why = "since it reads text alone" if there else "for none is here"
        told.append(f"No image was shown, {why}: that is text alone.")
    told += [said for said in (position_told(positions), unread_told(marks)) if said]
    return BenchVerdict(outcome, " ".join(told), uses)


def judged(primary: Score, against: Mapping[str, Apart], units: str) -> tuple[str, str]:
    """Return the outcome, and the rest of the sentence that gives the figure; `units` is what is drawn, as a word."""
    chance = "" if np.isnan(primary.chance) else f", where chance is {primary.chance:.3f}"
    size = f" ({primary.units:,} {units if primary.units != 1 else units.removesuffix('s')})"
    if primary.units < ENOUGH or not np.isfinite(primary.low):
        return TOO_FEW, f"{chance}{size}"
    if primary.high < primary.chance:
        first = against.get("first")
        if first is not None and not first.high < 0:
            return BELOW, f"{chance}{size}, no better than always answering the first option"
        return BELOW, f"{chance}{size}: look at the key, and at how answers were read"
    if primary.low <= primary.chance:
        return NOTHING, f", which holds chance, {primary.chance:.3f}{size}"
    for name, said in (("first", "always answering the first option"), ("frequent", "the most frequent answer alone")):
        own = against.get(name)
        if own is not None and not np.isfinite(own.low):
            return TOO_FEW, f"{chance}{size}; the difference from {said} cannot be estimated"
        if own is not None and not own.low > 0:
            reached = interval(own.value, own.low, own.high)
            return NOTHING, f"{chance}{size}, and no more than {said} reaches: the difference is {reached}"
    without = against.get(NO_QUESTION)
    if without is not None and without.low <= 0:
        reached = interval(without.value, without.low, without.high)
        return SKIPS, f"{chance}{size}, and no more than without the question: the difference is {reached}"
    return SOMETHING, f"{chance}{size}"


def opening(outcome: str) -> str:
    """The first words of the sentence."""
    return {
        TOO_FEW: "Too few items to say whether it knows anything",
        BELOW: "It answers worse than chance",
        NOTHING: "It knows nothing of what is asked, as far as these items tell",
        SKIPS: "It answers from the options alone",
        SOMETHING: "It knows something of what is asked",
    }[outcome]


def used(own: Apart, what: str, margin: float) -> tuple[str, str]:
    """Say whether the candidate uses what the control takes away, by the ends of the interval alone."""
    told = interval(own.value, own.low, own.high)
    if own.low > 0:
        return "used", f"It uses the {what}: {told} better than without."
    if own.high < margin:
        return "not used", f"It does not use the {what}: {told} better than without, below the margin of {margin:g}."
    return "cannot tell", f"These items cannot tell whether it uses the {what}: {told} better than without."


def position_told(own: Positions | None) -> str:
    """Say which position it favours, where answers and right answers differ in their shares."""
    if own is None or not own.biased:
        return ""
    k = own.favourite
    text = (
        f"It answers {own.names[k]} to {own.answered[k]:,} of {own.n:,} items, where it is right for {own.right[k]:,}: "
        f"a bias {own.bias} (p {'< 0.001' if (own.p or 0) < 0.001 else f'= {own.p:.3f}'})."
    )
    if own.moved is not None:
        text += f" With the options moved on by one place its answer is another one for {own.moved:.0%} of them."
    return text


def unread_told(marks: Marks) -> str:
    """Say how many answers were none, and of which way each was."""
    ways = {way: number for way, number in marks.counted_ways().items() if way != "answered"}
    if not ways:
        return ""
    each = "; ".join(f"one that {WAYS[way]} ({number:,} times)" for way, number in ways.items())
    return f"{sum(ways.values()):,} of {len(marks.ways):,} answers are none, and count as wrong: {each}."
