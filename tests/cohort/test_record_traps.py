"""Tables of a hospital as they are found: dates alone, numbers as floats, decimal commas, bounds, texts of patients."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chiasm
from chiasm.cohort.mimic import _icd
from chiasm.cohort.record_cells import sign_of
from chiasm.cohort.tables import Table
from chiasm.readers.record.events import EventReader

PERSON = "person_id,gender_concept_id,year_of_birth\n1,8507,1960\n2,8532,1961\n"
MEASURED = "person_id,measurement_concept_id,measurement_date,value_as_number,unit_concept_id,operator_concept_id,"
MEASURED += "unit_source_value,value_source_value\n"
PATIENTS = "subject_id,gender,anchor_age,anchor_year,dod\n"
STAYS = "subject_id,hadm_id,admittime,dischtime,deathtime,admission_type\n"
STAY = "10,100,2150-01-01 08:00:00,2150-01-03 08:00:00,,URGENT\n"
LAB = "subject_id,itemid,charttime,value,valuenum,valueuom\n"


def folder(path: Path, **tables: str) -> Path:
    path.mkdir(parents=True)
    for name, text in tables.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


def rows(path: Path) -> tuple[list[tuple[str, str, float]], str]:
    """Subject, code and value of each event in the order of the tables, and what is said of the rest."""
    table = Table(path, path.name)
    frame = table.frame(["subject_id", "code", "numeric_value"])
    said = " ".join(own.what for own in table.findings)
    return list(frame.fillna({"numeric_value": -1.0}).itertuples(index=False, name=None)), said


def hours(path: Path, identifier: str) -> list[tuple[float, str]]:
    """Hours, from the first event, and codes of a patient but for the birth."""
    (path.parent / "p.csv").write_text(f"id\n{identifier}\n")
    manifest = '[patients]\ntable = "p.csv"\nid = "id"\n[modalities.m]\nkind = "events"\ntable = "rec"\n'
    (path.parent / "cohort.toml").write_text(manifest)
    found = EventReader().read(next(iter(chiasm.open_cohort(path.parent).raw("m"))))
    every = zip(found.hours, found.codes, strict=True)
    return [(round(float(hour), 2), str(code)) for hour, code in every if code != "MEDS_BIRTH" and "GENDER" not in code]


VISIT = "person_id,visit_concept_id,visit_start_datetime,visit_end_datetime,visit_end_date\n"


@pytest.mark.parametrize("midnight", [False, True])
def test_what_ends_on_a_date_stands_at_its_end(midnight: bool, tmp_path: Path) -> None:
    end = "2020-01-05 00:00:00,2020-01-05" if midnight else ",2020-01-05"
    path = folder(
        tmp_path / "rec",
        person=PERSON,
        visit_occurrence=f"{VISIT}1,9201,2020-01-05 08:00:00,{end}\n",
        death="person_id,death_date\n1,2020-01-05" + (" 00:00:00" if midnight else "") + "\n",
        condition_occurrence="person_id,condition_concept_id,condition_start_date\n1,7,2020-01-05\n",
    )
    assert hours(path, "1") == [
        (0.0, "ADMISSION//9201"), (0.0, "CONDITION//CONCEPT//7"), (16.0, "DISCHARGE//9201"), (16.0, "MEDS_DEATH")
    ]  # fmt: skip


def test_a_death_by_date_does_not_move_the_first_hour_of_those_who_died(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        patients=PATIENTS + "10,F,50,2150,2150-01-01\n",
        admissions=STAYS + "10,100,2150-01-01 08:00:00,2150-01-01 22:00:00,,URGENT\n",
        labevents=LAB + "10,1,2150-01-01 09:00:00,1,1,mg\n",
    )
    assert hours(path, "10") == [
        (0.0, "ADMISSION//URGENT"), (1.0, "LAB//1//mg"), (14.0, "DISCHARGE//URGENT"), (16.0, "MEDS_DEATH")
    ]  # fmt: skip


def measured(place: Path, lines: str) -> Path:
    """One person's visit from eight to twenty, with measurements whose time stands beside their date."""
    head = "person_id,measurement_concept_id,measurement_date,measurement_time,value_as_number\n"
    visit = f"{VISIT}1,9201,2020-01-05 08:00:00,2020-01-05 20:00:00,\n"
    return folder(place, person=PERSON, visit_occurrence=visit, measurement=head + lines)


def test_the_time_beside_a_date_counts(tmp_path: Path) -> None:
    path = measured(tmp_path / "rec", "1,5,2020-01-05,09:30:00,1\n1,6,2020-01-05,,1\n1,7,2020-01-05,10:00,1\n")
    assert hours(path, "1") == [
        (0.0, "ADMISSION//9201"), (0.0, "CONCEPT//6"), (1.5, "CONCEPT//5"), (2.0, "CONCEPT//7"),
        (12.0, "DISCHARGE//9201"),
    ]  # fmt: skip


