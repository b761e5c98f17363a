"""A column by its name and its values together: neither alone says enough."""

from __future__ import annotations

import pytest

from chiasm.identifiers.columns import Field, kinds_in
from chiasm.identifiers.field_names import announced, words_of, years_of_age

N = 20


def kinds(name: str, values: list[str], place: str = "column", own: bool = False) -> dict[str, list[int]]:
    """Kinds that a field holds, with the positions of their values."""
    rows = list(range(2, len(values) + 2))
    found = kinds_in(Field(place, name, "patients.csv", own=own, values=values, rows=rows))
    return {kind: seen.at for kind, seen in found.items()}


FIRST = ["Ada", "Ben", "Cleo", "Dov", "Eva", "Finn", "Gro", "Hal", "Ida", "Jon"] * 2
CODES = [f"{7 * k:03d}-X{k * k:04d}" for k in range(N)]
DAYS = [f"19{40 + k}-0{1 + k % 9}-1{k % 9}" for k in range(N)]
AGES = [str(40 + 3 * k) for k in range(N)]  # up to 97


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("first_name", FIRST, "name"),
        ("Nachname", [f"{name}mann" for name in FIRST], "name"),
        ("city", ["Oslo", "Bergen"] * 10, "place"),
        ("zip", [f"021{k:02d}" for k in range(N)], "place"),
        ("dob", DAYS, "date"),
        ("x7", DAYS, "date"),
        ("admissionDate", [own.replace("-", "") for own in DAYS], "date"),
        ("AgeAtDiagnosis", AGES, "date"),
        ("age_days", [str(int(own) * 365) for own in AGES], "date"),
        ("mobile", [f"0176 44 {k:03d} 12" for k in range(N)], "phone"),
        ("fax_no", [f"0221 478 {k:03d}" for k in range(N)], "fax"),
        ("MRN", [f"{48000 + 7 * k}" for k in range(N)], "record"),
        ("insurance_number", CODES, "plan"),
        ("bank_account", CODES, "account"),
        ("driverLicenseNo", CODES, "licence"),
        ("number_plate", CODES, "vehicle"),
        ("device_serial", CODES, "device"),
        ("fingerprint", CODES, "biometric"),
        ("photo", [f"p{k}.jpg" for k in range(N)], "photo"),
        ("pseudonym", CODES, "other"),
        ("anything", CODES, "other"),
        ("x8", [f"Berg, {name}a" for name in "ABCDEFGHIJKLMNOPQRST"], "name"),
        ("x9", ["9434765919", "4010232137", "0123456789"[:0] or "9434765870", "4505577104", "6328797966"], "record"),
    ],
)  # fmt: skip
def test_a_column_holds_a_kind(name: str, values: list[str], kind: str) -> None:
    assert kind in kinds(name, values)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("gene_name", FIRST), ("drug name", FIRST), ("hospital", ["3", "7"] * 10), ("site", ["AB", "DX"] * 10),
        ("age", [str(20 + k) for k in range(N)]), ("year", [str(1990 + k) for k in range(N)]),
        ("days_to_death", [str(300 * k) for k in range(N)]), ("insurance", ["private", "public"] * 10),
        ("device", ["CS-12", "AT-6"] * 10), ("tel", ["1", "0"] * 10), ("stage", ["T1", "T2"] * 10),
        ("smoker", ["yes", "no"] * 10), ("fingerprint", [str(k / 7) for k in range(N)]),
        ("score", [f"{k}.25" for k in range(N)]), ("ip", ["1.2", "1.3"] * 10), ("plate", ["A01", "B02"] * 10),
        ("name", ["1", "2"] * 10), ("email", ["yes", "no"] * 10), ("date_known", ["yes", "no"] * 10),
        ("name", ["kidney", "liver", "spleen", "lung", "heart"] * 4), ("age", ["34", "90"] * 10),
    ],
)  # fmt: skip
def test_a_column_holds_nothing(name: str, values: list[str]) -> None:
    assert kinds(name, values) == {}


def test_only_the_rows_that_hold_one_are_counted() -> None:
    assert kinds("age", AGES)["date"] == [17, 18, 19]
    assert kinds("note", ["well", "seen 2014-03-09", "NA", "called m@x.example"]) == {"date": [1], "email": [3]}


def test_words_that_stand_for_nothing_are_no_names() -> None:
    assert kinds("PatientName", ["ANONYMOUS", "anonymized", "X X X X", "removed", "deid_004"], "header") == {}


def test_the_code_of_a_cohort_is_no_finding_but_what_lies_in_it_is() -> None:
    assert kinds("", CODES, "id", own=True) == {}
    assert "date" in kinds("", [f"p{own}" for own in DAYS], "id", own=True)
    assert "email" in kinds("", [f"{name}{k}@x.example" for k, name in enumerate(FIRST)], "id", own=True)
    assert "date" in kinds("", [own.replace("-", "") for own in DAYS], "id", own=True)


def test_names_are_taken_apart() -> None:
    assert words_of("Patient's_BirthDate2") == "patients birth date 2"
    assert announced("EXIF Artist") is None and announced("Artist") == "name"
    assert years_of_age("age_months") == 12 and years_of_age("dosage") is None and years_of_age("stage") is None
