"""What a screen for identifiers found, where it looked, and where it could not; never a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from chiasm.errors import Problem, count, first_rows, warning
from chiasm.identifiers.kinds import KINDS
from chiasm.shown import html_page, html_table, visible

PLACES = {  # place -> what is counted there, in how the finding is said, and what to do
    "column": ("row", "column '{field}' seems to hold {noun}", "leave the column out of the file"),
    "text": ("row", "the texts of '{field}' seem to hold {noun}", "take them out of the texts before they are encoded"),
    "note": ("file", "the notes seem to hold {noun}", "take them out of the texts before they are encoded"),
    "header": ("file", "the headers seem to hold {noun}, in '{field}'", "write the files again without it"),
    "pixels": ("file", "text that is burned into the pixels seems to hold {noun}", "paint over it, or crop the images"),
    "id": (
        "row",
        "the identifiers of patients seem to hold {noun}",
        "give each patient a random code, and keep the key elsewhere",
    ),
    "path": ("file", "names of files or folders seem to hold {noun}", "rename them by the patients' codes"),
    "name": ("name", "the {field} seems to hold {noun}", "rename it"),
    "manifest": ("line", "the manifest seems to hold {noun}", "take them out of the manifest"),
    "properties": (
        "file",
        "the properties of the file seem to hold {noun}, in '{field}'",
        "write the file again without them",
    ),
}
SHOWN_ROWS = 5
SCREEN_SENTENCE = "A screen by patterns and names, on samples: what it does not find may be there all the same."


@dataclass(frozen=True)
class Identifying:
    """One finding: a kind of identifier in one place. No part of it is a value.

    Args:
        kind: key of the kind; `letter` is its letter in 45 CFR 164.514(b)(2)(i).
        place: column, text, note, header, pixels, id, path, name, manifest or properties.
        field: name of the column or tag, "" where there is none.
        found: number of rows or files in which it was found, among the `looked` ones.
        rows: the first of these rows, as a spreadsheet counts them; empty where they have none.
        read: whether a model reads the field; None where that cannot be said.
    """

    kind: str
    place: str
    path: str | None
    modality: str | None
    field: str
    found: int
    looked: int
    rows: tuple[int, ...]
    why: str
    read: bool | None = None

    @property
    def letter(self) -> str:
        """Letter of the kind in the rule."""
        return KINDS[self.kind].letter

    @property
    def where(self) -> str:
        """Place in words: the file, the modality and the field."""
        noun = {
            "id": "identifiers of patients",
            "path": "names of files",
            "pixels": "pixels",
            "manifest": "manifest",
            "note": "notes",
        }
        parts = [f"'{self.field}'" if self.field else noun.get(self.place, ""), self.path or ""]
        return ", ".join(part for part in (*parts, f"modality '{self.modality}'" if self.modality else "") if part)

    @property
    def many(self) -> str:
        """How often it was found: `3 of 40 rows`."""
        return f"{self.found:,} of {count(self.looked, PLACES[self.place][0])}"

    @property
    def fix(self) -> str:
        """What to do."""
        instead = KINDS[self.kind].instead
        own = PLACES[self.place][2]
        return f"{own}, or {instead}" if instead and self.place == "column" else own

    def as_json(self) -> dict[str, Any]:
        """The finding as JSON, with its letter, what to do, and the name by which `[accept]` accepts it."""
        said = {"letter": self.letter, "fix": self.fix, "finding": KINDS[self.kind].finding}
        return {**asdict(self), **said, "rows": list(self.rows)}

    @property
    def problem(self) -> Problem:
        """The finding as a warning of the check."""
        noun = KINDS[self.kind].noun
        said = PLACES[self.place][1].format(field=self.field, noun=noun)
        where = f" ({first_rows(self.rows)})" if self.rows else ""
        what = f"{said}, in {self.many}{where}, by {self.why}"
        return warning(what, self.fix, path=self.path, row=self.rows[0] if self.rows else None, modality=self.modality,
                       finding=KINDS[self.kind].finding)  # fmt: skip


@dataclass
class IdentifierScreen:
    """Result of a screen: `findings`, how much was `looked` at (place -> looked, all), what `not_looked`, and why."""

    findings: list[Identifying] = field(default_factory=list)
    looked: dict[str, tuple[int, int]] = field(default_factory=dict)
    not_looked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def problems(self) -> list[Problem]:
        """The findings as warnings of the check."""
        return [own.problem for own in self.findings]

    @property
    def kinds(self) -> list[str]:
        """Keys of the kinds that were found, in the order of the rule."""
        return [kind for kind in KINDS if any(own.kind == kind for own in self.findings)]

    def rows(self) -> list[tuple[str, ...]]:
        """Findings as rows of a table, by kind: kind, where, how often, first rows, by what."""
        listed: list[tuple[str, ...]] = []
        for kind in self.kinds:
            first = f"{KINDS[kind].noun} ({KINDS[kind].letter})"
            for own in self.findings:
                if own.kind == kind:
                    listed.append((first, own.where, own.many, ", ".join(map(str, own.rows)), own.why))
                    first = ""
        return listed

    def as_json(self) -> dict[str, Any]:
        """The screen as JSON."""
        looked = {place: {"looked": some, "all": everything} for place, (some, everything) in self.looked.items()}
        own = {"findings": [found.as_json() for found in self.findings], "looked": looked}
        return {**own, "not_looked": list(self.not_looked), "note": SCREEN_SENTENCE}

    def __repr__(self) -> str:
        kinds = ", ".join(KINDS[kind].noun for kind in self.kinds) or "none of the 18 kinds"
        return visible(f"Screen for identifiers: {count(len(self.findings), 'finding')}; {kinds}")

    def _repr_html_(self) -> str:
        """What a notebook shows: the findings by kind, and what was not looked at."""
        table = html_table(("kind", "where", "found in", "rows", "by"), self.rows())
        return html_page("Screen for identifiers", f"{SCREEN_SENTENCE} {' '.join(self.not_looked)}", table)


def sampled(looked: Mapping[str, tuple[int, int]]) -> str:
    """Say of which places only a sample was looked at."""
    parts = [f"{some:,} of {everything:,} {place}" for place, (some, everything) in looked.items()]
    return "Looked at " + ", ".join(parts) if parts else "Nothing was looked at"
