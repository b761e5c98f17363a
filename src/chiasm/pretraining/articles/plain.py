"""The words of a piece of an article: tags go, floats in it go, every run of white space is one blank."""

from __future__ import annotations

import re
from collections.abc import Collection
from xml.etree.ElementTree import Element

BLOCKS = frozenset({"p", "title", "list-item", "disp-formula", "disp-quote", "break", "label", "td", "th"})
FLOATS = frozenset({"fig", "fig-group", "table-wrap", "table-wrap-group", "boxed-text", "media"})
FLOATS |= {"supplementary-material", "fn", "alt-text", "long-desc"}
_BLANK = re.compile(r"\s+")


def plain(element: Element, without: Collection[str] = FLOATS) -> str:
    """Return the text of an element; what stands in blocks is parted by a blank, what is inline is not.

    Args:
        without: elements within it whose text is left out, not what follows them.
    """
    parts: list[str] = []
    _gather(element, without, parts)
    return squeezed("".join(parts))


def squeezed(text: str) -> str:
    """Return the text with one blank for every run of white space, and none at its ends."""
    return _BLANK.sub(" ", text).strip()


def _gather(element: Element, without: Collection[str], parts: list[str]) -> None:
    if element.text:
        parts.append(element.text)
    for child in element:
        block = child.tag in BLOCKS
        if block:
            parts.append(" ")
        if child.tag not in without:
            _gather(child, without, parts)
        if block:
            parts.append(" ")
        if child.tail:
            parts.append(child.tail)