def test_a_birth_precedes_what_was_measured_on_its_day(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        person="person_id,year_of_birth,birth_datetime\n1,2020,2020-05-03 14:00:00\n",
        measurement="person_id,measurement_concept_id,measurement_datetime,value_as_number\n"
        "1,5,2020-05-03 09:00:00,1\n1,5,2020-05-04 09:00:00,2\n",
    )
    assert hours(path, "1") == [(0.0, "CONCEPT//5"), (24.0, "CONCEPT//5")]


def test_a_year_is_no_date_and_one_in_2099_no_end(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        person=PERSON,
        visit_occurrence=f"{VISIT}1,9201,2020-01-05,,2099-12-31\n2,9201,2020-01-05,,2199-12-31\n",
        measurement=MEASURED + "1,5,2020,1,,,,\n1,5,2020-01,1,,,,\n1,5,20200107,1,,,,\n",
    )
    found, said = rows(path)
    assert [code for _, code, _ in found].count("DISCHARGE//9201") == 0 and ("1", "CONCEPT//5", 1.0) in found
    assert "2 of measurement with a time that cannot be read" in said
    assert "2 of visit_occurrence (end) that lies in a year such as 2099" in said


def test_units_of_which_only_the_number_is_known_stay_apart(tmp_path: Path) -> None:
    text = MEASURED + "1,5,2020-01-01,5.5,8753,,,\n1,5,2020-01-02,99,8840,,,\n1,5,2020-01-02,7,0,,mg,\n"
    found, _ = rows(folder(tmp_path / "rec", person=PERSON, measurement=text))
    assert [own[1] for own in found if own[2] > 0] == [
        "CONCEPT//5//CONCEPT//8753",
        "CONCEPT//5//CONCEPT//8840",
        "CONCEPT//5//mg",
    ]


def test_identifiers_that_pandas_wrote_as_floats_are_whole(tmp_path: Path) -> None:
    names = "concept_id,concept_name,vocabulary_id,concept_code\n201826.0,T2D,SNOMED,44054006\n"
    names += "8753.0,mmol per l,UCUM,mmol/L\n3004501,Glucose,LOINC,2345-7\n"
    found, said = rows(
        folder(
            tmp_path / "omop",
            person="person_id,gender_concept_id,year_of_birth\n1.0,,1960\n",
            concept=names,
            measurement=MEASURED + "1,3004501.0,2020-01-01,5.5,8753.0,4171756.0,,\n1,3004501,2020-01-01,5.5,8753,,,\n"
            "1,0.0,2020-01-01,7,0.0,,,\n",
            condition_occurrence="person_id,condition_concept_id,condition_start_date\n1.0,201826.0,2020-01-01\n",
        )
    )
    assert [own for own in found if own[1] != "MEDS_BIRTH"] == [
        ("1", "CONDITION//SNOMED//44054006", -1.0),
        ("1", "LOINC//2345-7//mmol/L//<", -1.0),
        ("1", "LOINC//2345-7//mmol/L", 5.5),
    ]
    assert "1 of measurement without a code" in said
    found, _ = rows(
        folder(
            tmp_path / "mimic",
            patients=PATIENTS + "10,F,50,2150,\n",
            admissions=STAYS + STAY,
            d_labitems="itemid,label,fluid,category\n50971,Potassium,Blood,Chemistry\n",
            labevents=LAB + "10.0,50971.0,2150-01-01 09:00:00,5,5,mg\n",
            diagnoses_icd="subject_id,hadm_id,icd_code,icd_version\n10.0,100.0,E119,10.0\n",
        )
    )
    assert ("10", "LAB//Potassium (Blood, Chemistry)//mg", 5.0) in found
    assert ("10", "CONDITION//ICD10CM//E11.9", -1.0) in found


