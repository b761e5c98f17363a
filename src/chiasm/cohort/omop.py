"""Events of the OMOP common data model: a folder of its tables, with the codes of its vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.cohort.annotated_file import Annotated
from chiasm.cohort.grid import Note
from chiasm.cohort.record_cells import CODE, UNIT, identifiers, names, numbers, signs_of, values_of
from chiasm.cohort.record_tables import Gathered, read_columns, unread
from chiasm.cohort.record_times import BIRTH, DEATH, moments

MARKS = ("person",)  # tables by which a folder is known
VOCABULARIES = {"RXNORM": "RXNORM", "CPT4": "CPT", "RXNORM EXTENSION": "RXNORM_EXTENSION"}
COMPARED = {"4171756": "<", "4171754": "<=", "4172704": ">", "4171755": ">="}
# Table -> the prefix of its codes, and the beginning of the names of its columns of concepts and times.
CODED = {
    "condition_occurrence": ("CONDITION//", "condition", "condition_start"),
    "drug_exposure": ("DRUG//", "drug", "drug_exposure_start"),
    "procedure_occurrence": ("PROCEDURE//", "procedure", "procedure"),
    "measurement": ("", "measurement", "measurement"),
    "observation": ("", "observation", "observation"),
}
FACTS = ("gender_concept_id", "race_concept_id", "ethnicity_concept_id")
VALUED = ("measurement", "observation")
VALUES = (
    "value_as_number", "value_as_concept_id", "unit_concept_id", "unit_source_value", "operator_concept_id",
    "value_source_value",
)  # fmt: skip
CONCEPTS = {
    "person": FACTS,
    "visit_occurrence": ("visit_concept_id",),
    **{
        table: (
            f"{start}_concept_id",
            *([own for own in VALUES if own.endswith("concept_id")] if table in VALUED else ()),
        )
        for table, (_, start, _) in CODED.items()
    },
}
READ = ("person", "visit_occurrence", "death", "concept", *CODED)
Codes = Mapping[str, str]


def read_omop(tables: Mapping[str, Path]) -> Annotated:
    """Read the events of every person.

    A concept is written `VOCABULARY//code` by the table `concept`, as FHIR has it, or else `CONCEPT//id`; one that maps
    to no concept, `SOURCE//` and the value of its source. Those of a measurement or an observation are followed by
    `//unit`, or by the concept of a coded answer; a bound is no value, and its sign follows the code. A birth of which
    only the year or month is known counts as its first day; for a date alone see `record_times.placed`. Text is never
    read, and a source value or unit that looks like text is none.
    """
    found = Gathered()
    codes = _codes(tables)
    _persons(tables["person"], codes, found)
    if "visit_occurrence" in tables:
        _visits(tables["visit_occurrence"], codes, found)
    for table in [own for own in CODED if own in tables]:
        _coded(tables[table], table, codes, found)
    if "death" in tables:
        deaths = read_columns(tables["death"], "death", ["person_id"], ("death_datetime", "death_date"))
        at = moments(deaths, "death_datetime", "death_date", ends=True).by_day()
        found.add("death", deaths["person_id"], at, [DEATH] * len(deaths))
    frame = found.frame()
    return Annotated(frame, "subject_id", (), left_out(found, unread(list(tables), READ)))


def left_out(found: Gathered, others: str) -> tuple[Note, ...]:
    """Notes on rows and tables of a folder that give no event."""
    fix = "write them where they are meant to count"
    said = [f"rows are left out: {found.said()}"] if found.said() else []
    if found.said_in_words():
        said.append(f"values in words are not read, and their events have none: {found.said_in_words()}")
    return tuple(Note(what, fix, "left-out") for what in (*said, *([others] if others else [])))


def _codes(tables: Mapping[str, Path]) -> Codes:
    """Identifier of each concept that a table names to its vocabulary and code; {} without the table `concept`."""
    if "concept" not in tables:
        return {}
    used: set[str] = set()
    for table in [own for own in CONCEPTS if own in tables]:  # of millions of concepts, a hospital has thousands
        rows = read_columns(tables[table], table, (), CONCEPTS[table])
        used.update(own for column in CONCEPTS[table] for own in identifiers(rows[column].drop_duplicates()))
    known = read_columns(
        tables["concept"],
        "concept",
        ["concept_id", "vocabulary_id", "concept_code"],
        among=sorted(used),
        words=["concept_code"],
    )
    words = [word.upper() for word in names(known["vocabulary_id"])]
    own = zip(identifiers(known["concept_id"]), words, names(known["concept_code"]), strict=True)
    return {identifier: f"{VOCABULARIES.get(word, word)}//{code}" for identifier, word, code in own}


def _concepts(column: pd.Series, source: pd.Series | None, codes: Codes) -> list[str]:
    """Codes `(n,)` of concepts, or of their source where they map to none; "" where there is neither.

    A source that does not look like a code may be what somebody wrote of a patient, and is none.
    """
    own_codes = identifiers(column)
    fallback = [""] * len(own_codes) if source is None else names(source)
    coded = {own: codes.get(own, f"CONCEPT//{own}") for own in set(own_codes) - {"", "0"}}
    sources = {said: f"SOURCE//{said}" if CODE.fullmatch(said) else "" for said in set(fallback)}
    return [coded.get(own) or sources[said] for own, said in zip(own_codes, fallback, strict=True)]


def _visits(path: Path, codes: Codes, found: Gathered) -> None:
    columns = ("visit_start_datetime", "visit_start_date", "visit_end_datetime", "visit_end_date")
    visits = read_columns(path, "visit_occurrence", ["person_id", "visit_concept_id"], columns)
    kinds = [kind.partition("//")[2] or "UNKNOWN" for kind in _concepts(visits["visit_concept_id"], None, codes)]
    starts, ends = moments(visits, *columns[:2]), moments(visits, *columns[2:], ends=True, may_never=True).by_day()
    found.add("visit_occurrence (start)", visits["person_id"], starts, [f"ADMISSION//{kind}" for kind in kinds])
    never = ends.never(starts)
    found.left_out["visit_occurrence (end)", "that lies in a year such as 2099, for none"] += int(never.sum())
    said = [f"DISCHARGE//{kind}" for kind, own in zip(kinds, never, strict=True) if not own]
    found.add("visit_occurrence (end)", visits["person_id"][~never], ends.of(~never), said)


def _persons(path: Path, codes: Codes, found: Gathered) -> None:
    parts = ("year_of_birth", "month_of_birth", "day_of_birth", "birth_datetime")
    persons = read_columns(path, "person", ["person_id"], (*parts, *FACTS))
    year, month, day = (numbers(persons[own]) for own in parts[:3])
    dated = [
        f"{int(y):04d}-{int(m) if np.isfinite(m) else 1:02d}-{int(d) if np.isfinite(d) and np.isfinite(m) else 1:02d}"
        if np.isfinite(y)
        else None
        for y, m, d in zip(year, month, day, strict=True)
    ]
    births = persons.assign(birth_date=pd.Series(dated, index=persons.index, dtype=object))
    at = moments(births, "birth_datetime", "birth_date")
    known = ~np.isnat(at.time) | at.odd  # a person whose birth nobody knows is none that is left out
    found.add("person (birth)", persons["person_id"][known], at.of(known), [BIRTH] * int(known.sum()))
    for fact in FACTS:
        coded = _concepts(persons[fact], None, codes)
        some = np.array([bool(code) for code in coded])
        said = [f"{fact.split('_')[0].upper()}//{code.partition('//')[2]}" for code in coded if code]
        found.add("person", persons["person_id"][some], None, said, needs_time=False)


def _coded(path: Path, table: str, codes: Codes, found: Gathered) -> None:
    prefix, start, timed = CODED[table]
    concept, source = f"{start}_concept_id", f"{start}_source_value"
    clock = "measurement_time" if table == "measurement" else ""  # of the model before its sixth edition
    others = (source, f"{timed}_datetime", f"{timed}_date", *([clock] if clock else []))
    rows = read_columns(path, table, ["person_id", concept], (*others, *(VALUES if table in VALUED else ())))
    coded = _concepts(rows[concept], rows[source], codes)
    values, odd = np.full(len(rows), np.nan), {}
    if table in VALUED:
        read = values_of(rows["value_as_number"])
        units = _units(rows, codes)
        answers = _concepts(rows["value_as_concept_id"], None, codes)
        told = [COMPARED.get(own, "") for own in identifiers(rows["operator_concept_id"])]
        three = zip(told, read.sign, signs_of(rows["value_source_value"]), strict=True)
        signs = [told or own or written for told, own, written in three]
        coded = [_valued(*own) for own in zip(coded, read.value, units, answers, signs, strict=True)]
        values = np.where([bool(own) for own in signs], np.nan, read.value)
        nameless = np.array([own is None for own in units], dtype=bool) & (
            ~np.isnan(values) | [bool(own) for own in signs]
        )
        odd = {"with a value that cannot be read": read.odd, "with a unit that is no name": nameless & ~read.odd}
    whole = [f"{prefix}{own}" if own else "" for own in coded]
    at = moments(rows, f"{timed}_datetime", f"{timed}_date", clock=clock)
    found.add(table, rows["person_id"], at, whole, values, odd=odd)


def _units(rows: pd.DataFrame, codes: Codes) -> list[str | None]:
    """Unit `(n,)` of each value: of the vocabulary, by its number or by its source; None where that is none."""
    found: list[str | None] = []
    for own, said in zip(identifiers(rows["unit_concept_id"]), names(rows["unit_source_value"]), strict=True):
        if own not in ("", "0"):
            found.append(codes[own].partition("//")[2] if own in codes else f"CONCEPT//{own}")
        else:
            found.append(said if not said or UNIT.fullmatch(said) else None)
    return found


def _valued(code: str, value: float, unit: str | None, answer: str, sign: str) -> str:
    """Write a code with the unit of its value and the sign of a bound, or with its answer."""
    if not code or (np.isnan(value) and not sign):
        return f"{code}//{answer}" if code and answer else code
    if np.isnan(value) and answer:
        return f"{code}//{answer}"
    return "//".join(own for own in (code, unit, sign) if own)
