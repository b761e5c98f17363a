"""What a question is about: the concepts and names that its words stand for, and whether any word stands for nothing.

A word that is neither a concept, a name of what is asked about, nor one of the small words that hold a sentence
together asks for something unknown, and nothing is guessed about it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

WORD = re.compile(r"[^\W_]+")
LONGEST = 12
"""Words that a name may have, beyond which it is not looked for."""
_SMALL = (
    "a about after all am among an and any are as at be been before being but by can could data did do does "
    "doing done during each every few for from give given gives had hand has how i if in into is it its just "
    "me much my of on or our out per please say says so some study such tell than that the their them there "
    "these they this those to trial up us use used using very was we well were what whether which will with "
    "would you your run show shows shown anything something question questions stand stands behind"
)
SMALL = frozenset(_SMALL.split())
"""Words that hold a sentence together, and ask for nothing."""
Words = tuple[str, ...]


@dataclass(frozen=True)
class Heard:
    """What the words of a question stand for.

    Args:
        concepts: names of concepts, and of the kinds of which a name was said.
        names: kind of name -> the names of it that were said, in the order of the question.
        unknown: number of words that stand for nothing known.
    """

    concepts: frozenset[str]
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unknown: int = 0

    def of(self, kind: str) -> tuple[str, ...]:
        """The names of a kind that were said, each once."""
        return tuple(dict.fromkeys(self.names.get(kind, ())))


@dataclass(frozen=True)
class Vocabulary:
    """What can be heard.

    Args:
        concepts: words, of one or several, to the concept that they stand for.
        names: words as they are said to (kind, name).
    """

    concepts: Mapping[Words, str]
    names: Mapping[Words, tuple[str, str]]

    def hear(self, question: str, *, names_first: bool = True) -> Heard:
        """Find the longest known run of words at each place of a question, from the left.

        Args:
            names_first: what a run of words is taken for that is a name and also stands for a concept.
        """
        words = words_of(question)
        stems = [stem(word) for word in words]
        concepts: set[str] = set()
        names: dict[str, list[str]] = {}
        unknown, at = 0, 0
        while at < len(words):
            for size in range(min(LONGEST, len(words) - at), 0, -1):
                said = tuple(words[at : at + size])
                name, concept = self.names.get(said), self.concepts.get(tuple(stems[at : at + size]))
                if name is not None and (names_first or concept is None):
                    names.setdefault(name[0], []).append(name[1])
                    concepts.add(name[0])
                elif concept is not None:
                    concepts.add(concept)
                else:
                    continue
                break
            else:
                size = 1
                unknown += words[at] not in SMALL
            at += size
        return Heard(frozenset(concepts), {kind: tuple(own) for kind, own in names.items()}, unknown)


def vocabulary(concepts: Mapping[str, str], names: Mapping[str, Sequence[str | tuple[str, str]]]) -> Vocabulary:
    """Make a vocabulary of what is written down.

    Args:
        concepts: concept -> its words, with commas between.
        names: kind -> its names, each as it is written, or with another way to say it: (said, name). Of names that are
            said alike the first one holds.
    """
    known = {
        tuple(map(stem, words_of(phrase))): concept
        for concept, phrases in concepts.items()
        for phrase in phrases.split(",")
    }
    said: dict[Words, tuple[str, str]] = {}
    for kind, own in names.items():
        for one in own:
            spoken, name = one if isinstance(one, tuple) else (one, one)
            if words := tuple(words_of(spoken)):
                said.setdefault(words, (kind, name))
    return Vocabulary(known, said)


def words_of(text: str) -> list[str]:
    """Words of a text in small letters, without marks: "Harrell's C" is harrell, c."""
    plain = unicodedata.normalize("NFKC", text).casefold().replace("\u2019", "'")
    return WORD.findall(re.sub(r"'s\b", "", plain))


def stem(word: str) -> str:
    """A word without the ending of its plural."""
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")) else word