def test_values_that_cannot_be_read_are_counted_and_bounds_are_bounds(tmp_path: Path) -> None:
    text = MEASURED + '1,5,2020-01-01,"5,5",0,,mg,\n1,5,2020-01-01,5 mg,0,,mg,\n2,5,2020-01-01,inf,0,,mg,\n'
    text += "1,5,2020-01-01,< 5,0,,mg,\n1,6,2020-01-01,5,0,,mg,<5\n"
    text += "1,7,2020-01-01,,0,4171756,mg,\n1,8,2020-01-01,5,0,,mg,5\n"
    found, said = rows(folder(tmp_path / "omop", person=PERSON, measurement=text))
    assert [own[1:] for own in found if own[1].startswith("CONCEPT")] == [
        ("CONCEPT//5//mg//<", -1.0), ("CONCEPT//6//mg//<", -1.0), ("CONCEPT//7//mg//<", -1.0), ("CONCEPT//8//mg", 5.0)
    ]  # fmt: skip
    assert "3 of measurement with a value that cannot be read" in said
    lab = LAB + '10,1,2150-01-01 09:00:00,"4,5","4,5",mg\n10,2,2150-01-01 09:00:00,POS,,\n'
    lab += "10,3,2150-01-01 09:00:00,LESS THAN 5,5,mg\n10,4,2150-01-01 09:00:00,≤5,5,mg\n"
    lab += "10,5,2150-01-01 09:00:00,7.5,,mg\n"
    found, said = rows(
        folder(tmp_path / "mimic", patients=PATIENTS + "10,F,50,2150,\n", admissions=STAYS + STAY, labevents=lab)
    )
    assert [own[1:] for own in found if own[1].startswith("LAB")] == [
        ("LAB//2", -1.0), ("LAB//3//mg//<", -1.0), ("LAB//4//mg//<=", -1.0), ("LAB//5//mg", 7.5)
    ]  # fmt: skip
    assert "1 of labevents with a value that cannot be read" in said
    assert "values in words are not read, and their events have none: 1 of labevents" in said


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("<5", "<"), (" <= 5", "<="), ("≥5", ">="), ("> OR = 60", ">="), ("LESS THAN 0.2", "<"), ("Under 5", "<"),
        ("OVER 5", ">"), ("more than .5", ">"), ("GREATER THAN OR EQUAL TO 5", ">="), ("at least 5", ">="),
        ("AT MOST 5", "<="), ("5", ""), ("overnight", ""), ("UNDER REVIEW", ""), ("POS", ""),
    ],
)  # fmt: skip
def test_a_bound_is_known_by_its_sign_or_its_words(text: str, sign: str) -> None:
    assert sign_of(text) == sign


def test_the_age_of_those_over_89_is_none(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        patients=PATIENTS + "10,F,91,2150,\n11,F,89,2150,\n",
        admissions=STAYS + STAY + "11,101,2150-01-01 08:00:00,2150-01-03 08:00:00,,URGENT\n",
    )
    found, said = rows(path)
    assert [own[0] for own in found if own[1] == "MEDS_BIRTH"] == ["11"]
    assert "1 of patients with a birth that is moved, over 89 years" in said


def test_what_somebody_wrote_of_a_patient_is_no_code(tmp_path: Path) -> None:
    source = "person_id,condition_concept_id,condition_start_date,condition_source_value\n1,0,2020-01-01,I10\n"
    source += "1,0,2020-01-01,Frau Meier: Mamma-Ca\n"
    measured = MEASURED + "1,5,2020-01-01,1,0,,Frau Meier,\n1,5,2020-01-01,2,0,,10*3/uL,\n"
    found, said = rows(folder(tmp_path / "omop", person=PERSON, condition_occurrence=source, measurement=measured))
    assert "Meier" not in str(found) + said
    assert ("1", "CONDITION//SOURCE//I10", -1.0) in found and ("1", "CONCEPT//5//10*3/uL", 2.0) in found
    assert "1 of condition_occurrence without a code, 1 of measurement with a unit that is no name" in said
    drugs = "subject_id,starttime,drug\n10,2150-01-01 09:00:00,Sodium Chloride 0.9%\n"
    drugs += "10,2150-01-01 09:00:00,Meier geb. 4.5.1950: wie zuletzt\n"
    found, said = rows(
        folder(tmp_path / "mimic", patients=PATIENTS + "10,F,50,2150,\n", admissions=STAYS + STAY, prescriptions=drugs)
    )
    assert ("10", "MEDICATION_REQUEST//Sodium Chloride 0.9%", -1.0) in found and "Meier" not in str(found)
    assert "1 of prescriptions without a code" in said


def test_sodium_is_no_missing_label_and_a_code_without_version_is_told(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        patients=PATIENTS + "10,F,50,2150,\n",
        admissions=STAYS + STAY,
        d_labitems="itemid,label,fluid,category\n1,NA,Blood,Chemistry\n",
        labevents=LAB + "10,1,2150-01-01 09:00:00,140,140,NA\n",
        diagnoses_icd="subject_id,hadm_id,icd_code,icd_version\n10,100,I10,\n10,100,4019,\n10,100,E119,\n11,100,I10,10\n",
    )
    found, said = rows(path)
    assert ("10", "LAB//NA (Blood, Chemistry)", 140.0) in found  # and the unit NA is missing
    assert [own[1] for own in found if own[1].startswith("CONDITION")] == [
        "CONDITION//ICD10CM//I10",
        "CONDITION//ICD9CM//401.9",
    ]
    assert "1 of diagnoses_icd of an admission of another subject" in said
    assert "1 of diagnoses_icd without the version of its code" in said


