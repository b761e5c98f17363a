"""Markdown of what a run folder holds: text of users as text, tables, and lines that only the authors can fill in."""

from __future__ import annotations

import re
from collections.abc import Sequence

from chiasm.shown import visible

NEEDED = "**NEEDS INPUT**"
_SIGNS = re.compile(r"([\\`*_{}\[\]<>#|@~$])")


def escaped(text: object) -> str:
    """Text in one line, in which Markdown sees no sign of its own."""
    return _SIGNS.sub(r"\\\1", visible(text).replace("\n", " "))


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a table; the cells are Markdown already."""
    lines = ["| " + " | ".join(row) + " |" for row in [list(headings), ["---"] * len(headings), *map(list, rows)]]
    return "\n".join(lines)
