"""Folders of OMOP and MIMIC are events on the same road as MEDS and FHIR: hours, codes with units, values."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import chiasm
from chiasm.cohort import CohortError
from chiasm.cohort.tables import Table
from chiasm.readers.record.events import EventReader
from chiasm.readers.record.meds import write_meds

OMOP = {
    "PERSON": """person_id,gender_concept_id,year_of_birth,month_of_birth,day_of_birth,birth_datetime
007,8507,1960,5,,
8,8532,1970,1,2,1970-01-02 03:00:00
9,0,,,,
""",
    "visit_occurrence": """visit_id,person_id,visit_concept_id,visit_start_date,visit_start_datetime,visit_end_date
1,007,9201,2020-01-01,2020-01-01 08:00:00,2020-01-03
2,007,9202,2021-06-01,,2021-06-01
""",
    "condition_occurrence": """person_id,condition_concept_id,condition_start_date,condition_source_value
007,201826,2020-01-01,E11.9
007,0,2020-01-02,I10
007,0,2020-01-02,
8,201826,,E11.9
8,201826,1970-01-02,E11.9
""",
    "drug_exposure": "person_id,drug_concept_id,drug_exposure_start_datetime\n007,1503297,2020-01-01 12:00:00\n",
    "procedure_occurrence": "person_id,procedure_concept_id,procedure_datetime\n8,4000000,2020-01-05 00:00:00\n",
    "measurement": """person_id,measurement_concept_id,measurement_date,measurement_datetime,value_as_number,"""
    """unit_concept_id,unit_source_value,value_as_concept_id,operator_concept_id
007,3023103,2020-01-01,2020-01-01 09:30:00,4.1,8753,mmol/l,,
007,3023103,2020-01-02,,5,0,mmol/l,0,4172703
007,3023103,2020-01-03,,0.1,8753,,,4171756
8,3000001,2020-01-05,2020-01-05 10:00:00,,,,45884084,
8,3000001,soon,,1,,,,
""",
    "observation": """person_id,observation_concept_id,observation_date,value_as_number,value_as_string
8,77,2020-01-06,2,note
""",
    "death": "person_id,death_date\n8,2020-02-01\n",
    "note": "note_id,person_id,note_text\n1,007,secret\n",
}
CONCEPT = "\t".join(("concept_id", "concept_name", "vocabulary_id", "concept_code")) + "\n" + "".join(
    "\t".join(row) + "\n"
    for row in (
        ("8507", "MALE", "Gender", "M"),
        ("9201", "Inpatient Visit", "Visit", "IP"),
        ("201826", 'Type 2 "diabetes', "SNOMED", "44054006"),
        ("1503297", "metformin", "RxNorm", "6809"),
        ("3023103", "Potassium", "LOINC", "2823-3"),
        ("3000001", "Influenza", "LOINC", "80382-5"),
        ("8753", "millimole per liter", "UCUM", "mmol/L"),
        ("45884084", "Positive", "LOINC", "LA6576-8"),
    )
)  # fmt: skip
MIMIC = {
    "hosp/patients": "subject_id,gender,anchor_age,anchor_year,dod\n10,F,52,2180,\n11,M,60,2110,2112-03-04\n",
    "hosp/admissions": """subject_id,hadm_id,admittime,dischtime,deathtime,admission_type
10,100,2180-05-06 22:23:00,2180-05-07 17:15:00,,URGENT
10,101,2181-01-01 00:00:00,2181-01-02 00:00:00,,ELECTIVE
11,110,2112-03-01 10:00:00,2112-03-04 11:00:00,2112-03-04 11:00:00,URGENT
""",
    "hosp/labevents": """labevent_id,subject_id,itemid,charttime,value,valuenum,valueuom
