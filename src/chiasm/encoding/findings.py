"""Problems of a cohort's sources, each with a row, a file and a fix, and never with an identifier."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.encoding.decoded_twins import decoded_twins
from chiasm.encoding.record_leaks import record_leaks
from chiasm.errors import Severity, count, error, first_rows, warning
from chiasm.readers import Item, Reader, ReadError, reader_for
from chiasm.readers.guard import quiet

LEFT_OUT = re.compile(r"([\d,]+) resources? left out: (.+)")
IN_MEMORY = ("table", "omics", "bag", "tokens")


def collected(items: Items, refused: Mapping[int, ReadError], modality: str) -> list[Problem]:
    """Combine sources that are broken in the same way into one problem, with a count and the first rows.

    It is a warning, since the patients count as absent, or an error if no source of the modality is left.
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
        found.append(Problem(severity, rows[0], modality, items.template, what + many + absent, fix, "unread-source"))
    return found


def parts_left_out(left_out: Mapping[str, int], items: Items, modality: str) -> list[Problem]:
    """Report how many parts of all sources gave no event, by reason."""
    return [
        warning(
            f"{count(number, 'resource')} left out of all sources: {reason}", "see docs/data.md for what is read",
            path=items.template, modality=modality, finding="left-out",
        )
        for reason, number in sorted(left_out.items())
    ]  # fmt: skip


def file_problems(
    cohort: Cohort, progress: Callable[[str, int, int], None] = lambda modality, finished, everything: None
) -> list[Problem]:
    """Check the headers of a cohort's sources for broken ones and for notes that the user should know.

    Images, volumes, recordings and events are also decoded, within limits, to find copies and leaks of the outcome: see
    `decoded_twins` and `record_leaks`. A missing package is reported as a problem of the modality that needs it.

    Args:
        progress: called with (modality, finished, all) sources.
    """
    problems: list[Problem] = []
    for modality in cohort.modalities:
        if cohort.kinds[modality] in IN_MEMORY or modality in cohort.encodings:
            continue
        try:
            problems += _of_modality(cohort, modality, progress)
            problems += decoded_twins(cohort, modality, progress)
            problems += record_leaks(cohort, modality)
        except Unsupported as fault:
            what, _, fix = str(fault).partition(": ")
            problems.append(
                error(what, fix, path=cohort.sources[modality].path, modality=modality, finding="missing-package")
            )
    return problems


def _of_modality(cohort: Cohort, modality: str, progress: Callable[[str, int, int], None]) -> list[Problem]:
    reader, items = reader_for(cohort.kinds[modality]), cohort.raw(modality)
    refused: dict[int, ReadError] = {}
    notes: dict[str, list[int]] = {}
    known: dict[Path | str | int, tuple[str, ...] | ReadError] = {}  # many patients may share a molecule
    for number in range(len(items)):
        progress(modality, number, len(items))
        item = items[number]
        key = item if isinstance(item, Path | str) else number
        found = known[key] = known[key] if key in known else _inspect(reader, item)
        if isinstance(found, ReadError):
            refused[number] = found
            continue
        for note in found:
            notes.setdefault(note, []).append(int(items.file_rows[number]))
    progress(modality, len(items), len(items))
    told = collected(items, refused, modality)
    left_out = Counter[str]()
    for note in list(notes):
        if said := LEFT_OUT.fullmatch(note):
            left_out[said[2]] += int(said[1].replace(",", "")) * len(notes.pop(note))
    told += parts_left_out(left_out, items, modality)
    for note, rows in notes.items():
        what, _, fix = note.partition(": ")
        what = f"{what} in {count(len(rows), 'source')} ({first_rows(sorted(rows))})"
        fix = fix or "look before you rely on it or share it"
        told.append(warning(what, fix, path=items.template, row=min(rows), modality=modality, finding="source-note"))
    return told


def _inspect(reader: Reader, item: Item) -> tuple[str, ...] | ReadError:
    try:
        with quiet():
            return reader.inspect(item)
    except ReadError as fault:
        return fault
