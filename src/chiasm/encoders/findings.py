"""What is wrong with the sources of a cohort, as problems with a row, a file and a fix; never with an identifier."""

from __future__ import annotations

from collections.abc import Mapping

from chiasm.cohort import Cohort, Items, Problem
from chiasm.cohort.errors import Severity, count, first_rows, warning
from chiasm.readers import ReadError, reader_for
from chiasm.readers.guard import quiet

IN_MEMORY = ("table", "omics", "bag", "tokens")


def collected(items: Items, refused: Mapping[int, ReadError], modality: str) -> list[Problem]:
    """Sources broken in the same way are one problem, with a count and the first rows.

    A warning, since their patients count as absent; an error where no source of the modality is left.
    """
    severity: Severity = "error" if len(refused) == len(items) else "warning"
    absent = ": taken as absent" if severity == "warning" else ""
    alike: dict[tuple[str, str], list[int]] = {}
    for number, fault in refused.items():
        alike.setdefault((fault.what, fault.fix), []).append(int(items.file_rows[number]))
    found = []
    for (what, fix), rows in alike.items():
        rows.sort()
        many = f" in {count(len(rows), 'source')} ({first_rows(rows)})" if len(rows) > 1 else ""
        found.append(Problem(severity, rows[0], modality, items.template, what + many + absent, fix))
    return found


def file_problems(cohort: Cohort) -> list[Problem]:
    """What the headers of a cohort's sources say, before anything is decoded: broken ones, and what a user should know.

    Raises:
        Unsupported: a package that reads a kind is missing.
    """
    problems: list[Problem] = []
    for modality in cohort.modalities:
        if cohort.kinds[modality] in IN_MEMORY or modality in cohort.encodings:
            continue
        reader, items = reader_for(cohort.kinds[modality]), cohort.raw(modality)
        refused: dict[int, ReadError] = {}
        notes: dict[str, list[int]] = {}
        for number in range(len(items)):
            try:
                with quiet():
                    found_notes = reader.inspect(items[number])
                for note in found_notes:
                    notes.setdefault(note, []).append(int(items.file_rows[number]))
            except ReadError as fault:
                refused[number] = fault
        found = collected(items, refused, modality)
        for note, rows in notes.items():
            what = f"{note} in {count(len(rows), 'source')} ({first_rows(sorted(rows))})"
            found.append(warning(what, "look before you share", path=items.template, row=min(rows), modality=modality))
        problems += found
    return problems
