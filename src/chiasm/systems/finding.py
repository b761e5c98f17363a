"""Looking up a published system by its name, its title or the number of its paper, also where it is misspelt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from chiasm.systems.entry import Review, System
from chiasm.systems.reading import reviews, systems

ALIKE = 0.8
"""How alike a misspelt name has to be, of 1."""
SHOWN = 5
NAME, WORDS, SPELLING = "name", "words", "spelling"
NUMBER = re.compile(r"10\.\d{4,9}/\S+|(?<!\d)\d{4}\.\d+")
"""What a paper is known by beside its title: a DOI, or the number of arXiv."""


@dataclass(frozen=True)
class Found:
    """What a text names, the best first.

    Args:
        entries: systems and reviews.
        by: how they were found: `name`, `words`, or `spelling`, where nothing is called so.
    """

    entries: list[System | Review]
    by: str


def find(text: str) -> Found:
    """Return the systems and reviews that a text names, the best first, and how they were found.

    A name, a key, a recipe, a title or the number of a paper, as it is written; else titles and names that hold every
    word of the text; else what is spelt almost so. A number is compared whole: one that is almost so is another paper.

    Raises:
        ValueError: nothing is named so; the message gives the nearest names.
    """
    every: list[System | Review] = [*systems().values(), *reviews().values()]
    asked = _plain(text)
    if not asked:
        raise ValueError("no paper is named: give a title, or the name of a system, as in 'Symile'")
    number = _number(text)
    exact = [own for own in every if asked in {_plain(name) for name in _known(own)}]
    exact = exact or [own for own in every if number and number == _number(own.paper.link)]
    if exact:
        return Found(exact, NAME)
    if number:
        raise ValueError(
            f"no paper of the catalogue has the number '{number}', which is compared whole: "
            "give a title, or the name of a system"
        )
    words = set(asked.split())
    held = [own for own in every if any(words <= set(_plain(name).split()) for name in _known(own))]
    if held:
        return Found(held, WORDS)
    scored = sorted(((_alike(asked, own), own) for own in every), key=lambda pair: -pair[0])
    best = [own for score, own in scored if score >= ALIKE]
    if best:
        return Found(best[:SHOWN], SPELLING)
    near = ", ".join(own.names[0] for _, own in scored[:3])
    raise ValueError(f"no system of the catalogue is called '{text}': the nearest are {near}")


def _known(own: System | Review) -> Sequence[str]:
    """What an entry is found by."""
    recipes = own.recipes if isinstance(own, System) else ()
    return (*own.names, own.key, own.paper.title, *recipes)


def _plain(text: str) -> str:
    """Lower case, letters and numbers alone, one space between."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _number(text: str) -> str:
    """The number of a paper that a text or a link holds, empty if none."""
    found = NUMBER.search(text)
    return "" if found is None else found[0].rstrip(".,;)/").lower()


def _alike(asked: str, own: System | Review) -> float:
    return max(SequenceMatcher(None, asked, _plain(name)).ratio() for name in _known(own))
