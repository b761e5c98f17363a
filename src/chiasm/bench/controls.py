"""Controls that run beside a candidate: the candidate without the image, the question or the text, and nobody.

What the candidate is asked otherwise is an `Asking`; what is chosen without it a function of the items. A control that
reaches the candidate says what its score is worth.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chiasm.bench.corruptions import worse_images
from chiasm.bench.item import Asked, Item, asked
from chiasm.bench.marks import Marks, chosen

Order = tuple[int, ...]
ITSELF = "candidate"
BLIND, SHUFFLED, NO_QUESTION, NO_CONTEXT, ROTATED = "blind", "shuffled", "no-question", "no-context", "rotated"
UNSEEN_QUESTION = "(The question is not shown.)"


@dataclass(frozen=True)
class Asking:
    """A way of putting items to the candidate.

    Args:
        name: in tables, files and JSON.
        told: what it is, in a phrase.
        change: what is shown of each item, with the order in which its options stand.
        applies: whether the items, and whether the candidate sees attachments, give it a meaning.
        when_named: it runs only where it is asked for by its name.
    """

    name: str
    told: str
    change: Callable[[Sequence[Item], int], list[tuple[Asked, Order]]]
    applies: Callable[[Sequence[Item], bool], bool]
    when_named: bool = False

    def shown(self, items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
        """Show the items, each under a name that it has in this way of asking alone."""
        return [(replace(own, key=self.key_of(own.key)), order) for own, order in self.change(items, seed)]

    def key_of(self, key: str) -> str:
        """The name that an item has in this way of asking, from the one it has as it is."""
        return key if self.name == ITSELF else hashlib.sha256(f"{self.name}\0{key}".encode()).hexdigest()[: len(key)]


def as_it_is(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show each item as it is."""
    return [(asked(item), own_order(item)) for item in items]


def own_order(item: Item) -> Order:
    """The options of an item in their own order."""
    return tuple(range(len(item.options)))


def without_attachments(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show no image."""
    return [(replace(shown, attachments=()), order) for shown, order in as_it_is(items)]


def without_question(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show the options alone, with neither question nor context; images stay."""
    return [(replace(shown, question=UNSEEN_QUESTION, context=""), order) for shown, order in as_it_is(items)]


def without_context(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show the question without the text that it is about."""
    return [(replace(shown, context=""), order) for shown, order in as_it_is(items)]


def with_others_attachments(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show each item that has images those of an item of another group, which are other ones."""
    shown = as_it_is(items)
    places = [k for k, item in enumerate(items) if any(own.is_there for own in item.attachments)]
    mixed = places.copy()
    random.Random(seed).shuffle(mixed)
    for number, place in enumerate(mixed):
        later = (mixed[(number + step) % len(mixed)] for step in range(1, len(mixed)))
        other = next((k for k in later if _other_files(items[k], items[place])), place)
        shown[place] = (replace(shown[place][0], attachments=items[other].attachments), shown[place][1])
    return shown


def _other_files(one: Item, other: Item) -> bool:
    """Whether two items are of different groups and belong to different files."""
    return one.unit != other.unit and {own.path for own in one.attachments} != {own.path for own in other.attachments}


def with_rotated_options(items: Sequence[Item], seed: int = 0) -> list[tuple[Asked, Order]]:
    """Show the options moved on by one place, the last one first."""
    found = []
    for item in items:
        order = (own_order(item)[-1:] + own_order(item)[:-1]) if item.options else ()
        found.append((replace(asked(item), options=tuple(item.options[k] for k in order)), order))
    return found


def _has_files(items: Sequence[Item], sees: bool) -> bool:
    return sees and any(own.is_there for item in items for own in item.attachments)


def _has_others(items: Sequence[Item], sees: bool) -> bool:
    """Whether an item can be shown files that are not its own: two differ in both, of the first two kinds one does."""
    there = [item for item in items if any(own.is_there for own in item.attachments)] if sees else []
    kinds = {(item.unit, tuple(own.path for own in item.attachments)): item for item in there}
    return any(_other_files(own, item) for own in list(kinds.values())[:2] for item in kinds.values())


ASKINGS = (
    Asking(ITSELF, "the candidate", as_it_is, lambda items, sees: True),
    Asking(BLIND, "the same candidate without the images", without_attachments, _has_files),
    Asking(SHUFFLED, "the same candidate with the images of other items", with_others_attachments, _has_others),
    Asking(
        NO_QUESTION,
        "the same candidate without the question",
        without_question,
        lambda items, sees: any(item.options for item in items),
    ),
    Asking(
        NO_CONTEXT,
        "the same candidate without the text that the question is about",
        without_context,
        lambda items, sees: any(item.context for item in items),
    ),
    Asking(
        ROTATED,
        "the same candidate with the options moved on by one place",
        with_rotated_options,
        lambda items, sees: any(item.options for item in items),
    ),
    *(Asking(name, told, change, _has_files, when_named=True) for name, (told, change) in worse_images().items()),
)
"""The candidate itself and its controls, each a way of asking."""


def askings_for(items: Sequence[Item], sees: bool, names: Sequence[str] | None = None) -> list[Asking]:
    """Return the candidate itself and the ways of asking that have a meaning here, or those of these names.

    Raises:
        ValueError: there is no control of a name.
    """
    known = {own.name: own for own in ASKINGS}
    for name in names or ():
        if name not in known:
            raise ValueError(f"there is no control '{name}': choose from {', '.join(list(known)[1:])}, or none")
    fit = [own for own in ASKINGS if own.name == ITSELF or own.applies(items, sees)]
    return [own for own in fit if (not own.when_named if names is None else own.name in (ITSELF, *names))]


def first_options(items: Sequence[Item], seed: int = 0) -> Marks:
    """Choose the first option of each item."""
    return chosen(items, [0] * len(items))


def random_options(items: Sequence[Item], seed: int = 0) -> Marks:
    """Draw an option of each item; what is drawn depends on the seed and the item alone, not on the others."""
    places = []
    for item in items:
        drawn = int(hashlib.sha256(f"{seed}\0{item.id}".encode()).hexdigest()[:12], 16)
        places.append(drawn % len(item.options) if item.options else -1)
    return chosen(items, places)


def frequent_positions(items: Sequence[Item], seed: int = 0) -> Marks:
    """Choose the position, or say the text, that is right most often in these very items: the best constant answer."""
    seen = Counter(place for item in items for place in item.positions)
    best = [place for place, _ in sorted(seen.items(), key=lambda own: (-own[1], own[0]))]
    said = Counter(text for item in items if not item.options for text in item.accepted[:1])
    text = min(said, key=lambda own: (-said[own], own)) if said else ""
    return chosen(items, [next((k for k in best if k < len(item.options)), 0) for item in items], text)


CHOSEN: dict[str, tuple[str, Callable[[Sequence[Item], int], Marks]]] = {
    "first": ("always the first option", first_options),
    "random": ("an option drawn at random", random_options),
    "frequent": ("the answer that is right most often here, known from the key", frequent_positions),
}
"""Controls without a candidate: name to what it is and how it chooses."""
