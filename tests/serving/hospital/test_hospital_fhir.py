"""A Bundle is answered as `/predict` answers the same values, in a RiskAssessment that FHIR's own schema takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import chiasm
from chiasm.serving.hospital.mapping import MappingError, fitting, read_keys
from chiasm.serving.hospital.ucum import Units
from chiasm.serving.reads import Reads, reads_of
from hospital_messages import (
    AT,
    MAPPING,
    OBSERVATIONS,
    OFFLINE,
    PATIENT,
    bundle,
    mapping_file,
    observation,
    probabilities,
    quantity,
    stage,
)
from served_models import asked

CODES = "LOINC//1988-5"


@pytest.fixture(scope="module")
def client(served_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with asked([served_folder], hospital=mapping_file(tmp_path_factory.mktemp("hospital"))) as own:
        yield own


def predict(client: TestClient, document: Any, query: str = "") -> Any:
    return client.post(f"/fhir/$predict?at={AT.replace('+', '%2B')}{query}", json=document)


def test_a_bundle_is_answered_as_the_same_values_are(client: TestClient) -> None:
    found = predict(client, bundle())
    assert found.status_code == 200 and found.headers["content-type"].startswith("application/fhir+json")
    resource = found.json()
    (offline,) = client.post("/predict", json={"patients": [OFFLINE]}).json()["patients"]
    told = probabilities(resource)
    assert told == pytest.approx(offline["prediction"], abs=1e-6)
    assert resource["subject"] == {"reference": "Patient/p1"}
    assert {own["reference"] for own in resource["basis"]} == {
        "Observation/o1", "Observation/o3", "Observation/o4", "Condition/c1",
    }  # fmt: skip
    notes = " ".join(own["text"] for own in resource["note"])
    assert "Absent, and not guessed: rna" in notes and "later than the question" in notes


def test_the_answers_are_fhir(client: TestClient) -> None:
    models = pytest.importorskip("fhir.resources.R4B")
    for document, status in ((bundle(), 200), ({"resourceType": "Bundle", "type": "collection"}, 422)):
        found = predict(client, document)
        assert found.status_code == status
        models.get_fhir_model_class(found.json()["resourceType"]).model_validate(found.json())
    statement = client.get("/fhir/metadata").json()
    models.get_fhir_model_class("CapabilityStatement").model_validate(statement)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ([observation(9, "1988-5", "2026-02-21", **quantity(1.0, "mmol/L"))], "lab.crp"),
        ([observation(9, "1988-5", "2026-02-21", **quantity(1.0, "mg"))], "lab.crp"),
        ([observation(9, "1988-5", "2026-02-21", valueQuantity={"value": 3.0})], "lab.crp"),
        ([observation(9, "21908-9", "2026-02-21", **stage("999"))], "clinical.stage"),
        ([observation(9, "1988-5", "2026-02-21", **quantity(1e6, "mg/L"))], "patients[0].lab.crp"),
        ([{**PATIENT, "id": "p2"}], "Bundle"),
        ([{**OBSERVATIONS[0], "id": "o9", "subject": {"reference": "Patient/p2"}}], "Bundle"),
        ([{**OBSERVATIONS[0], "id": "o9", "effectiveDateTime": "yesterday"}], "Bundle"),
    ],
)
def test_what_cannot_be_read_rightly_is_refused_by_its_field(
    client: TestClient, changed: list[Any], field: str
) -> None:
    document = bundle()
    document["entry"] += [{"resource": own} for own in changed]
    found = predict(client, document)
    assert found.status_code == 422, found.text
    (issue,) = found.json()["issue"]
    assert issue["expression"] == [field] and "mmol" not in issue["diagnostics"] and "999" not in issue["diagnostics"]


def test_what_was_withdrawn_is_old_or_is_a_bound_is_not_read(client: TestClient) -> None:
    document = bundle()
    values = [own for own in document["entry"] if own["resource"].get("id") in ("o1", "o2")]
    values[0]["resource"]["status"] = "entered-in-error"
    values[1]["resource"]["valueQuantity"]["comparator"] = ">"
    found = predict(client, document).json()
    notes = " ".join(own["text"] for own in found["note"])
    assert "Absent, and not guessed: lab, rna" in notes and "the newest crp is a bound" in notes
    old = bundle()
    for own in old["entry"]:
        if own["resource"].get("id") in ("o1", "o2"):
            own["resource"]["effectiveDateTime"] = "2025-12-01"
    assert "lab" in " ".join(own["text"] for own in predict(client, old).json()["note"])


def test_a_disease_that_nobody_coded_is_absent_only_where_the_mapping_says_so(
    served_folder: Path, client: TestClient, tmp_path: Path
) -> None:
    document = bundle()
    document["entry"] = [own for own in document["entry"] if own["resource"]["resourceType"] != "Condition"]
    said = {"patients": [{**OFFLINE, "clinical": {**OFFLINE["clinical"], "code": "250.00"}}]}
    unsaid = {"patients": [{**OFFLINE, "clinical": {**OFFLINE["clinical"], "code": None}}]}
    silent = mapping_file(tmp_path, MAPPING.replace('absent = "250.00"\n', ""))
    with asked([served_folder], hospital=silent) as other:
        for own, same in ((client, said), (other, unsaid)):
            found = predict(own, document).json()
            (offline,) = own.post("/predict", json=same).json()["patients"]
            told = probabilities(found)
            assert told == pytest.approx(offline["prediction"], abs=1e-6)


def test_bodies_that_are_no_bundle_are_refused(client: TestClient) -> None:
    assert predict(client, []).status_code == 422
    assert client.post("/fhir/$predict", content=b"{", headers={"content-type": "application/json"}).status_code == 400
    assert client.post("/fhir/$predict", content=b"<a/>", headers={"content-type": "text/xml"}).status_code == 415
    assert predict(client, bundle("history")).status_code == 422
    assert client.post("/fhir/$predict?at=today", json=bundle()).status_code == 422
    assert predict(client, bundle(), "&write=true").json()["issue"][0]["details"] == {"text": "no-server"}


@pytest.fixture(scope="module")
def reads(served_folder: Path) -> Mapping[str, Reads]:
    return reads_of(chiasm.load_model(served_folder))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MAPPING.replace('column = "crp"', 'column = "crb"'), "did you mean 'crp'"),
        (MAPPING.replace('"kg/m2"', '"kilos"'), "no unit of UCUM"),
        (MAPPING.replace('= "IV"', '= "V"'), "has no level 'V'"),
        (MAPPING.replace('modality = "lab"', 'modality = "labs"'), "did you mean 'lab'"),
        (MAPPING.replace('derived = "age"', 'derived = "height"'), "may be from age or gender"),
        (MAPPING.replace('derived = "age"', 'derived = "age"\ncode = "LOINC//1"'), "one of the two"),
        (MAPPING + 'colour = "red"\n', "colour"),
        (MAPPING.replace('unit = "mg/L"\n', ""), "say its UCUM `unit`"),
        (MAPPING.replace('present = "250.10"\n', ""), "what is `absent` and not"),
        (MAPPING + MAPPING.partition("[[columns]]")[2].join(["[[columns]]", ""]), "mapped twice"),
        ("[fhir]", "nothing is mapped"),
        ("[", "no mapping file"),
    ],
)
def test_a_mapping_that_does_not_fit_is_refused(
    reads: Mapping[str, Reads], tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(MappingError) as caught:
        fitting(read_keys(mapping_file(tmp_path, text)), reads)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (MAPPING + '[dicomweb]\nserver = "https://pacs.example"\n', "none is named"),
        (MAPPING.replace("[fhir]", '[fhir]\nserver = "http://fhir.example"'), "https://"),
        (MAPPING.replace("[fhir]", '[fhir]\nserver = "https://fhir.example"\ntoken = "lacks"'), "no file 'lacks'"),
        (MAPPING.replace("[fhir]\n[cds_hooks]\n", ""), "asks for no standard"),
        (MAPPING + '[hl7]\nlisten = "0.0.0.0:2575"\nsend = "127.0.0.1:2576"\n', "beyond this machine"),
    ],
)
def test_what_it_asks_for_is_refused_before_anybody_is_served(
    served_folder: Path, tmp_path: Path, text: str, words: str
) -> None:
    path = mapping_file(tmp_path, text)
    with pytest.raises(ValueError, match=r"hospital\.toml") as caught, asked([served_folder], hospital=path):
        raise AssertionError("it was served")
    assert words in str(caught.value)


CRP = OBSERVATIONS[0]


def asked_with(client: TestClient, *resources: Any, at: str = AT, without: tuple[str, ...] = ()) -> Any:
    """Ask with further resources, and without some; returns the answer with its notes as one text."""
    document = bundle()
    document["entry"] = [own for own in document["entry"] if own["resource"].get("id") not in without]
    document["entry"] += [{"resource": own} for own in resources]
    found = client.post(f"/fhir/$predict?at={at.replace('+', '%2B')}", json=document)
    return found, " ".join(own["text"] for own in found.json().get("note", []))


def same_as(client: TestClient, found: Any, **clinical: Any) -> None:
    """Hold the answer against that of the values."""
    values = {"clinical": {**OFFLINE["clinical"], **clinical}, "lab": OFFLINE["lab"]}
    (offline,) = client.post("/predict", json={"patients": [values]}).json()["patients"]
    assert probabilities(found.json()) == pytest.approx(offline["prediction"], abs=1e-6)


def test_any_coding_of_a_result_is_its_code(client: TestClient) -> None:
    own = {**CRP, "code": {"coding": [{"system": "urn:lab", "code": "CRP"}, *CRP["code"]["coding"]]}}
    found, notes = asked_with(client, {**own, "id": "o9"}, without=("o1",))
    same_as(client, found)
    assert "lab" not in notes.split("Absent")[1].split(".")[0]


def condition(**changed: Any) -> dict[str, Any]:
    stated = {
        name: {"coding": [{"code": changed.pop(name)}]}
        for name in ("clinicalStatus", "verificationStatus")
        if name in changed
    }
    return {**bundle()["entry"][-1]["resource"], "id": "c9", **stated, **changed}


@pytest.mark.parametrize(
    "changed",
    [
        {"clinicalStatus": "resolved"}, {"verificationStatus": "differential"}, {"abatementDateTime": "2012"},
        {"onsetDateTime": None},
    ],
)  # fmt: skip
def test_a_disease_that_is_over_or_not_certain_is_neither_there_nor_absent(client: TestClient, changed: Any) -> None:
    found, notes = asked_with(client, condition(**changed), without=("c1",))
    same_as(client, found, code=None)
    assert "code is not certain, or is no longer so" in notes


@pytest.mark.parametrize(
    ("born", "at", "age"),
    [
        ("1961-03-01", "2026-03-01T08:00:00+00:00", 65),
        ("1961-03-02", "2026-03-01T08:00:00+00:00", 64),
        ("1961", AT, None),
    ],
)
def test_age_is_of_the_calendar(client: TestClient, born: str, at: str, age: int | None) -> None:
    found, _ = asked_with(client, {**PATIENT, "birthDate": born}, at=at, without=("p1",))
    same_as(client, found, age=age)


def test_the_dead_and_texts_of_others_are_refused(client: TestClient) -> None:
    found, _ = asked_with(client, {**PATIENT, "deceasedDateTime": "2026-02-27"}, without=("p1",))
    assert found.status_code == 422 and found.json()["issue"][0]["details"] == {"text": "deceased"}
    text = {
        "resourceType": "DocumentReference", "status": "current", "subject": {"reference": "Patient/other"},
        "date": "2026-02-01T08:00:00Z", "type": {"coding": [{"system": "http://loinc.org", "code": "11506-3"}]},
        "content": [{"attachment": {"contentType": "text/plain", "data": "aGVsbG8="}}],
    }  # fmt: skip
    found, _ = asked_with(client, text)
    assert found.status_code == 422 and found.json()["issue"][0]["details"] == {"text": "another-patient"}


def test_of_two_at_one_moment_the_one_that_was_issued_later_counts(client: TestClient) -> None:
    amended = {**CRP, "id": "o8", "status": "amended", "issued": "2026-02-22T08:00:00Z"}
    first = {**CRP, "id": "o9", "issued": "2026-02-20T09:00:00Z", **quantity(9.9, "mg/dL")}
    found, _ = asked_with(client, amended, first, without=("o1",))
    same_as(client, found)


def test_a_date_is_one_of_the_place_where_it_is_asked(client: TestClient) -> None:
    own = {**CRP, "id": "o9", "effectiveDateTime": "2026-03-01"}
    found, _ = asked_with(client, own, at="2026-03-01T08:00:00+10:00", without=("o1", "o2"))
    same_as(client, found)


@pytest.mark.parametrize(
    ("given", "wanted", "found"),
    [
        ("mg/dL", "g/L", 0.02), ("{score}", "1", 2.0), ("[arb'U]/mL", "[IU]/mL", None), ("meq/L", "mmol/L", None),
        ("mmol/mol", "%", None), ("[in_i]", "cm", 5.08), ("Cel", "[degF]", 35.6), ("mm[Hg]", "kPa", 0.26664477),
    ],
)  # fmt: skip
def test_units_are_converted_where_a_fixed_rule_does_it(given: str, wanted: str, found: float | None) -> None:
    assert Units().converted(2.0, given, wanted) == (None if found is None else pytest.approx(found))
