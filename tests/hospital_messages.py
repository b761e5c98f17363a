"""A mapping, and one patient as a Bundle, as searches and as a message of results, for the tests of hospitals."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

MAPPING = """
[fhir]
[cds_hooks]

[[columns]]
modality = "clinical"
column = "age"
derived = "age"

[[columns]]
modality = "clinical"
column = "stage"
code = "LOINC//21908-9"
levels = { "SNOMED//258215001" = "I", "SNOMED//258219007" = "II", "SNOMED//258228008" = "IV" }

[[columns]]
modality = "clinical"
column = "bmi"
code = "LOINC//39156-5"
unit = "kg/m2"

[[columns]]
modality = "clinical"
column = "code"
code = "ICD10//E11"
present = "250.10"
absent = "250.00"

[[columns]]
modality = "lab"
column = "crp"
code = "LOINC//1988-5"
unit = "mg/L"
within_days = 30
"""
AT = "2026-03-01T12:00:00+00:00"
OFFLINE = {"clinical": {"age": 65, "stage": "IV", "bmi": 27.5, "code": "250.10"}, "lab": {"crp": 12.3}}
"""What the Bundle says, as `/predict` takes it."""


def mapping_file(folder: Path, text: str = MAPPING) -> Path:
    """Write a mapping file."""
    path = folder / "hospital.toml"
    path.write_text(text, encoding="utf-8")
    return path


def observation(number: int, code: str, when: str, **value: Any) -> dict[str, Any]:
    """An Observation of LOINC."""
    return {
        "resourceType": "Observation", "id": f"o{number}", "status": "final", "subject": {"reference": "Patient/p1"},
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]}, "effectiveDateTime": when, **value,
    }  # fmt: skip


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}}


def stage(code: str) -> dict[str, Any]:
    return {"valueCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": code}]}}


PATIENT = {"resourceType": "Patient", "id": "p1", "birthDate": "1961-02-03", "gender": "female"}
OBSERVATIONS = [
    observation(1, "1988-5", "2026-02-20T08:00:00Z", **quantity(1.23, "mg/dL")),  # 12.3 mg/L
    observation(2, "1988-5", "2026-02-10T08:00:00Z", **quantity(88.0, "mg/L")),  # older
    observation(3, "39156-5", "2026-02-01", **quantity(27.5, "kg/m2")),
    observation(4, "21908-9", "2026-02-01", **stage("258228008")),
    observation(5, "1988-5", "2026-03-02T08:00:00Z", **quantity(99.0, "mg/L")),  # after the question
]
CONDITIONS = [
    {
        "resourceType": "Condition", "id": "c1", "subject": {"reference": "Patient/p1"}, "onsetDateTime": "2019",
        "code": {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10", "code": "E11"}]},
    }
]  # fmt: skip


def bundle(kind: str = "collection") -> dict[str, Any]:
    """The patient as a Bundle."""
    entries = [{"resource": own} for own in [PATIENT, *OBSERVATIONS, *CONDITIONS]]
    return copy.deepcopy({"resourceType": "Bundle", "type": kind, "entry": entries})


def searched(resources: list[dict[str, Any]]) -> dict[str, Any]:
    """Resources as what a search finds."""
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "entry": [{"resource": copy.deepcopy(own)} for own in resources],
    }


def message(control: str = "M1", *, crp: str = "12.3", unit: str = "mg/L^^UCUM", extra: str = "") -> bytes:
    """The patient as an ORU^R01, without a condition, which such a message does not have."""
    lines = [
        f"MSH|^~\\&|LAB|HOSP|CHIASM|X|20260301120000+0000||ORU^R01^ORU_R01|{control}|P|2.5.1||||||UNICODE UTF-8",
        "PID|1||12345^^^H^MR||DOE^JANE||19610203|F",
        "OBR|1|||24331-1^Panel^LN|||20260220080000+0000",
        f"OBX|1|NM|1988-5^CRP^LN||{crp}|{unit}|||||F|||20260220080000+0000",
        "OBX|2|NM|39156-5^BMI^LN||27.5|kg/m2^^UCUM|||||F|||20260201",
        "OBX|3|CWE|21908-9^Stage^LN||258228008^Stage IV^SCT||||||F|||20260201",
    ]
    return ("\r".join([*lines, *filter(None, [extra])]) + "\r").encode()


def probabilities(resource: dict[str, Any]) -> dict[str, float]:
    """The classes of a RiskAssessment as columns of a prediction."""
    return {f"p_{own['outcome']['text'].split(': ')[-1]}": own["probabilityDecimal"] for own in resource["prediction"]}
