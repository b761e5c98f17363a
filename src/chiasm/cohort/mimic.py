"""Events of a folder of tables in the manner of MIMIC: patients, admissions, laboratory, charts, diagnoses, drugs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.cohort.annotated_file import Annotated
from chiasm.cohort.omop import left_out
from chiasm.cohort.record_cells import DRUG, identifiers, names, numbers, values_of
from chiasm.cohort.record_tables import Gathered, read_columns, unread
from chiasm.cohort.record_times import BIRTH, DEATH, Moments, moments

MARKS = ("patients", "admissions")  # tables by which a folder is known
READ = (*MARKS, "labevents", "chartevents", "diagnoses_icd", "prescriptions", "d_labitems", "d_items")
MEASURED = {"labevents": ("LAB//", "d_labitems"), "chartevents": ("CHART//", "d_items")}
LONGEST_LIFE = np.timedelta64(150 * 365, "D")  # MIMIC-III moves the births of those over 89 by three centuries
OLDEST = 91  # what MIMIC-IV writes as the age of those over 89


def read_mimic(tables: Mapping[str, Path]) -> Annotated:
    """Read the events of every subject.

    A laboratory value is `LAB//label (fluid, category)//unit`, one of a chart `CHART//label//unit`, by the tables of
    items, or else by the number of the item; a bound such as `<0.01` is no value, and its sign follows the code. A
    diagnosis is coded when the stay ends, and stands at its discharge, `CONDITION//ICD10CM//I10`. A birth is the first
    day of the year that the anchor gives.
    """
    found = Gathered()
    stays = _admissions(tables["admissions"], found)
    _patients(tables["patients"], stays, found)
    for table in [own for own in MEASURED if own in tables]:
        _measured(tables, table, found)
    if "diagnoses_icd" in tables:
        _diagnoses(tables["diagnoses_icd"], stays, found)
    if "prescriptions" in tables:
        rows = read_columns(
            tables["prescriptions"], "prescriptions", ["subject_id", "drug"], ("starttime", "startdate")
        )
        coded = [f"MEDICATION_REQUEST//{drug}" if DRUG.fullmatch(drug) else "" for drug in names(rows["drug"])]
        found.add("prescriptions", rows["subject_id"], moments(rows, "starttime", "startdate"), coded)
    frame = found.frame()
    return Annotated(frame, "subject_id", (), left_out(found, unread(list(tables), READ)))


def _admissions(path: Path, found: Gathered) -> pd.DataFrame:
    others = ("admission_type", "deathtime", "dischtime")
    stays = read_columns(path, "admissions", ["subject_id", "hadm_id", "admittime"], others)
    kinds = [kind or "UNKNOWN" for kind in names(stays["admission_type"])]
    starts, ends = moments(stays, "admittime"), moments(stays, "dischtime", ends=True)
    for word, column, at in (("ADMISSION//", "admittime", starts), ("DISCHARGE//", "dischtime", ends)):
        found.add(f"admissions ({column})", stays["subject_id"], at, [word + kind for kind in kinds])
    died = moments(stays, "deathtime", ends=True)
    subject, stay = identifiers(stays["subject_id"]), identifiers(stays["hadm_id"])
    frame = pd.DataFrame({"subject": subject, "stay": stay, "start": starts.time, "end": ends.time, "died": died.time})
    return frame.assign(end_dated=ends.dated, died_dated=died.dated)


def _patients(path: Path, stays: pd.DataFrame, found: Gathered) -> None:
    others = ("gender", "anchor_age", "anchor_year", "dob", "dod")
    rows = read_columns(path, "patients", ["subject_id"], others)
    subjects = identifiers(rows["subject_id"])
    found_gender = [f"GENDER//{word}" if word else "" for word in names(rows["gender"])]
    some = np.array([bool(word) for word in found_gender], dtype=bool)
    found.add("patients", rows["subject_id"][some], None, [own for own in found_gender if own], needs_time=False)
    ages = numbers(rows["anchor_age"])
    years = numbers(rows["anchor_year"]) - ages
    born = [f"{int(year):04d}-01-01" if np.isfinite(year) else None for year in years]
    births = moments(rows.assign(born=pd.Series(born, index=rows.index, dtype=object)), "dob", "born")
    first = stays.groupby("subject")["start"].min().reindex(subjects)
    with np.errstate(invalid="ignore"):
        moved = (first.to_numpy("datetime64[us]") - births.time > LONGEST_LIFE) | (ages >= OLDEST)
    found.left_out["patients", "with a birth that is moved, over 89 years"] += int(moved.sum())
    kept = ~moved & (~np.isnat(births.time) | births.odd)
    found.add("patients (birth)", rows["subject_id"][kept], births.of(kept), [BIRTH] * int(kept.sum()))
    dead = stays.sort_values("died").drop_duplicates("subject").set_index("subject").reindex(subjects)
    in_stay = dead["died"].notna().to_numpy()
    at_home = moments(rows, "dod").by_day()  # a date, whatever it is written as
    times = np.where(in_stay, dead["died"].to_numpy("datetime64[us]"), at_home.time)
    dated = np.where(in_stay, dead["died_dated"].eq(True).to_numpy(bool), at_home.dated)
    deaths = Moments(times, at_home.odd & ~in_stay, dated, ends=True)
    gone = ~np.isnat(times) | deaths.odd
    found.add("patients (death)", rows["subject_id"][gone], deaths.of(gone), [DEATH] * int(gone.sum()))


def _measured(tables: Mapping[str, Path], table: str, found: Gathered) -> None:
    prefix, items = MEASURED[table]
    labels = _labels(tables[items], items) if items in tables else {}
    others = ("valuenum", "valueuom", "value", "error")
    rows = read_columns(tables[table], table, ["subject_id", "itemid", "charttime"], others)
    wrong = numbers(rows["error"]) == 1  # marked by the staff, in MIMIC-III
    found.left_out[table, "marked as an error"] += int(wrong.sum())
    rows = rows[~wrong]
    read, said = values_of(rows["valuenum"]), values_of(rows["value"])
    signs = [own or other for own, other in zip(said.sign, read.sign, strict=True)]
    coded = []
    for item, unit, sign in zip(identifiers(rows["itemid"]), names(rows["valueuom"]), signs, strict=True):
        parts = (labels.get(item, item), unit, sign)
        coded.append(prefix + "//".join(own for own in parts if own) if item else "")
    alone = np.isnan(read.value) & ~read.odd  # a number that stands in the text alone counts all the same
    found.in_words[table] += int((alone & said.odd & ~np.isinf(numbers(rows["value"]))).sum())
    values = np.where([bool(sign) for sign in signs], np.nan, np.where(alone, said.value, read.value))
    found.add(
        table,
        rows["subject_id"],
        moments(rows, "charttime"),
        coded,
        values,
        odd={"with a value that cannot be read": read.odd},
    )


def _labels(path: Path, name: str) -> dict[str, str]:
    """Number of each item to its label, with fluid and category in the laboratory; and the number where two share."""
    items = read_columns(path, name, ["itemid", "label"], ("fluid", "category"), words=["label"])
    of_lab = name == "d_labitems"
    found = {}
    columns = [names(items[own]) for own in ("label", "fluid", "category")]
    every = zip(identifiers(items["itemid"]), *columns, strict=True)
    for item, label, fluid, category in every:
        where = ", ".join(own for own in (fluid, category) if own) if of_lab else ""
        found[item] = f"{label} ({where})" if label and where else label or item
    shared = pd.Series(found).duplicated(keep=False).to_dict() if found else {}
    return {item: f"{label} #{item}" if shared[item] else label for item, label in found.items()}


def _diagnoses(path: Path, stays: pd.DataFrame, found: Gathered) -> None:
    rows = read_columns(path, "diagnoses_icd", ["subject_id", "hadm_id"], ("icd_code", "icd_version", "icd9_code"))
    rows = rows.reset_index(drop=True)
    older = rows["icd_code"].isna() & rows["icd9_code"].notna()
    texts = names(rows["icd_code"].where(~older, rows["icd9_code"]))
    versions = [9.0 if own else version for own, version in zip(older, numbers(rows["icd_version"]), strict=True)]
    coded = [_icd(code, _version(code, version)) for code, version in zip(texts, versions, strict=True)]
    by_stay = stays.drop_duplicates("stay").set_index("stay")
    stay, of = identifiers(rows["hadm_id"]), identifiers(rows["subject_id"])
    here = by_stay.reindex(stay)
    none = ~np.isin(stay, by_stay.index.to_numpy(object).astype(str))
    other = (
        ~none & (here["subject"].to_numpy(object) != np.array(of, dtype=object)) & np.array([own != "" for own in of])
    )
    unsure = ~none & ~other & np.array([bool(text) for text in texts]) & np.array([not own for own in coded])
    for reason, own in (
        ("of no admission", none),
        ("of an admission of another subject", other),
        ("without the version of its code", unsure),
    ):
        found.left_out["diagnoses_icd", reason] += int(own.sum())
    kept = ~(none | other | unsure)
    at = here[kept]
    times = at["end"].to_numpy("datetime64[us]")
    ends = Moments(times, np.zeros(len(times), dtype=bool), at["end_dated"].to_numpy(bool), ends=True)
    found.add(
        "diagnoses_icd", rows["subject_id"][kept], ends, [code for code, own in zip(coded, kept, strict=True) if own]
    )


def _version(code: str, version: float) -> int:
    """Revision of a code; where none is given, that to which its first letter belongs alone, 0 where it may be two."""
    if version in (9, 10) or not code:
        return int(version) if version in (9, 10) else 0
    return 9 if code[0].isdigit() else 0 if code[0] in "EVev" or not np.isnan(version) else 10


def _icd(code: str, version: int) -> str:
    """Write a code with its point, as FHIR has it: E119 is E11.9, the 4019 of the ninth revision 401.9."""
    if not code or not version:
        return ""
    nine = version == 9
    plain = code.replace(".", "").upper()
    before = 4 if nine and plain.startswith("E") else 3
    pointed = f"{plain[:before]}.{plain[before:]}" if len(plain) > before else plain
    return f"CONDITION//{'ICD9CM' if nine else 'ICD10CM'}//{pointed}"