1,10,50971,2180-05-06 23:23:00,4.1,4.1,mEq/L
2,10,51003,2180-05-06 23:23:00,<0.01,0.01,ng/mL
3,10,50931,2180-05-07 00:23:00,"comment, with
two lines",,mg/dL
4,11,99999,2112-03-02 10:00:00,7,7,
5,11,50971,,4,4,mEq/L
6,,50971,2112-03-02 10:00:00,4,4,mEq/L
""",
    "hosp/d_labitems": """itemid,label,fluid,category
50971,Potassium,Blood,Chemistry
51003,Troponin T,Blood,Chemistry
50931,Glucose,Blood,Chemistry
50809,Glucose,Blood,Chemistry
""",
    "hosp/diagnoses_icd": """subject_id,hadm_id,seq_num,icd_code,icd_version
10,100,1,E119,10
10,100,2,4019,9
11,110,1,E8889,9
11,999,1,I10,10
""",
    "hosp/prescriptions": "subject_id,starttime,drug\n10,2180-05-07 01:00:00,Metformin\n10,,Aspirin\n",
    "icu/chartevents": "subject_id,itemid,charttime,value,valuenum,valueuom\n11,220045,2112-03-02 10:00:00,88,88,bpm\n",
    "icu/d_items": "itemid,label\n220045,Heart Rate\n",
    "hosp/microbiologyevents": "subject_id\n10\n",
}


def written(folder: Path, tables: dict[str, str], how: str = "csv") -> Path:
    for name, text in tables.items():
        path = folder / f"{name}.{how}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if how == "parquet":
            frame = pd.read_csv(io.StringIO(text), sep="\t" if "\t" in text else ",")
            for column in frame.columns[frame.columns.str.endswith(("_date", "_datetime"))]:
                moments = pd.to_datetime(frame[column], format="ISO8601", errors="coerce")
                frame[column] = moments.dt.date if column.endswith("_date") else moments
            frame.to_parquet(path, index=False)
        else:
            path.write_bytes(gzip.compress(text.encode()) if how.endswith("gz") else text.encode())
    return folder


def events(folder: Path, ids: list[str]) -> tuple[dict[str, list[tuple[float, str, float]]], chiasm.Cohort]:
    """The events of each patient as the reader gives them, and the cohort."""
    pd.DataFrame({"id": ids}).to_csv(folder.parent / "p.csv", index=False)
    (folder.parent / "cohort.toml").write_text(
        f'[patients]\ntable = "p.csv"\nid = "id"\n[modalities.record]\nkind = "events"\ntable = "{folder.name}"\n'
    )
    cohort = chiasm.open_cohort(folder.parent)
    found = {}
    rows = cohort.rows_of("record")
    for identifier, item in zip(cohort.ids[rows], cohort.raw("record"), strict=True):
        own = EventReader().read(item)
        every = zip(own.hours, own.codes, own.values, strict=True)
        found[str(identifier)] = [(round(float(h), 4), str(c), round(float(v), 4)) for h, c, v in every]
    return found, cohort


NAN = float("nan")


def same(found: list[tuple[float, str, float]], right: list[tuple[float, str, float]]) -> None:
    pd.testing.assert_frame_equal(pd.DataFrame(found), pd.DataFrame(right))


@pytest.mark.parametrize("how", ["csv", "csv.gz"])
def test_omop_is_read_as_events(how: str, tmp_path: Path) -> None:
    folder = written(tmp_path / "omop", {**OMOP, "CONCEPT": CONCEPT}, how)
    found, cohort = events(folder, ["007", "8", "10"])
    assert cohort.present[:, 0].tolist() == [True, False, True]  # in the order of the names: 007, 10, 8
    birth = (pd.Timestamp("1960-05-01") - pd.Timestamp("2020-01-01 08:00")) / pd.Timedelta(hours=1)
    same(
        found["007"],
        [
            (birth, "MEDS_BIRTH", NAN),
            (0.0, "ADMISSION//IP", NAN),
            (0.0, "CONDITION//SNOMED//44054006", NAN),  # of that date: not before the first time of it
            (0.0, "GENDER//M", NAN),
            (1.5, "LOINC//2823-3//mmol/L", 4.1),
            (4.0, "DRUG//RXNORM//6809", NAN),
            (16.0, "CONDITION//SOURCE//I10", NAN),
            (16.0, "LOINC//2823-3//mmol/l", 5.0),
            (40.0, "LOINC//2823-3//mmol/L//<", NAN),
            (63.9997, "DISCHARGE//IP", NAN),  # of a date: at its end
            (12400.0, "ADMISSION//9202", NAN),
            (12423.9997, "DISCHARGE//9202", NAN),
        ],
    )
    first = pd.Timestamp("1970-01-02 03:00")  # a condition of the day of the birth does not precede it
    at = [(pd.Timestamp(text) - first) / pd.Timedelta(hours=1) for text in ("2020-01-05", "2020-01-06", "2020-02-01")]
    same(
        found["8"],
        [
            (0.0, "CONDITION//SNOMED//44054006", NAN),
            (0.0, "GENDER//8532", NAN),
            (0.0, "MEDS_BIRTH", NAN),
            (at[0], "PROCEDURE//CONCEPT//4000000", NAN),
            (at[0] + 10, "LOINC//80382-5//LOINC//LA6576-8", NAN),
            (at[1], "CONCEPT//77", 2.0),
            (round(at[2] + 86399 / 3600, 4), "MEDS_DEATH", NAN),
        ],
    )


def test_what_is_left_out_of_a_folder_is_counted_and_said(tmp_path: Path) -> None:
    _, cohort = events(written(tmp_path / "omop", OMOP), ["007", "8"])
    said = [own.what for own in cohort.findings if own.finding == "left-out"]
    assert said == [
        "rows are left out: 1 of condition_occurrence without a code, 1 of condition_occurrence without a time, "
        "1 of measurement with a time that cannot be read",
        "1 table not read (note)",
    ]
    assert not any(own.finding == "unknown-identifiers" for own in cohort.findings)  # of 9 nothing is known
    _, cohort = events(tmp_path / "omop", ["007"])
    assert any(own.finding == "unknown-identifiers" for own in cohort.findings)


def test_omop_of_parquet_is_the_same_as_of_text(tmp_path: Path) -> None:
    tables = {name: text.replace("soon", "2020-01-05").replace("007", "7") for name, text in OMOP.items()}
    tables["CONCEPT"] = CONCEPT
    of_text, _ = events(written(tmp_path / "a" / "omop", tables), ["7", "8"])
    of_parquet, _ = events(written(tmp_path / "b" / "omop", tables, "parquet"), ["7", "8"])
    whole = tmp_path / "b" / "omop" / "measurement.parquet"
    rows = pd.read_parquet(whole)
    whole.unlink()
    whole.mkdir()  # as Spark writes a table, in parts
    for at in range(2):
        rows.iloc[at::2].to_parquet(whole / f"part-{at}.parquet", index=False)
    (whole / "_SUCCESS").write_text("")
    of_parts, _ = events(tmp_path / "b" / "omop", ["7", "8"])
    for name, found in of_text.items():
        same(of_parquet[name], found)
        same(of_parts[name], found)


def test_mimic_is_read_as_events(tmp_path: Path) -> None:
    found, cohort = events(written(tmp_path / "mimic", MIMIC), ["10", "11"])
    birth = (pd.Timestamp("2128-01-01") - pd.Timestamp("2180-05-06 22:23")) / pd.Timedelta(hours=1)
    ends = (pd.Timestamp("2180-05-07 17:15") - pd.Timestamp("2180-05-06 22:23")) / pd.Timedelta(hours=1)
    again = (pd.Timestamp("2181-01-01") - pd.Timestamp("2180-05-06 22:23")) / pd.Timedelta(hours=1)
    same(
        found["10"],
        [
            (round(birth, 4), "MEDS_BIRTH", NAN),
            (0.0, "ADMISSION//URGENT", NAN),
            (0.0, "GENDER//F", NAN),
            (1.0, "LAB//Potassium (Blood, Chemistry)//mEq/L", 4.1),
            (1.0, "LAB//Troponin T (Blood, Chemistry)//ng/mL//<", NAN),
            (2.0, "LAB//Glucose (Blood, Chemistry) #50931//mg/dL", NAN),
            (round(157 / 60, 4), "MEDICATION_REQUEST//Metformin", NAN),
            (round(ends, 4), "CONDITION//ICD10CM//E11.9", NAN),
            (round(ends, 4), "CONDITION//ICD9CM//401.9", NAN),
            (round(ends, 4), "DISCHARGE//URGENT", NAN),
            (round(again, 4), "ADMISSION//ELECTIVE", NAN),
            (round(again + 24, 4), "DISCHARGE//ELECTIVE", NAN),
        ],
    )
    assert [code for _, code, _ in found["11"][-3:]] == ["CONDITION//ICD9CM//E888.9", "DISCHARGE//URGENT", "MEDS_DEATH"]
    assert [hour for hour, _, _ in found["11"][-3:]] == [73.0] * 3
    assert (24.0, "CHART//Heart Rate//bpm", 88.0) in found["11"] and (24.0, "LAB//99999", 7.0) in found["11"]
    said = [own.what for own in cohort.findings if own.finding == "left-out"]
    assert said == [
        "rows are left out: 1 of diagnoses_icd of no admission, 1 of labevents without a patient, "
        "1 of labevents without a time, 1 of prescriptions without a time",
        "values in words are not read, and their events have none: 1 of labevents",
        "1 table not read (microbiologyevents)",
    ]


def test_mimic_of_the_third_edition_is_read_too(tmp_path: Path) -> None:
    tables = {
        "PATIENTS": "ROW_ID,SUBJECT_ID,GENDER,DOB,DOD\n1,10,F,2100-01-01 00:00:00,\n2,11,M,1850-01-01 00:00:00,\n",
        "ADMISSIONS": "SUBJECT_ID,HADM_ID,ADMITTIME,DISCHTIME\n10,1,2150-01-01 10:00:00,2150-01-02 10:00:00\n"
        "11,2,2150-01-01 10:00:00,2150-01-02 10:00:00\n",
        "CHARTEVENTS": "SUBJECT_ID,ITEMID,CHARTTIME,VALUENUM,ERROR\n10,211,2150-01-01 11:00:00,80,0\n"
        "10,211,2150-01-01 12:00:00,8000,1\n",
        "DIAGNOSES_ICD": "SUBJECT_ID,HADM_ID,ICD9_CODE\n10,1,4280\n",
    }
    found, cohort = events(written(tmp_path / "mimic", tables, "csv.gz"), ["10", "11"])
    codes = [code for _, code, _ in found["10"]]
    assert codes == [
        "MEDS_BIRTH", "ADMISSION//UNKNOWN", "GENDER//F", "CHART//211", "CONDITION//ICD9CM//428.0", "DISCHARGE//UNKNOWN"
    ]  # fmt: skip
    assert [code for _, code, _ in found["11"]] == ["ADMISSION//UNKNOWN", "GENDER//M", "DISCHARGE//UNKNOWN"]
    (said,) = [own.what for own in cohort.findings if own.finding == "left-out"]
    assert "1 of chartevents marked as an error" in said and "1 of patients with a birth that is moved" in said


def test_a_folder_gives_the_tokens_of_the_same_rows_in_meds(tmp_path: Path) -> None:
    folder = written(tmp_path / "a" / "mimic", MIMIC)
    found, _ = events(folder, ["10", "11"])
    table = Table(folder, "mimic")
    rows = table.frame(["subject_id", "time", "code", "numeric_value"])
    rows["subject_id"] = rows["subject_id"].astype(np.int64)
    (tmp_path / "b").mkdir()
    write_meds(rows, tmp_path / "b" / "meds")
    of_meds, _ = events(tmp_path / "b" / "meds", ["10", "11"])
    for name, own in found.items():
        same(of_meds[name], own)


def test_names_of_items_are_one_line_and_no_notes(tmp_path: Path) -> None:
    items = 'itemid,label\n1,"Heart\n  Rate"\n2,' + "x" * 300 + "\n"
    charted = "subject_id,itemid,charttime,valuenum\n10,1,2180-05-06 23:23:00,80\n10,2,2180-05-06 23:23:00,1\n"
    folder = written(tmp_path / "mimic", {**MIMIC, "icu/d_items": items, "icu/chartevents": charted})
    found, cohort = events(folder, ["10", "11"])
    assert (1.0, "CHART//Heart Rate", 80.0) in found["10"]
    assert "1 of chartevents with a code that is no name" in str(cohort.findings)


def test_a_record_of_a_folder_is_checked_and_encoded(tmp_path: Path) -> None:
    folder = written(tmp_path / "mimic", MIMIC)
    _, cohort = events(folder, ["10", "11"])
    problems = chiasm.check_cohort(tmp_path)
    assert [own.what for own in problems if own.severity == "error"] == []
    assert any("the record holds the death" in own.what for own in problems)
    encoded = chiasm.encode(cohort, jobs=1)
    assert encoded.counts["record"].refused == 0 and encoded.cohort.present.all()


def _no_column(folder: Path) -> None:
    (folder / "measurement.csv").write_text("person_id,x\n1,2\n")


def _cut(folder: Path) -> None:
    (folder / "measurement.csv").unlink()
    (folder / "measurement.parquet").write_bytes(b"PAR1")


def _ragged(folder: Path) -> None:
    (folder / "death.csv").write_text('person_id,death_date\n1,2020-01-01,3\n"2\n')


def _twice(folder: Path) -> None:
    (folder / "death.csv.gz").write_bytes(gzip.compress(b"person_id,death_date\n"))


def _linked(folder: Path) -> None:
    (folder.parent / "secret.csv").write_text("person_id\n1\n")
    (folder / "observation_period.csv").symlink_to(folder.parent / "secret.csv")


def _no_parts(folder: Path) -> None:
    (folder / "drug_exposure.csv").unlink()
    (folder / "drug_exposure").mkdir()


def _linked_part(folder: Path) -> None:
    (folder / "drug_exposure.csv").unlink()
    (folder / "drug_exposure").mkdir()
    pd.DataFrame({"person_id": ["1"]}).to_parquet(folder.parent / "secret.parquet")
    (folder / "drug_exposure" / "part-0.parquet").symlink_to(folder.parent / "secret.parquet")


def _no_person(folder: Path) -> None:
    (folder / "PERSON.csv").unlink()


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "no column": (_no_column, "its table 'measurement' has no column 'measurement_concept_id'"),
    "cut": (_cut, "its table 'measurement' is damaged"),
    "ragged": (_ragged, "its table 'death' is damaged"),
    "twice": (_twice, "holds the table 'death' twice"),
    "linked": (_linked, "is a link out of the folder"),
    "no parts": (_no_parts, "its table 'drug_exposure' is damaged"),
    "linked part": (_linked_part, "is a link out of the folder"),
    "neither": (_no_person, "no tables of records"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_folder_of_records_is_refused_in_one_sentence(kind: str, tmp_path: Path) -> None:
    change, what = REFUSED[kind]
    folder = written(tmp_path / "omop", OMOP)
    change(folder)
    with pytest.raises(CohortError) as fault:
        Table(folder, "omop").inspect()
    (problem,) = fault.value.problems
    assert what in problem.what and problem.fix


def test_a_folder_is_read_as_events_alone_and_within_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "omop", OMOP)
    with pytest.raises(CohortError, match='kind = "events"'):
        Table(folder, "omop").columns_of("table", "subject_id")
    monkeypatch.setattr("chiasm.cohort.record_tables.EVENT_ROWS", 5)
    with pytest.raises(CohortError, match="holds over 5 events"):
        Table(folder, "omop").inspect()
