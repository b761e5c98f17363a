"""A page as tests read it: whether its tags are balanced, its text, tables by id, and what it would load."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

VOID = {"wbr", "meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """`tables` maps the id of a table to its rows of cell texts; `faults` lists tags that are not balanced."""

    def __init__(self, path: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.source = path.read_text(encoding="utf-8")
        self.open: list[str] = []
        self.faults: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.images: list[dict[str, str]] = []
        self.headings: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.words: list[str] = []
        self._table = ""
        self.feed(self.source)
        self.close()
        self.faults += [f"<{tag}> stays open" for tag in self.open]
        self.tables = {name: [[cell.strip() for cell in row] for row in rows] for name, rows in self.tables.items()}
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in values.items()]
        if "id" in values:
            self.ids.append(values["id"])
        if tag == "img":
            self.images.append(values)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "table":
            self._table = values.get("id", f"table-{len(self.tables)}")
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in ("td", "th"):
            self.tables[self._table][-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> at line {self.getpos()[0]} closes another tag")

    def handle_data(self, data: str) -> None:
        if {"style", "script"} & set(self.open):
            return
        self.words.append(data)
        if self.open and {"td", "th"} & set(self.open):
            row = self.tables[self._table][-1]
            row[-1] = " ".join((row[-1] + data).split()) + (" " if data[-1:].isspace() else "")

    def facts(self) -> dict[str, str]:
        """The tables of two columns, name to text."""
        return {row[0]: row[1] for rows in self.tables.values() for row in rows if len(row) == 2}
