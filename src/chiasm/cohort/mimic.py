"""Events of a folder of tables in the manner of MIMIC: patients, admissions, laboratory, charts, diagnoses, drugs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from chiasm.cohort.annotated_file import Annotated
from chiasm.cohort.omop import left_out
from chiasm.cohort.record_tables import BIRTH, DEATH, Gathered, Moments, moments, names, numbers, read_columns, unread

MARKS = ("patients", "admissions")  # tables by which a folder is known
READ = (*MARKS, "labevents", "chartevents", "diagnoses_icd", "prescriptions", "d_labitems", "d_items")
MEASURED = {"labevents": ("LAB//", "d_labitems"), "chartevents": ("CHART//", "d_items")}
BOUND = re.compile(r"\s*(<=|>=|<|>)")
LONGEST_LIFE = np.timedelta64(150 * 365, "D")  # MIMIC-III moves the births of those over 89 by three centuries


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
        coded = [f"MEDICATION_REQUEST//{drug}" if drug else "" for drug in names(rows["drug"])]
        found.add("prescriptions", rows["subject_id"], moments(rows, "starttime", "startdate"), coded)
    frame = found.frame()
    return Annotated(frame, "subject_id", (), left_out(found, unread(list(tables), READ)))


def _admissions(path: Path, found: Gathered) -> pd.DataFrame:
    others = ("admission_type", "deathtime", "dischtime")
    stays = read_columns(path, "admissions", ["subject_id", "hadm_id", "admittime"], others)
    kinds = [kind or "UNKNOWN" for kind in names(stays["admission_type"])]
    for word, column in (("ADMISSION//", "admittime"), ("DISCHARGE//", "dischtime")):
        found.add(
            f"admissions ({column})", stays["subject_id"], moments(stays, column), [word + kind for kind in kinds]
        )
    ends = moments(stays, "dischtime")
    return stays.assign(end=ends.time, start=moments(stays, "admittime").time, died=moments(stays, "deathtime").time)


def _patients(path: Path, stays: pd.DataFrame, found: Gathered) -> None:
    others = ("gender", "anchor_age", "anchor_year", "dob", "dod")
    rows = read_columns(path, "patients", ["subject_id"], others)
    identifiers = names(rows["subject_id"])
    found_gender = [f"GENDER//{word}" if word else "" for word in names(rows["gender"])]
    some = np.array([bool(word) for word in found_gender], dtype=bool)
    found.add("patients", rows["subject_id"][some], None, [own for own in found_gender if own], needs_time=False)
    years = numbers(rows["anchor_year"]) - numbers(rows["anchor_age"])
    dated = [None if np.isnan(year) else f"{int(year):04d}-01-01" for year in years]
    births = moments(rows.assign(born=pd.Series(dated, index=rows.index, dtype=object)), "dob", "born")
    first = stays.assign(subject=names(stays["subject_id"])).groupby("subject")["start"].min().reindex(identifiers)
    with np.errstate(invalid="ignore"):
        moved = first.to_numpy("datetime64[us]") - births.time > LONGEST_LIFE
    found.left_out["patients", "with a birth that is moved, over 89 years"] += int(moved.sum())
    kept = ~moved & (~np.isnat(births.time) | births.odd)
    found.add("patients (birth)", rows["subject_id"][kept], births.of(kept), [BIRTH] * int(kept.sum()))
    died = stays.assign(subject=names(stays["subject_id"])).groupby("subject")["died"].min().reindex(identifiers)
    at_home = moments(rows, "dod")
    times = np.where(died.isna().to_numpy(), at_home.time, died.to_numpy("datetime64[us]"))
    deaths = Moments(times, at_home.odd & died.isna().to_numpy())
    gone = ~np.isnat(times) | deaths.odd
    found.add("patients (death)", rows["subject_id"][gone], deaths.of(gone), [DEATH] * int(gone.sum()))


def _measured(tables: Mapping[str, Path], table: str, found: Gathered) -> None:
    prefix, items = MEASURED[table]
    labels = _labels(tables[items], items) if items in tables else {}
    others = ("valuenum", "valueuom", "value", "error")
    rows = read_columns(tables[table], table, ["subject_id", "itemid", "charttime"], others)
    wrong = (numbers(rows["error"]) == 1).tolist()  # marked by the staff, in MIMIC-III
    found.left_out[table, "marked as an error"] += sum(wrong)
    rows = rows[~np.array(wrong, dtype=bool)]
    signs = [match[1] if (match := BOUND.match(text)) else "" for text in names(rows["value"])]
    coded = []
    for item, unit, sign in zip(names(rows["itemid"]), names(rows["valueuom"]), signs, strict=True):
        parts = (labels.get(item, item), unit, sign)
        coded.append(prefix + "//".join(own for own in parts if own) if item else "")
    values = np.where([bool(sign) for sign in signs], np.nan, numbers(rows["valuenum"]))
    found.add(table, rows["subject_id"], moments(rows, "charttime"), coded, values)


def _labels(path: Path, name: str) -> dict[str, str]:
    """Number of each item to its label, with fluid and category in the laboratory; and the number where two share."""
    items = read_columns(path, name, ["itemid", "label"], ("fluid", "category"))
    of_lab = name == "d_labitems"
    found = {}
    every = zip(*(names(items[own]) for own in ("itemid", "label", "fluid", "category")), strict=True)
    for item, label, fluid, category in every:
        where = ", ".join(own for own in (fluid, category) if own) if of_lab else ""
        found[item] = (f"{label} ({where})" if where else label) or item
    shared = pd.Series(found).duplicated(keep=False).to_dict() if found else {}
    return {item: f"{label} #{item}" if shared[item] else label for item, label in found.items()}


def _diagnoses(path: Path, stays: pd.DataFrame, found: Gathered) -> None:
    rows = read_columns(path, "diagnoses_icd", ["subject_id", "hadm_id"], ("icd_code", "icd_version", "icd9_code"))
    versions = numbers(rows["icd_version"])
    of_nine = np.isnan(versions) | (versions == 9)
    text = rows["icd_code"].where(rows["icd_code"].notna(), rows["icd9_code"])
    coded = [_icd(code, nine=bool(nine)) for code, nine in zip(names(text), of_nine, strict=True)]
    ends = dict(zip(names(stays["hadm_id"]), stays["end"].to_numpy("datetime64[us]"), strict=True))
    stay = names(rows["hadm_id"])
    none = np.array([own not in ends for own in stay], dtype=bool)
    found.left_out["diagnoses_icd", "of no admission"] += int(none.sum())
    times = np.array([ends[own] for own, lost in zip(stay, none, strict=True) if not lost], dtype="datetime64[us]")
    at = Moments(times, np.zeros(len(times), dtype=bool))
    found.add(
        "diagnoses_icd", rows["subject_id"][~none], at, [own for own, lost in zip(coded, none, strict=True) if not lost]
    )


def _icd(code: str, *, nine: bool) -> str:
    """Write a code with its point, as FHIR has it: E119 is E11.9, the 4019 of the ninth revision 401.9."""
    if not code:
        return ""
    before = 4 if nine and code.startswith("E") else 3
    plain = code.replace(".", "")
    pointed = f"{plain[:before]}.{plain[before:]}" if len(plain) > before else plain
    return f"CONDITION//{'ICD9CM' if nine else 'ICD10CM'}//{pointed}"
