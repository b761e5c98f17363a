"""The tables of a written page, read back as cells: headings, columns, and numbers where the page marks a number."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser

Value = float | int | str
_NUMBER = r"-?\d[\d,]*(?:\.\d+)?"
_WHOLE = re.compile(rf"({_NUMBER})( %)?")
_INTERVAL = re.compile(rf"({_NUMBER}) \(({_NUMBER}) to ({_NUMBER})\)")
_SHARE = re.compile(rf"({_NUMBER}) \((<?)({_NUMBER}) %\)")
INTERVAL, SHARE = "interval", "share"
PARTS = {INTERVAL: ("", "low", "high"), SHARE: ("", "share")}
"""What a cell of several numbers is divided into: the headings of its parts."""

UNTITLED = ["what", "it says"]
"""Headings of a table that has none."""


@dataclass(frozen=True)
class Percent:
    """A share that was written as a percentage."""

    share: float


@dataclass
class PageTable:
    """A table of a page: its id, the headings of section and part above it, the headings of its columns, its cells."""

    name: str
    section: str
    part: str
    heads: list[list[str]] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    numbers: list[list[bool]] = field(default_factory=list)
    """Whether a cell is of the page's class `number`; a name, as of a class `02`, is none and stays as it is."""

    def columns(self) -> tuple[list[str], list[list[Value | Percent]]]:
        """Divide cells of several numbers into columns of their own; texts such as "not estimable" stay texts."""
        width = max([len(row) for row in self.rows], default=0)
        names = [*(self.names() or UNTITLED), *[""] * width][:width]
        marked = [list(zip(row, own, strict=True)) for row, own in zip(self.rows, self.numbers, strict=True)]
        sorts = [
            sort_of([row[place][0] for row in marked if place < len(row) and row[place][1]]) for place in range(width)
        ]
        titles = [
            " ".join(part for part in (name, ending) if part)
            for name, sort in zip(names, sorts, strict=True)
            for ending in PARTS.get(sort, ("",))
        ]
        cells = [
            [
                own
                for (text, number), sort in zip(row, sorts, strict=False)
                for own in (divided(text, sort) if number else [text, *blanks(sort)])
            ]
            for row in marked
        ]
        return titles, cells

    def names(self) -> list[str]:
        """Name of each column: what stands above it, from above to below."""
        width = max([len(row) for row in self.heads], default=0)
        above = [[row[place] for row in self.heads if place < len(row)] for place in range(width)]
        return [": ".join(part for part in dict.fromkeys(column) if part) for column in above]


def sort_of(texts: Sequence[str]) -> str:
    """Say whether cells of a column hold a number with an interval, a count with its share, or neither."""
    if any(_INTERVAL.fullmatch(text) for text in texts):
        return INTERVAL
    return SHARE if any(_SHARE.fullmatch(text) for text in texts) else ""


def divided(text: str, sort: str) -> list[Value | Percent]:
    """Divide a cell into the parts of its column, blank where it has fewer."""
    if (found := _INTERVAL.fullmatch(text)) is not None:
        return [as_number(part) for part in found.groups()]
    if (found := _SHARE.fullmatch(text)) is not None:
        share: Value | Percent = f"<{found[3]} %" if found[2] else Percent(float(as_number(found[3])) / 100)
        return [as_number(found[1]), share]
    whole = _WHOLE.fullmatch(text)
    if whole is None:
        value: Value | Percent = text
    else:
        value = Percent(float(as_number(whole[1])) / 100) if whole[2] else as_number(whole[1])
    return [value, *blanks(sort)]


def blanks(sort: str) -> list[Value | Percent]:
    """List the blank cells that follow one which has fewer parts than its column."""
    return [""] * (len(PARTS.get(sort, ("",))) - 1)


def as_number(text: str) -> float | int:
    """Read a number as the page writes it: `1,234.5`."""
    plain = text.replace(",", "")
    return float(plain) if "." in plain else int(plain)


def tables_of(page: str) -> list[PageTable]:
    """Read every table of a page, in its order."""
    reader = _Reader(convert_charrefs=True)
    reader.feed(page)
    reader.close()
    return [table for table in reader.tables if table.rows]


class _Reader(HTMLParser):
    """Collects tables; a heading cell that spans rows or columns stands in each of them."""

    def __init__(self, *, convert_charrefs: bool) -> None:
        super().__init__(convert_charrefs=convert_charrefs)
        self.tables: list[PageTable] = []
        self.section = self.part = ""
        self._heading = ""
        self._open: PageTable | None = None
        self._head = False
        self._cell: list[str] | None = None
        self._spans = (1, 1)
        self._number = False
        self._row: list[str] = []
        self._numbers: list[bool] = []
        self._taken: dict[tuple[int, int], str] = {}
        self._words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        own = {name: value or "" for name, value in attrs}
        if tag in ("h2", "h3"):
            self._heading, self._words = tag, []
        elif tag == "table":
            self._open = PageTable(own.get("id", ""), self.section, self.part)
            self._taken = {}
        elif tag in ("thead", "tbody"):
            self._head = tag == "thead"
        elif tag == "tr":
            self._row, self._numbers = [], []
        elif tag in ("td", "th"):
            self._number = "number" in own.get("class", "").split() and own.get("scope") != "row"
            self._cell, self._spans = [], (int(own.get("rowspan", "1")), int(own.get("colspan", "1")))
        elif tag == "small" and self._cell:
            self._cell.append(" " if self._head else ", ")
        elif tag == "span" and self._cell:
            self._cell.append(" ")

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)
        elif self._heading:
            self._words.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == self._heading:
            text = " ".join("".join(self._words).split())
            if tag == "h2":
                self.section, self.part = text.lstrip("0123456789. "), ""
            else:
                self.part = text
            self._heading = ""
        elif tag in ("td", "th") and self._cell is not None:
            self._end_cell(" ".join("".join(self._cell).split()).replace(" , ", ", "))
            self._cell = None
        elif tag == "tr" and self._open is not None:
            self._end_row()
        elif tag == "table" and self._open is not None:
            self.tables.append(self._open)
            self._open = None

    def _end_cell(self, text: str) -> None:
        if not self._head or self._open is None:
            self._row.append(text)
            self._numbers.append(self._number)
            return
        row, column = len(self._open.heads), 0
        while (row, column) in self._taken:
            column += 1
        rows, columns = self._spans
        self._taken |= {(row + down, column + right): text for down in range(rows) for right in range(columns)}

    def _end_row(self) -> None:
        assert self._open is not None
        if self._head:
            row = len(self._open.heads)
            width = 1 + max([right for down, right in self._taken if down == row], default=-1)
            self._open.heads.append([self._taken.get((row, place), "") for place in range(width)])
        elif self._row:
            self._open.rows.append(self._row)
            self._open.numbers.append(self._numbers)
