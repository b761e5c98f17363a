"""Coded facts of one patient, wherever they come from, as a question: the newest value of each code counts."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chiasm.readers.record.conventions import BIRTH
from chiasm.serving.faults import Fault, Refused, refused
from chiasm.serving.hospital.mapping import AGE, GENDER, CodeMap, ColumnKeys, NoteKeys
from chiasm.serving.reads import ReadsColumns

ANY = "*"


@dataclass(frozen=True, repr=False)
class Fact:
    """One coded fact.

    Args:
        record: its code as a record of events has it.
        codes: each of its codings, `SYSTEM//code`.
        answers: each coding of a coded answer.
        unit: of its number.
        value: NaN where there is none.
        bound: True of `<0.01`, which is no value.
        occurs: True of what somebody has or gets (a condition, a drug), and of no observation.
        ended: True of what occurred and no longer does, or is not certain.
        when: the first moment that its date allows.
        issued: when it was told, which decides between two of one moment.
        source: reference of its resource, as in `Observation/17`; "" where it has none.
    """

    record: str
    codes: tuple[str, ...]
    when: datetime
    source: str = ""
    answers: tuple[str, ...] = ()
    unit: str = ""
    value: float = math.nan
    bound: bool = False
    occurs: bool = False
    ended: bool = False
    issued: datetime | None = None


@dataclass(frozen=True, repr=False)
class Note:
    """One plain text: when it was written, its code, and the reference of its resource."""

    when: datetime
    code: str
    text: str
    source: str


@dataclass(frozen=True, repr=False)
class Person:
    """Who it is about: a reference for the answer, the first and last moment that the birth date allows, the gender."""

    about: str = ""
    born: tuple[datetime, datetime] | None = None
    gender: str | None = None
    dead: bool = False


@dataclass(frozen=True, repr=False)
class Asked:
    """One patient, as a question.

    Args:
        patient: modality to what the service's `/predict` takes.
        about: reference of the Patient, for the answer; "" where there is none.
        basis: references of the resources that were read.
        at: the time of the question.
        notes: what was left out and why, in sentences without a value.
    """

    patient: dict[str, Any]
    about: str
    basis: tuple[str, ...]
    at: datetime
    notes: tuple[str, ...] = ()


@dataclass
class _Reading:
    """What is collected on the way."""

    left_out: Counter[str]
    doubted: Collection[str]
    basis: dict[str, None] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def asked_from(
    facts: Sequence[Fact], notes: Sequence[Note], person: Person, mapping: CodeMap, at: datetime,
    left_out: Counter[str], doubted: Collection[str] = (),
) -> Asked:  # fmt: skip
    """Make the question of one patient.

    Of each mapped code the newest value before `at` counts, and of several at one time the last of them; what lies
    after it or has no value is left out and counted. A number in a unit that no fixed rule turns into the column's is
    a fault that names the column. A modality of which nothing is known is absent.

    Args:
        facts, notes: in any order of time; those of one time in the order in which they were sent.
        left_out: reasons, with counts, for what is not among the facts.
        doubted: codes of what was left out, of which it is not known whether the patient has them; ANY: any code.

    Raises:
        Refused: 422 with every fault, and of a patient who had died.
    """
    if person.dead:
        raise refused(422, "deceased", "the patient had died before the question: nothing is predicted", "Patient")
    reading = _Reading(left_out, doubted)
    before = sorted((own for own in facts if own.when <= at), key=lambda own: (own.when, own.issued or own.when))
    reading.left_out["later than the question"] += len(facts) - len(before)
    given: dict[str, Any] = {}
    for name, group in mapping.columns.items():
        if (cells := _cells(name, group, person, before, mapping, at, reading)) is not None:
            given[name] = cells
    texts = sorted((own for own in notes if own.when <= at), key=lambda own: own.when)
    for note in mapping.notes:
        if (text := _note(note, texts, at, reading)) is not None:
            given[note.modality] = text
    for name in mapping.records:
        if records := _records(before, person):
            given[name] = records
    if reading.faults:
        raise Refused(422, reading.faults)
    basis = tuple(own for own in reading.basis if own)
    return Asked(
        given, person.about, basis, at, tuple(f"{n:,} left out: {why}." for why, n in sorted(left_out.items()) if n)
    )


def require_known(asked: Asked) -> None:
    """Refuse a patient of whom nothing is known: what is true of everybody would look like an answer about him.

    Raises:
        Refused: 422.
    """
    if not asked.patient:
        raise refused(
            422, "nothing-known", "nothing that the mapping names is known of the patient before the question"
        )


def _cells(
    name: str, group: Sequence[ColumnKeys], person: Person, facts: Sequence[Fact], mapping: CodeMap,
    at: datetime, reading: _Reading,
) -> dict[str, Any] | None:  # fmt: skip
    """Return the cells of a table, null where nothing is known; None where nothing at all is."""
    block = mapping.reads[name]
    assert isinstance(block, ReadsColumns)  # held when the mapping was read
    cells: dict[str, Any] = dict.fromkeys(sorted(block.columns))
    for own in group:
        cells[own.column] = (
            _derived(own, person, at, reading) if own.derived else _coded(own, facts, block, mapping, at, reading)
        )
    if all(value is None for value in cells.values()):
        return None
    for own in group:  # of somebody of whom nothing is known it is not known either
        ended = any(own.code in fact.codes for fact in facts if fact.ended)
        doubt = ended or own.code in reading.doubted or ANY in reading.doubted
        if doubt and own.present and cells[own.column] is None:
            reading.left_out[f"{own.column} is not certain, or is no longer so, and is missing"] += 1
        elif own.absent and cells[own.column] is None:
            cells[own.column] = _level(own.absent, own, block)
    return cells


def _level(level: str, own: ColumnKeys, block: ReadsColumns) -> str | float:
    return level if own.column in block.levels else float(level)


def _derived(own: ColumnKeys, person: Person, at: datetime, reading: _Reading) -> Any:
    if own.derived == GENDER:
        return None if person.gender is None else own.levels.get(person.gender, None if own.levels else person.gender)
    if own.derived == AGE and person.born is not None and person.born[0] <= at:
        years = {_years(born, at) for born in person.born}
        if len(years) == 1:
            return years.pop()
        reading.left_out["an age that the birth date leaves open"] += 1
    return None


def _years(born: datetime, at: datetime) -> int:
    """Whole years from a birth to a moment, by the calendar where the moment is."""
    return at.year - born.year - ((at.month, at.day) < (born.month, born.day))


def _coded(
    own: ColumnKeys, facts: Sequence[Fact], block: ReadsColumns, mapping: CodeMap, at: datetime, reading: _Reading
) -> Any:
    since = at - timedelta(days=own.within_days) if own.within_days is not None else None
    place = f"{own.modality}.{own.column}"
    mine = [fact for fact in facts if own.code in fact.codes]
    recent = [fact for fact in mine if since is None or fact.when >= since]
    reading.left_out["older than the mapping allows"] += len(mine) - len(recent)
    if own.present:
        held = [fact for fact in recent if fact.occurs and not fact.ended]
        if not held:
            return None
        reading.basis.setdefault(held[-1].source)
        return _level(own.present, own, block)
    newest = [fact for fact in recent if not fact.occurs][-1:]
    for fact in newest:  # an older value in its place would be wrong without a word
        if own.levels:
            if known := [own.levels[answer] for answer in fact.answers if answer in own.levels]:
                reading.basis.setdefault(fact.source)
                return _level(known[0], own, block)
            what = "its newest coded answer is none that the mapping turns into a level: map it, or leave it out"
            reading.faults.append(Fault(place, "unknown-level", what))
        elif fact.bound or math.isnan(fact.value):
            reading.left_out[f"the newest {own.column} is a bound, or has no number, and is missing"] += 1
        elif (value := mapping.units.converted(fact.value, fact.unit, own.unit, own.factors)) is None:
            what = (
                f"its newest value is in a unit that does not become {own.unit or '1'}: give it a factor in the mapping"
            )
            reading.faults.append(Fault(place, "wrong-unit", what))
        else:
            reading.basis.setdefault(fact.source)
            return value
    return None


def _note(own: NoteKeys, documents: Sequence[Note], at: datetime, reading: _Reading) -> str | None:
    for found in reversed(documents):
        if own.code and found.code != own.code:
            continue
        if own.within_days is not None and found.when < at - timedelta(days=own.within_days):
            return None
        if found.text.strip():
            reading.basis.setdefault(found.source)
            return found.text
    return None


def _records(facts: Sequence[Fact], person: Person) -> list[dict[str, Any]]:
    """The facts as records: hours since the birth, or since the first of them where no birth is known.

    As in a file of the patient, but for the gender, which has no time.
    """
    if not facts:
        return []
    first = person.born[0] if person.born else facts[0].when
    birth = [{"hours": 0.0, "code": BIRTH, "numeric_value": None}] if person.born else []
    return birth + [
        {
            "hours": max((own.when - first) / timedelta(hours=1), 0.0),  # a date of the day of birth is not before it
            "code": own.record,
            "numeric_value": None if math.isnan(own.value) else own.value,
        }
        for own in facts
    ]
