"""An item of a benchmark, and what of it a candidate is shown: never the answer, the group or a tag."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from chiasm.errors import Problem
from chiasm.language.questions import LETTERS as LETTERS

LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Attachment:
    """A file that belongs to a question: what it is (`image`, `volume`, `signal`), and where it should lie.

    `size` in bytes is that at the run, once it is over; None while the file itself says it.
    """

    kind: str
    path: Path
    size: int | None = field(default=None, kw_only=True)

    @property
    def is_there(self) -> bool:
        """True if the file can be handed to a candidate; releases often come without their images."""
        return self.path.is_file()

    @property
    def measured(self) -> int:
        """Size in bytes, 0 for a file that is not there: that at the run, wherever the files lie now."""
        if self.size is not None:
            return self.size
        return self.path.stat().st_size if self.is_there else 0

    @property
    def was_there(self) -> bool:
        """True if the file could be handed to a candidate at the run."""
        return self.is_there if self.size is None else self.size > 0

    @property
    def handed(self) -> Path:
        """The file that a candidate is handed."""
        return self.path


@dataclass(frozen=True)
class Item:
    """One question with its right answer.

    Args:
        id: unique within its suite.
        question: what is asked.
        options: 2 to 26 texts to choose from, or none where the answer is free text.
        answer: positions of the right options, from 0; without options the texts that are accepted.
        group: items that are judged and drawn together, as a pair or the questions on one document; default: its own.
        tags: name to value, for strata.
        context: what is read before the question, as an abstract.
        attachments: images and the like.

    Raises:
        ValueError: no question, one option or over 26, or an answer that is none of them.
    """

    id: str
    question: str
    options: tuple[str, ...] = ()
    answer: tuple[int, ...] | tuple[str, ...] = ()
    group: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    context: str = ""
    attachments: tuple[Attachment, ...] = ()

    def __post_init__(self) -> None:
        if not self.question.strip():
            raise ValueError("an item has no question")
        if not self.answer:
            raise ValueError("an item has no answer")
        if any(LONE.search(text) for text in (self.id, self.question, self.context, *self.options, *self._words)):
            raise ValueError("an item holds half a sign (a lone surrogate), which no file in UTF-8 can hold")
        if not self.options:
            if not all(isinstance(text, str) and text.strip() for text in self.answer):
                raise ValueError("an item without options has an empty answer, or one that is no text")
            return
        if not 2 <= len(self.options) <= len(LETTERS):
            raise ValueError(f"an item has {len(self.options)} options: 2 to {len(LETTERS)} can be asked")
        if not all(option.strip() for option in self.options):
            raise ValueError("an item has an empty option")
        if not all(isinstance(place, int) and 0 <= place < len(self.options) for place in self.answer):
            raise ValueError("an item's answer is none of its options")

    @property
    def _words(self) -> tuple[str, ...]:
        """Texts that are not shown: accepted ones, the group and tags."""
        return (*(own for own in self.answer if isinstance(own, str)), self.group, *self.tags, *self.tags.values())

    @property
    def unit(self) -> str:
        """What it is drawn with: its group, or itself."""
        return self.group or self.id

    @property
    def positions(self) -> tuple[int, ...]:
        """Positions of the right options, and of options of exactly the same text; none where the answer is free."""
        if not self.options:
            return ()
        right = {self.options[place].strip() for place in self.answer if isinstance(place, int)}
        return tuple(k for k, option in enumerate(self.options) if option.strip() in right)

    @property
    def accepted(self) -> tuple[str, ...]:
        """Texts that are a right answer."""
        if self.options:
            return tuple(self.options[place] for place in self.positions)
        return tuple(str(text) for text in self.answer)

    @property
    def digest(self) -> str:
        """Hash of what is asked and what is right; of an attachment its name and size."""
        files = [(own.kind, own.path.name, own.measured) for own in self.attachments]
        parts = (self.id, self.question, self.options, self.answer, self.group, self.context, files)
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@dataclass(frozen=True)
class Asked:
    """What a candidate is shown of an item; `key` says nothing of its place in a pair or a file."""

    key: str
    question: str
    options: tuple[str, ...] = ()
    context: str = ""
    attachments: tuple[Attachment, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """As callables and commands get it."""
        return {
            "id": self.key,
            "question": self.question,
            "context": self.context,
            "options": list(self.options),
            "attachments": [{"kind": own.kind, "path": str(own.handed)} for own in self.attachments if own.is_there],
        }


def asked(item: Item) -> Asked:
    """Return what a candidate is shown of an item."""
    key = hashlib.sha256(f"{item.id}\0{item.question}".encode()).hexdigest()[:16]
    return Asked(key, item.question, item.options, item.context, item.attachments)


@dataclass(frozen=True)
class Items:
    """The items of a suite as they were read.

    Args:
        items: in the order of their files.
        files: name of each file that was read to its SHA-256.
        problems: what was found in the files; no answer stands in one.
        left_out: why items cannot be asked, with their number.
        whole: number of items before a limit.
    """

    items: tuple[Item, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)
    whole: int = 0

    def __post_init__(self) -> None:
        if len({item.id for item in self.items}) < len(self.items):
            raise ValueError("two items have the same id: a suite names each item once")
        if not self.whole:
            object.__setattr__(self, "whole", len(self.items))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def digest(self) -> str:
        """Hash of all items, whatever their order."""
        return digest_of(self.items)

    def limited(self, limit: int | None, seed: int = 0) -> Items:
        """Draw at least so many items, groups as a whole; all of them for None or a limit beyond their number."""
        if limit is None or limit >= len(self.items):
            return self
        units = sorted({item.unit for item in self.items})
        random.Random(seed).shuffle(units)
        sizes: dict[str, int] = {}
        for item in self.items:
            sizes[item.unit] = sizes.get(item.unit, 0) + 1
        kept: set[str] = set()
        number = 0
        for unit in units:
            if number >= limit:
                break
            kept.add(unit)
            number += sizes[unit]
        return replace(self, items=tuple(item for item in self.items if item.unit in kept), whole=self.whole)


def digest_of(items: Iterable[Item]) -> str:
    """Hash of items, whatever their order."""
    return hashlib.sha256("".join(sorted(item.digest for item in items)).encode()).hexdigest()


def same_options(items: Sequence[Item]) -> tuple[str, ...]:
    """Return the options that all items share, as yes, no and maybe; none where they differ."""
    found = {item.options for item in items}
    return found.pop() if len(found) == 1 else ()
