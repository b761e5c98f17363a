"""False alarms of the screen for identifiers, on cohorts that are public and hold no patient's name.

    python benchmarks/identifiers.py DATA > benchmarks/results/identifiers.txt

DATA is a folder of cohorts, each with a cohort.toml, and `wings/`, folders of files in no manifest layout, whose
headers, tables and notes are looked at one by one. Every line is an alarm: whether it is true is for a person to say,
and stands in JUDGED below with the reason. One without a word there is counted as not judged, and none is left out.
"""

from __future__ import annotations

import sys
import time
from collections import Counter, defaultdict
from pathlib import Path

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.tables import Table
from chiasm.errors import hush_findings
from chiasm.identifiers.columns import Field, kinds_in
from chiasm.identifiers.findings import Identifying, sampled
from chiasm.identifiers.headers.of_file import NoPackage, labels_of
from chiasm.identifiers.names import NameFinder
from chiasm.identifiers.screen import NEVER, finding
from chiasm.identifiers.tables import NamedTable, fields_of, spread
from chiasm.readers import ReadError

STUDY = "false", "the time of a study, and of no patient"
NO_NAME = "false", "words with capitals that the language model takes for somebody"
PUBLIC = "false", "the address or the day of a public data set, and of no patient"
JUDGED: dict[tuple[str, str, str], tuple[str, str]] = {  # cohort, kind and field -> whether it is true, and why
    ("ptbxl-ecg", "date", "age"): ("true", "two patients are 91 years old, so that 90 is an age too"),
    ("pubmedqa", "name", "question"): NO_NAME,
    ("pubmedqa", "name", "abstract"): NO_NAME,
    ("pubmedqa", "date", "abstract"): STUDY,
    ("carcinogens-lagunin", "name", "the note"): ("false", "names of authors, as a citation has them"),
    ("flip-gb1", "name", "the note"): ("false", "names of authors, as a citation has them"),
    ("flip-gb1", "url", "the note"): PUBLIC,
    ("flip-gb1", "date", "the note"): PUBLIC,
    ("single-cell-multiomics", "url", "the note"): PUBLIC,
    ("single-cell-multiomics", "name", "the note"): ("false", "somebody who is thanked, and no patient"),
    ("lung-ultrasound", "date", "Date added"): ("true", "the day on which a clip came to the collection"),
    ("lung-ultrasound", "place", "Current location"): ("false", "a folder of files"),
    ("lung-ultrasound", "url", "URL (Video Name)"): ("true", "where the patient's clip stands on the web"),
    ("lung-ultrasound", "date", "tag of the film"): ("true", "the day of the film"),
    ("medical-qa", "name", "JSON"): ("false", "people of made-up questions and eponyms"),
    ("medical-qa", "name", "column 1"): ("false", "people of made-up questions and eponyms"),
    ("medical-qa", "name", "JSON.A"): NO_NAME,
    ("medical-qa", "date", "JSON"): ("true", "ages over 89, of people of made-up questions"),
    ("medical-qa", "date", "column 1"): ("true", "an age over 89, of somebody of a made-up question"),
    ("medical-qa", "other", "JSON"): ("false", "the code of a question, and of no patient"),
    ("medical-qa", "url", "JSON"): PUBLIC,
    ("medical-qa", "place", "JSON"): ("false", "a place of a made-up question"),
    ("mediconfusion-text", "name", "JSON"): NO_NAME,
    ("slake-text", "name", "JSON"): NO_NAME,
    ("meds-sample", "date", "time"): ("true", "times of events with their days, of synthetic patients"),
}
SAMPLE = 60  # files of a suffix in a folder of the wings
SECONDS = 60.0  # for names in one of these folders
TABLES = (".csv", ".tsv", ".parquet", ".xlsx")


def main(data: Path) -> None:
    """Print every alarm of every cohort, judged, and the counts."""
    hush_findings()
    counts: Counter[str] = Counter()
    for manifest in sorted(data.glob("*/cohort.toml")):
        start = time.monotonic()
        found = chiasm.screen_identifiers(manifest)
        name = manifest.parent.name
        print(f"{name}: {len(found.findings)} alarms; {sampled(found.looked)}; {time.monotonic() - start:.0f} s")
        counts.update(told(name, own) for own in found.findings)
        for reason in found.not_looked[: -len(NEVER)]:
            print(f"  not looked at: {reason}")
        sys.stdout.flush()
    for folder in sorted((data / "wings").iterdir() if (data / "wings").is_dir() else ()):
        start = time.monotonic()
        alarms, files = of_folder(folder)
        print(f"wings/{folder.name}: {len(alarms)} alarms; {files} files; {time.monotonic() - start:.0f} s")
        counts.update(told(folder.name, own) for own in alarms)
        sys.stdout.flush()
    print(", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())))


def told(cohort: str, own: Identifying) -> str:
    """Print one alarm with its judgement, and return it."""
    verdict, why = JUDGED.get((cohort, own.kind, own.field or own.place), ("not judged", "look at it"))
    print(f"  {verdict}: {own.kind}, {own.where}, {own.many}, by {own.why}; {why}")
    return verdict


def of_folder(folder: Path) -> tuple[list[Identifying], int]:
    """Screen the headers, tables and notes of a folder without a manifest, a sample of each kind of file."""
    names = NameFinder(SECONDS)
    fields: dict[tuple[str, str, str | None], Field] = {}
    alarms: list[Identifying] = []
    files = [own for own in sorted(folder.rglob("*")) if own.is_file()]
    of_suffix: dict[str, list[Path]] = defaultdict(list)
    for own in files:
        of_suffix["".join(own.suffixes[-2:]).lower()].append(own)
    for suffix, several in of_suffix.items():
        for at in spread(len(several), SAMPLE):
            file = several[at]
            if file.suffix in TABLES:
                alarms += of_table(file, folder, names)
            try:
                labels = labels_of(file) or []
            except (NoPackage, ReadError, ValueError, OSError):
                continue
            for label in labels:
                key = (suffix, label.name, label.kind)
                field = fields.setdefault(key, Field("header", label.name, f"*{suffix}", None, label.kind))
                field.values.append(label.text)
                field.rows.append(at + 1)
    for field in fields.values():
        alarms += [
            finding(field, kind, seen, len(set(field.rows)), None) for kind, seen in kinds_in(field, names).items()
        ]
    return alarms, len(files)


def of_table(file: Path, folder: Path, names: NameFinder) -> list[Identifying]:
    """Screen the columns of a table, none of which is known to identify anybody."""
    table = Table(file, file.name)
    try:
        table.inspect()
    except CohortError:
        return []
    named = NamedTable(table, str(file.relative_to(folder)), None)
    return [
        finding(own, kind, seen, rows, None)
        for own, _, rows in fields_of(named)
        for kind, seen in kinds_in(own, names).items()
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
