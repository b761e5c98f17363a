"""Parse XML that others wrote as a small tree: no entity, no other file, nothing nested without end."""

from __future__ import annotations

from collections.abc import Collection
from typing import NoReturn
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from chiasm.readers.reading import ReadError

DEEPEST = 64
MOST_ELEMENTS = 100_000  # that are kept
AGAIN = "write the file again"


def tree_of(
    data: bytes,
    without: Collection[str] = (),
    *,
    deepest: int = DEEPEST,
    most: int = MOST_ELEMENTS,
    again: str = AGAIN,
) -> tuple[Element, set[str]]:
    """Parse XML; names are without namespace. A document type may be named by a link, which is not followed.

    Args:
        without: names of elements that are left out with all they hold.
        deepest, most: how deep elements may be nested, and how many may be kept.
        again: what to do about a file that is not read.

    Returns:
        The root, and which of `without` hold any text or attribute.

    Raises:
        ReadError: damaged, nested too deeply, of too many parts, or with entities.
    """
    builder = _Builder(frozenset(without), deepest, most, again)
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.doctype
    parser.EntityDeclHandler = builder.entity
    parser.SkippedEntityHandler = builder.entity
    try:
        parser.Parse(data, True)  # at once: a long comment would be scanned again with every block
        return builder.tree.close(), builder.filled
    except (expat.ExpatError, ValueError, LookupError, AssertionError) as fault:
        if isinstance(fault, ReadError):
            raise
        raise ReadError("the XML file is damaged or cut off", again) from None


class _Builder:
    """Handlers that build the tree, and refuse what is too deep, too much or an entity."""

    def __init__(self, without: frozenset[str], deepest: int, most: int, again: str) -> None:
        self.tree, self.filled, self._without = TreeBuilder(), set[str](), without
        self._deepest, self._most, self._again = deepest, most, again
        self._path: list[str] = []
        self._left_out = 0  # depth at which the subtree began that is left out; 0 if none
        self._elements = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition("}")[2]
        self._path.append(name)
        if len(self._path) > self._deepest or self._elements >= self._most:
            raise ReadError("the XML file is nested too deeply, or has too many parts", "check the file")
        if not self._left_out and name in self._without:
            self._left_out = len(self._path)
        if self._left_out:
            self._note(any(attributes.values()))
            return
        self._elements += 1
        self.tree.start(name, {key.rpartition("}")[2]: value for key, value in attributes.items()})

    def end(self, name: str) -> None:
        if not self._left_out:
            self.tree.end(name.rpartition("}")[2])
        elif self._left_out == len(self._path):
            self._left_out = 0
        self._path.pop()

    def text(self, data: str) -> None:
        if self._left_out:
            self._note(bool(data.strip()))
        else:
            self.tree.data(data)

    def doctype(self, name: str, system: str | None, public: str | None, has_subset: int) -> None:
        if has_subset:
            self.entity()

    def entity(self, *rest: object) -> NoReturn:
        raise ReadError("the XML file defines or names entities, which are not read", self._again)

    def _note(self, filled: bool) -> None:
        if filled:
            self.filled.add(self._path[self._left_out - 1])
