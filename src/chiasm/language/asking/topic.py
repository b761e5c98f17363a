"""Topics that can be asked about: which of them a question is about, by the concepts that it must and may name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from chiasm.language.asking.hearing import Heard, Vocabulary


@dataclass(frozen=True)
class Topic:
    """Something that can be asked about.

    Args:
        name: what the answer calls it.
        example: a question about it.
        needs: concepts of which a question must name one, for each entry; alternatives stand with a stroke between.
        may: further concepts that a question may name, with spaces between.
        tell: makes the answer of what is asked and what was heard; None where it is not held.
    """

    name: str
    example: str
    needs: tuple[str, ...]
    may: str
    tell: Callable[[Any, Heard], Any]

    @property
    def named(self) -> frozenset[str]:
        """Every concept that a question about it must or may name."""
        return frozenset(self.may.split()).union(*(entry.split("|") for entry in self.needs))

    def is_about(self, heard: Heard) -> bool:
        """Return whether a question names all that it must, and nothing beyond what it may."""
        needed = [frozenset(entry.split("|")) for entry in self.needs]
        return heard.concepts <= self.named and all(entry & heard.concepts for entry in needed)


def topics_of(question: str, known: Vocabulary, topics: Sequence[Topic]) -> list[tuple[Topic, Heard]]:
    """Return the topics that a question is about with what was heard, those first that ask for most.

    None where a word is not known. What may be a name or a concept is taken for a name first.
    """
    for names_first in (True, False):
        heard = known.hear(question, names_first=names_first)
        found = [] if heard.unknown else [one for one in topics if one.is_about(heard)]
        if found:
            return [(one, heard) for one in sorted(found, key=lambda one: -len(one.needs))]
    return []


def nearest_examples(question: str, known: Vocabulary, topics: Sequence[Topic], most: int) -> list[str]:
    """Return examples of the topics that share most concepts with a question, the first ones where none does."""
    heard = known.hear(question).concepts
    near = sorted(topics, key=lambda one: -len(one.named & heard))
    return list(dict.fromkeys(one.example for one in near))[:most]
