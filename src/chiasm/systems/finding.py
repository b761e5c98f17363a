"""Looking up a published system by its name, its title or the number of its paper, also where it is misspelt."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

from chiasm.systems.entry import Review, System
from chiasm.systems.reading import reviews, systems

ALIKE = 0.8
"""How alike a misspelt name has to be, of 1."""
SHOWN = 5


def find(text: str) -> list[System | Review]:
    """Return the systems and reviews that a text names, the best first.

    A name, a key, a recipe, a title or the number of a paper, as it is written; else titles and names that hold every
    word of the text; else what is spelt almost so.

    Raises:
        ValueError: nothing is named so; the message gives the nearest names.
    """
    every: list[System | Review] = [*systems().values(), *reviews().values()]
    asked = _plain(text)
    if not asked:
        raise ValueError("no paper is named: give a title, or the name of a system, as in 'Symile'")
    exact = [own for own in every if asked in {_plain(name) for name in _known(own)} or _numbered(text, own)]
    if exact:
        return exact
    words = set(asked.split())
    held = [own for own in every if any(words <= set(_plain(name).split()) for name in _known(own))]
    if held:
        return held
    scored = sorted(((_alike(asked, own), own) for own in every), key=lambda pair: -pair[0])
    best = [own for score, own in scored if score >= ALIKE]
    if best:
        return best[:SHOWN]
    near = ", ".join(own.names[0] for _, own in scored[:3])
    raise ValueError(f"no system of the catalogue is called '{text}': the nearest are {near}")


def _known(own: System | Review) -> Sequence[str]:
    """What an entry is found by."""
    recipes = own.recipes if isinstance(own, System) else ()
    return (*own.names, own.key, own.paper.title, *recipes)


def _plain(text: str) -> str:
    """Lower case, letters and numbers alone, one space between."""
    return " ".join(re.findall(r"[a-z0-9]+", text.lower()))


def _numbered(text: str, own: System | Review) -> bool:
    """True if the text holds the number or the link by which the paper is known."""
    number = re.search(r"\d{4}\.\d{4,5}|10\.\d{4,9}/\S+", text)
    return number is not None and number[0] in own.paper.link


def _alike(asked: str, own: System | Review) -> float:
    return max(SequenceMatcher(None, asked, _plain(name)).ratio() for name in _known(own))
