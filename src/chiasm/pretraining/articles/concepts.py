"""Which concepts of a list a caption names, and which captions are kept so that none crowds out the others."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from chiasm.limits import LimitError, require_regular
from chiasm.readers.reading import ReadError

LIST_BYTES = 64 << 20
LONGEST = 12  # words of a name
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Concepts:
    """Concepts and their names, as a caption may write them; `names` leads from words to the concept.

    A name is found as whole words, whatever their case; signs between words count as blanks, so that "T-cell" is found
    in "T cell". There is no stem: a plural is a name of its own.
    """

    listed: tuple[str, ...]
    names: dict[tuple[str, ...], str]

    def named_in(self, caption: str) -> tuple[str, ...]:
        """Return the concepts that a caption names, in the order of the list."""
        words = tuple(_WORD.findall(caption.casefold()))
        found = {
            self.names[part]
            for at in range(len(words))
            for length in self._lengths
            if (part := words[at : at + length]) in self.names and len(part) == length
        }
        return tuple(sorted(found, key=self._places.__getitem__))

    @cached_property
    def _lengths(self) -> list[int]:
        return sorted({len(name) for name in self.names})

    @cached_property
    def _places(self) -> dict[str, int]:
        return {own: place for place, own in enumerate(self.listed)}


def concepts_of(lines: list[str]) -> Concepts:
    """Read a list: a concept a line, with other names of it after tabs; `#` begins a remark.

    Raises:
        ReadError: no concept, one that stands there twice, a name of two concepts, or one without a letter.
    """
    listed: dict[str, None] = {}
    names: dict[tuple[str, ...], str] = {}
    for number, line in enumerate(lines, start=1):
        parts = [own.strip() for own in line.partition("#")[0].split("\t") if own.strip()]
        if not parts:
            continue
        if parts[0] in listed:
            raise ReadError(f"line {number} of the concepts lists '{parts[0]}' again", "join the two lines")
        listed[parts[0]] = None
        for name in parts:
            words = tuple(_WORD.findall(name.casefold()))
            if not words or len(words) > LONGEST:
                raise ReadError(f"line {number} of the concepts has '{name[:40]}', no name of 1 to {LONGEST} words",
                                "write it in letters")  # fmt: skip
            if names.setdefault(words, parts[0]) != parts[0]:
                raise ReadError(
                    f"line {number} of the concepts has '{name}', which is a name of '{names[words]}' too",
                    "leave it with one of them",
                )
    if not listed:
        raise ReadError("the list of concepts is empty", "write a concept a line")
    return Concepts(tuple(listed), names)


def read_concepts(path: Path) -> Concepts:
    """Read a list of concepts from a file of text; raises as `concepts_of` does."""
    try:
        require_regular(path, LIST_BYTES)
        return concepts_of(path.read_text(encoding="utf-8-sig").splitlines())
    except LimitError as over:
        raise ReadError(f"the list of concepts {over.what}", over.fix) from None
    except UnicodeDecodeError:
        raise ReadError("the list of concepts is no text in UTF-8", "save it as UTF-8") from None


@dataclass
class Balance:
    """How many pairs each concept has had, and room for at most `most` under each; None is without end.

    A pair is filed under the one of its concepts that has fewest so far, the first of the list among equals, so that a
    rare concept is not lost because it is named beside a frequent one.

    Attributes:
        named: pairs that name a concept, kept or not; filed: pairs kept under it.
    """

    most: int | None = None
    named: Counter[str] = field(default_factory=Counter)
    filed: Counter[str] = field(default_factory=Counter)

    def file(self, concepts: tuple[str, ...]) -> str | None:
        """Return the concept that a pair is filed under, None where there is no room for it any more."""
        self.named.update(concepts)
        own = min(concepts, key=lambda concept: self.filed[concept])
        if self.most is not None and self.filed[own] >= self.most:
            return None
        self.filed[own] += 1
        return own
