"""Problems of a cohort's sources, each with a row, a file and a fix, and never with an identifier."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from chiasm.cohort import Cohort, Items, Problem, Unsupported
from chiasm.cohort.leaks.records import Record
from chiasm.encoding.decoded_twins import decoded_twins
from chiasm.encoding.record_leaks import record_leaks, record_of
from chiasm.encoding.small import is_small
from chiasm.errors import Severity, count, error, first_rows, warning
from chiasm.readers import Item, Reader, ReadError, reader_for
from chiasm.readers.guard import quiet
from chiasm.readers.reading import Events, NotesWhatIsEncoded, NotesWhatWasRead, require_of
from chiasm.readers.registry import missing

OPENED = ("video",)  # reading one decodes nothing
BY_HEADER = ("dicom",)  # a check never touches its pixels, onto which a name may be burned
WRONG_ENCODER = "wrong-encoder"
Found = tuple[str, ...] | ReadError  # the notes of a source, or why it is refused
AT_COMMIT = re.compile(r"@[0-9a-f]{40}\b")
LEFT_OUT = re.compile(r"([\d,]+) resources? left out: (.+)")
AS_UNKNOWN = re.compile(r"([\d,]+) letters? read as unknown: (.+)")
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
    """Check the encoders of a cohort, and its sources for broken ones and for notes that the user should know.

    Sources of a small modality (see `is_small`) are read as `encode` reads them, else their headers are. Images,
    volumes, recordings and events are also compared: see `decoded_twins` and `record_leaks`. An encoder that cannot be
    used, or a missing package, is a problem of the modality that needs it.

    Args:
        progress: called with (modality, finished, all) sources.
    """
    problems: list[Problem] = []
    for modality in cohort.modalities:
        if cohort.kinds[modality] in IN_MEMORY or modality in cohort.encodings:
            continue
        encoder = None
        try:
            encoder = require_encoder(cohort, modality)
        except (Unsupported, ValueError) as fault:
            problems.append(_unusable(fault, cohort, modality, WRONG_ENCODER))
        try:
            twins, unread = decoded_twins(cohort, modality, progress, encoder)
            told, records = _of_modality(cohort, modality, progress, unread, encoder)
            problems += [*told, *twins]
            problems += record_leaks(cohort, modality, records)
            if encoder is not None:  # what it needs is loaded already
                from chiasm.encoding.seen_leaks import seen_leaks

                problems += seen_leaks(cohort, modality, encoder)
        except Unsupported as fault:
            problems.append(_unusable(fault, cohort, modality, "missing-package"))
    return problems


def require_encoder(cohort: Cohort, modality: str) -> Any:
    """Return the encoder that a modality names, or its default one; raise what `encode` would.

    None is returned, and no weight is read, for a model on the hub that is named at a commit, since that would fetch
    it, and for a default encoder whose weights lie in a package: it is enough that the package is there.

    Raises:
        Unsupported: there is no such encoder, or its weights or a package are missing.
        ValueError: the encoder does not have an option.
    """
    from chiasm.encoders.catalogue import default_entry
    from chiasm.encoders.choice import choose  # imports torch, which a cohort of tables does not need

    spec = cohort.encoders.get(modality)
    if spec is not None and AT_COMMIT.search(spec):
        return None
    usual = default_entry(cohort.kinds[modality]) if spec is None else None
    if usual is not None and usual.package:
        if not _is_installed(usual.package):
            raise missing(usual.package, usual.extra, f"encoder '{usual.name}'")
        return None
    return choose(cohort.kinds[modality], spec).encoder


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def stopping(problems: Sequence[Problem]) -> list[Problem]:
    """Return the errors that stop a run. A wrong encoder is none: another may be named, and else encoding says so."""
    return [problem for problem in problems if problem.severity == "error" and problem.finding != WRONG_ENCODER]


def _unusable(fault: Exception, cohort: Cohort, modality: str, finding: str) -> Problem:
    what, _, fix = str(fault).partition(": ")
    fix = fix or "choose another encoder: `chiasm encoders` lists them"
    return error(what, fix, path=cohort.sources[modality].path, modality=modality, finding=finding)


def _of_modality(
    cohort: Cohort,
    modality: str,
    progress: Callable[[str, int, int], None],
    unread: Mapping[int, ReadError] | None,
    encoder: Any,
) -> tuple[list[Problem], dict[int, Record] | None]:
    """Report what `inspect` and, of a small modality, `read` and the encoder refuse; `unread` is what decoding did.

    Returns:
        The problems; and the records of events by their numbers, None where headers alone were read.
    """
    reader, items = reader_for(cohort.kinds[modality]), cohort.raw(modality)
    kind = cohort.kinds[modality]
    whole = kind in OPENED or (unread is None and kind not in BY_HEADER and is_small(items))
    records: dict[int, Record] = {}
    refused: dict[int, ReadError] = {}
    notes: dict[str, list[int]] = {}
    known: dict[Path | str | int, tuple[Found, Record | None]] = {}  # many patients may share a molecule
    for number in range(len(items)):
        progress(modality, number, len(items))
        item = items[number]
        key = item if isinstance(item, Path | str) else number
        found, record = known[key] = known[key] if key in known else _inspect(reader, item, whole, encoder)
        found = (unread or {}).get(number, found)
        if record is not None:
            records[number] = record
        if isinstance(found, ReadError):
            refused[number] = found
            continue
        for note in found:
            notes.setdefault(note, []).append(int(items.file_rows[number]))
    progress(modality, len(items), len(items))
    told = collected(items, refused, modality)
    left_out, unknown, rows_of = Counter[str](), Counter[str](), dict[str, list[int]]()
    for note in list(notes):
        if said := LEFT_OUT.fullmatch(note):
            left_out[said[2]] += int(said[1].replace(",", "")) * len(notes.pop(note))
        elif said := AS_UNKNOWN.fullmatch(note):
            unknown[said[2]] += int(said[1].replace(",", "")) * len(notes[note])
            rows_of.setdefault(said[2], []).extend(notes.pop(note))
    told += parts_left_out(left_out, items, modality)
    for reason, number in unknown.items():
        rows = sorted(rows_of[reason])
        what = (
            f"{count(number, 'letter')} read as unknown in {count(len(rows), 'source')} ({first_rows(rows)}): {reason}"
        )
        fix = "correct them, or choose an alphabet that has them"
        told.append(warning(what, fix, path=items.template, row=rows[0], modality=modality, finding="source-note"))
    for note, rows in notes.items():
        what, _, fix = note.partition(": ")
        what = f"{what} in {count(len(rows), 'source')} ({first_rows(sorted(rows))})"
        fix = fix or "look before you rely on it or share it"
        told.append(warning(what, fix, path=items.template, row=min(rows), modality=modality, finding="source-note"))
    return told, records if whole else None


def _inspect(reader: Reader, item: Item, whole: bool, encoder: Any) -> tuple[Found, Record | None]:
    """Return the notes of a source, or the error with which it is refused, by its header or, if `whole`, all of it.

    And the record of events that were read.
    """
    record = None
    try:
        with quiet():
            if not whole:
                return reader.inspect(item), None
            value = reader.read(item)
            record = record_of(value) if isinstance(value, Events) else None
            require_of(encoder, value)
            noted = reader.notes(item, value) if isinstance(reader, NotesWhatWasRead) else reader.inspect(item)
            return noted + (encoder.notes(value) if isinstance(encoder, NotesWhatIsEncoded) else ()), record
    except ReadError as fault:
        return fault, record
