"""A suite: where its files come from, how they become items, and what is computed of the answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from chiasm.bench.figures import ACCURACY, Figure, fixed_label_figures
from chiasm.bench.item import Item, Items
from chiasm.citation import Citation


@runtime_checkable
class Suite(Protocol):
    """A public benchmark.

    `files` names what has to lie in the folder, for people; `source` says where they come from, `licence` what may be
    done with them, `setting` how the questions are put. `primary` is the id of the figure that the verdict is about.
    """

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def paper(self) -> Citation: ...
    @property
    def files(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def licence(self) -> str: ...
    @property
    def setting(self) -> str: ...
    @property
    def primary(self) -> str: ...

    def read(self, folder: Path) -> Items:
        """Read the released files; what cannot be asked is left out and counted.

        Raises:
            FileNotFoundError: a file lacks.
            ValueError: a file is none of the release, or of a version that cannot be told.
        """
        ...

    def figures(self, items: Sequence[Item]) -> Sequence[Figure]:
        """Return what is computed of the answers to these items, the primary figure among them."""
        ...


@dataclass(frozen=True)
class Questions:
    """A suite whose items are questions with options or a text as answer; fields are those of `Suite`.

    Args:
        reader: makes the items from a folder.
        scored: the figures; those of items that share their options (macro F1, recall) are added to accuracy.
        released: SHA-256 of files as they were released, by their name: another one is said to be another version.
    """

    name: str
    title: str
    paper: Citation
    files: str
    source: str
    licence: str
    setting: str
    reader: Callable[[Path], Items]
    scored: tuple[Figure, ...] = (ACCURACY,)
    primary: str = ACCURACY.id
    released: Mapping[str, str] = field(default_factory=dict)

    def read(self, folder: Path) -> Items:
        """Read the released files, and say which are of another version than the one known."""
        from chiasm.bench.reading import with_versions

        return with_versions(self.reader(folder), self.released)

    def figures(self, items: Sequence[Item]) -> Sequence[Figure]:
        """Return the figures of the suite that these items have."""
        return [*self.scored, *fixed_label_figures(items)]
