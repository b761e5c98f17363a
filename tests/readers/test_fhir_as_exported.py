"""FHIR as hospitals export it: references of every form, types that were dropped in silence, and other releases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chiasm
from chiasm.readers.record.events import EventReader
from chiasm.readers.record.fhir import read_fhir

pytest.importorskip("fhir.resources")

from test_fhir import PATIENT, RXNORM, SNOMED, about, bundle, concept, heart_rate, patient, refused

CVX = "http://hl7.org/fhir/sid/cvx"
DRUG = concept(RXNORM, "197361")
MEDICATION = {"resourceType": "Medication", "id": "m", "code": DRUG}
GIVEN = {"status": "completed", "effectiveDateTime": "2020-01-01T10:00:00Z"}


def codes(path: Path, *resources: Any) -> list[str]:
    return read_fhir(bundle(path / "a.json", [patient(), *resources])).rows["code"].tolist()


def given(reference: str, **more: Any) -> dict[str, Any]:
    own = about("MedicationAdministration", "a", medicationReference={"reference": reference}, **GIVEN)
    return {**own, **more}


@pytest.mark.parametrize(
    "reference, contained",
    [
        ("Medication/m", None),
        ("Medication/m/_history/2", None),
        ("https://ehr.example/fhir/Medication/m", None),
        ("https://ehr.example/fhir/Medication/m/_history/7", None),
        ("#inside", [{"resourceType": "Medication", "id": "inside", "code": DRUG}]),
        (
            "#inside",
            [{"resourceType": "Practitioner", "id": "p"}, {"resourceType": "Medication", "id": "inside", "code": DRUG}],
        ),
    ],
)
def test_a_medication_is_found_by_every_reference(tmp_path: Path, reference: str, contained: Any) -> None:
    own = given(reference, **({"contained": contained} if contained else {}))
    assert "MEDICATION_ADMINISTRATION//RXNORM//197361" in codes(tmp_path, MEDICATION, own)


@pytest.mark.parametrize("reference", ["#other", "Medication/other", "urn:uuid:1"])
def test_a_medication_that_is_not_there_is_counted(tmp_path: Path, reference: str) -> None:
    path = bundle(tmp_path / "a.json", [patient(), heart_rate("o", "2020"), MEDICATION, given(reference)])
    assert read_fhir(path).left_out == {"of a medication that is not in the file": 1}


def immunization(**more: Any) -> dict[str, Any]:
    plain = {"resourceType": "Immunization", "id": "i", "status": "completed", "patient": {"reference": PATIENT},
             "vaccineCode": concept(CVX, "207"), "occurrenceDateTime": "2021-03-04"}  # fmt: skip
    return {**plain, **more}


def allergy(**more: Any) -> dict[str, Any]:
    plain = {"resourceType": "AllergyIntolerance", "id": "y", "patient": {"reference": PATIENT},
             "code": concept(SNOMED, "91936005"), "recordedDate": "2010-05-06"}  # fmt: skip
    return {**plain, **more}


def statement(**more: Any) -> dict[str, Any]:
    plain = {"status": "active", "medicationCodeableConcept": DRUG, "effectivePeriod": {"end": "2020-02-03"}}
    return about("MedicationStatement", "s", **{**plain, **more})


@pytest.mark.parametrize(
    "resource, expected",
    [
        (immunization(), f"IMMUNIZATION//{CVX}//207"),
        (allergy(), "ALLERGY//SNOMED//91936005"),
        (statement(), "MEDICATION_STATEMENT//RXNORM//197361"),
        (about("MedicationDispense", "d", status="completed", medicationCodeableConcept=DRUG, whenHandedOver="2020"),
         "MEDICATION_DISPENSE//RXNORM//197361"),
        (about("Procedure", "p", status="completed", code=concept(SNOMED, "1"), performedPeriod={"end": "2020-05-06"}),
         "PROCEDURE//SNOMED//1"),
        (about("Condition", "c", code=concept(SNOMED, "2"), onsetPeriod={"end": "2020-05-06"}), "CONDITION//SNOMED//2"),
        (heart_rate("o", "2020", effectiveDateTime=None, effectivePeriod={"end": "2020-01-01"}), "LOINC//8867-4///min"),
    ],
)  # fmt: skip
def test_what_was_dropped_is_an_event(tmp_path: Path, resource: dict[str, Any], expected: str) -> None:
    assert expected in codes(tmp_path, resource)


@pytest.mark.parametrize(
    "resource, reason",
    [
        (immunization(status="not-done"), "void or about something else"),
        (immunization(occurrenceDateTime=None, occurrenceString="as a child"), "without a code or a time"),
        (allergy(verificationStatus=concept("x", "refuted")), "void or about something else"),
        ({k: v for k, v in allergy().items() if k != "code"}, "without a code or a time"),
        (statement(status="not-taken"), "void or about something else"),
        ({"resourceType": "DiagnosticReport", "id": "r"}, "of a type that is not read (DiagnosticReport)"),
        ({"resourceType": "FamilyMemberHistory", "id": "r"}, "of a type that is not read (FamilyMemberHistory)"),
        ({"resourceType": "Wanda-4711"}, "of a type that is not read (unknown type)"),
    ],
)
def test_what_is_left_out_is_counted(tmp_path: Path, resource: dict[str, Any], reason: str) -> None:
    resource = {name: value for name, value in resource.items() if value is not None}
    path = bundle(tmp_path / "a.json", [patient(), heart_rate("o", "2020"), resource])
    assert read_fhir(path).left_out == {reason: 1}
    assert EventReader().inspect(path) == (f"1 resource left out: {reason}",)
    assert EventReader().read(path).left_out == ((reason, 1),)


@pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
def test_what_nobody_ordered_is_no_event(tmp_path: Path, intent: str) -> None:
    asked = about("MedicationRequest", "r", status="active", intent=intent, medicationCodeableConcept=DRUG,
                  authoredOn="2020-01-01")  # fmt: skip
    path = bundle(tmp_path / "a.json", [patient(), heart_rate("o", "2020"), asked])
    assert read_fhir(path).left_out == {"proposed or planned, not ordered": 1}


@pytest.mark.parametrize("comparator", ["<", "<=", ">=", ">"])
def test_a_bound_is_no_value(tmp_path: Path, comparator: str) -> None:
    amount = {"value": 0.01, "unit": "ng/mL", "code": "ng/mL", "comparator": comparator}
    rows = read_fhir(bundle(tmp_path / "a.json", [patient(), heart_rate("o", "2020", valueQuantity=amount)])).rows
    own = rows[rows["code"].str.startswith("LOINC")]
    assert own["code"].tolist() == [f"LOINC//8867-4//ng/mL//{comparator}"] and np.isnan(own["numeric_value"]).all()


def test_a_search_for_the_patient_is_the_patient(tmp_path: Path) -> None:
    found = {**heart_rate("o", "2020"), "subject": {"reference": "Patient?identifier=https://x|Wanda-4711"}}
    assert "LOINC//8867-4///min" in codes(tmp_path, found)
    other = {**heart_rate("p", "2020"), "subject": {"reference": "Patient?identifier=https://x|Someone"}}
    refused(bundle(tmp_path / "b.json", [patient(), found, other]), "different searches")


@pytest.mark.parametrize(
    "resource, release",
    [
        ({"resourceType": "MedicationRequest", "status": "active", "intent": "order", "subject": {"reference": PATIENT},
          "medication": {"concept": DRUG}}, "R5: medication"),
        ({"resourceType": "Procedure", "status": "completed", "subject": {"reference": PATIENT},
          "code": concept(SNOMED, "1"), "occurrenceDateTime": "2020"}, "R5: occurrenceDateTime"),
        ({"resourceType": "Immunization", "status": "completed", "notGiven": False, "patient": {"reference": PATIENT},
          "vaccineCode": DRUG, "date": "2020"}, "STU3: notGiven"),
        ({"resourceType": "Condition", "subject": {"reference": PATIENT}, "code": DRUG, "assertedDate": "2020"},
         "STU3: assertedDate"),
    ],
)  # fmt: skip
def test_other_releases_are_refused_by_their_name(tmp_path: Path, resource: dict[str, Any], release: str) -> None:
    refused(bundle(tmp_path / "a.json", [patient(), resource]), f"not FHIR R4 but {release}")


def test_check_and_encode_say_what_was_left_out(tmp_path: Path) -> None:
    lost = {"resourceType": "DiagnosticReport", "id": "r"}
    for k in range(3):
        bundle(
            tmp_path / f"p{k}.json", [patient(), heart_rate("o", "2020", 60 + k), lost, {**lost, "id": "s"}][: 4 - k]
        )
    bundle(tmp_path / "p3.json", [patient(), {**heart_rate("o", "2020"), "code": None}])
    (tmp_path / "patients.csv").write_text("id,age,y\n" + "".join(f"p{k},{40 + k},{k % 2}\n" for k in range(4)))
    (tmp_path / "cohort.toml").write_text(
        '[patients]\ntable = "patients.csv"\nid = "id"\n[target]\nkind = "classification"\ncolumn = "y"\n'
        '[modalities.fhir]\nkind = "events"\npath = "{id}.json"\n[modalities.age]\nkind = "table"\ncolumns = ["age"]\n'
    )
    said = "3 resources left out of all sources: of a type that is not read (DiagnosticReport)"
    problems = chiasm.check_cohort(tmp_path / "cohort.toml")
    assert said in [problem.what for problem in problems]
    refusals = [problem.row for problem in problems if problem.finding == "unread-source"]
    found = chiasm.encode(chiasm.open_cohort(tmp_path / "cohort.toml"), jobs=1)
    assert said in [problem.what for problem in found.problems]
    assert refusals == [problem.row for problem in found.problems if problem.finding == "unread-source"] == [5]
    assert found.counts["fhir"].refused == 1