def test_tables_of_semicolons_and_in_a_folder_called_data_are_read(tmp_path: Path) -> None:
    text = "person_id;condition_concept_id;condition_start_date\n1;7;2020-01-01\n"
    expected, _ = rows(folder(tmp_path / "a", person=PERSON, condition_occurrence=text))
    assert ("1", "CONDITION//CONCEPT//7", -1.0) in expected
    folder(tmp_path / "b" / "data", person=PERSON, condition_occurrence=text)
    assert rows(tmp_path / "b")[0] == expected


def test_a_clock_that_is_none_is_counted_and_a_whole_time_beside_a_date_counts(tmp_path: Path) -> None:
    path = measured(tmp_path / "rec", "1,5,2020-01-05,99:99:99,1\n1,6,2020-01-05,2020-01-05 09:00:00,1\n")
    assert hours(path, "1") == [(0.0, "ADMISSION//9201"), (1.0, "CONCEPT//6"), (12.0, "DISCHARGE//9201")]
    assert "1 of measurement with a time that cannot be read" in rows(path)[1]


def test_long_identifiers_beside_an_empty_cell_stay_apart(tmp_path: Path) -> None:
    """As floats, these two would be one patient."""
    long = [2**53 + 1, 2**53, None]
    (tmp_path / "rec").mkdir()
    person = pa.table({"person_id": pa.array(long, pa.int64()), "gender_concept_id": [8507, 8532, 8507]})
    pq.write_table(person, tmp_path / "rec" / "person.parquet")
    pq.write_table(
        pa.table({"PERSON_ID": long[:2], "condition_concept_id": [1, 2], "condition_start_date": ["2020-01-01"] * 2}),
        tmp_path / "rec" / "condition_occurrence.parquet",
    )
    found, said = rows(tmp_path / "rec")
    assert {(subject, code) for subject, code, _ in found if "CONDITION" in code} == {
        (str(2**53 + 1), "CONDITION//CONCEPT//1"), (str(2**53), "CONDITION//CONCEPT//2")
    }  # fmt: skip
    assert {subject for subject, *_ in found} == {str(2**53 + 1), str(2**53)} and "without a patient" in said


def test_parts_whose_headers_differ_in_case_are_one_table(tmp_path: Path) -> None:
    (tmp_path / "rec" / "person").mkdir(parents=True)
    for name, column, number in (("a", "person_id", 1), ("b", "PERSON_ID", 2)):
        part = pa.table({column: [number], "gender_concept_id": [8507]})
        pq.write_table(part, tmp_path / "rec" / "person" / f"{name}.parquet")
    condition = "person_id,condition_concept_id,condition_start_date\n1,7,2020-01-05\n2,7,2020-01-05\n"
    (tmp_path / "rec" / "condition_occurrence.csv").write_text(condition)
    assert {subject for subject, *_ in rows(tmp_path / "rec")[0]} == {"1", "2"}


def test_a_year_without_end_is_no_year_of_birth(tmp_path: Path) -> None:
    person = "person_id,gender_concept_id,year_of_birth\n1,8507,inf\n"
    condition = "person_id,condition_concept_id,condition_start_date\n1,7,2020-01-05\n"
    found, _ = rows(folder(tmp_path / "rec", person=person, condition_occurrence=condition))
    assert "MEDS_BIRTH" not in {code for _, code, _ in found}


def test_codes_of_one_diagnosis_are_one(tmp_path: Path) -> None:
    assert _icd("e8490", 9) == _icd("E8490", 9) == "CONDITION//ICD9CM//E849.0"


def test_a_death_and_a_measurement_in_9999_are_none_that_happened(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "rec",
        person=PERSON,
        visit_occurrence=f"{VISIT}1,9201,2020-01-05 08:00:00,9999-12-31,\n",
        death="person_id,death_date\n1,9999-12-31\n",
        measurement="person_id,measurement_concept_id,measurement_date,value_as_number\n1,5,9999-12-31,1\n",
    )
    assert hours(path, "1") == [(0.0, "ADMISSION//9201")]
    said = rows(path)[1]
    assert "1 of visit_occurrence (end) that lies in a year such as 2099" in said
    assert "1 of death with a time that cannot be read" in said
    assert "1 of measurement with a time that cannot be read" in said
