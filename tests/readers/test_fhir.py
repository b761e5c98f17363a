"""FHIR R4 Bundles and NDJSON: codes and times as a hospital exports them, and files that must be refused."""

from __future__ import annotations

import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from chiasm.cohort import Unsupported
from chiasm.readers import LIMITS, Limits, ReadError
from chiasm.readers.record import fhir_files
from chiasm.readers.record.events import EventReader
from chiasm.readers.record.fhir import read_fhir
from chiasm.readers.record.meds import read_meds, write_meds

pytest.importorskip("fhir.resources")
from fhir.resources.R4B import get_fhir_model_class

SECRET = "Wanda-4711"
PATIENT = "urn:uuid:4f1c"
LOINC, SNOMED, RXNORM = "http://loinc.org", "http://snomed.info/sct", "http://www.nlm.nih.gov/research/umls/rxnorm"


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code, "display": SECRET}], "text": SECRET}


def quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def about(kind: str, name: str, **elements: Any) -> dict[str, Any]:
    """A resource of the patient, as fhir.resources writes it."""
    plain = {"resourceType": kind, "id": name, "subject": {"reference": PATIENT, "display": SECRET}, **elements}
    return json.loads(get_fhir_model_class(kind).model_validate(plain).model_dump_json())


def heart_rate(name: str, when: str, value: float = 70, **elements: Any) -> dict[str, Any]:
    code = concept(LOINC, "8867-4")
    return about("Observation", name, **{"status": "final", "code": code, "effectiveDateTime": when,
                 "valueQuantity": quantity(value, "/min"), **elements})  # fmt: skip


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "id": "4f1c", "name": [{"family": SECRET}], "telecom": [{"value": SECRET}],
            "identifier": [{"value": SECRET}], "birthDate": "1954-06-30", "gender": "female", **elements}  # fmt: skip


def record() -> list[dict[str, Any]]:
    """What Synthea exports of a patient, in small."""
    pressure = [
        {"code": concept(LOINC, "8462-4"), "valueQuantity": quantity(81, "mm[Hg]")},
        {"code": concept(LOINC, "8480-6"), "valueQuantity": quantity(122, "mm[Hg]")},
    ]
    drug = concept(RXNORM, "314076")
    inside = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "AMB"}
    stay = {"start": "2019-03-01T09:00:00+01:00", "end": "2019-03-01T10:30:00+01:00"}
    return [
        patient(),
        about("Encounter", "e1", status="finished", **{"class": inside}, period=stay),
        heart_rate("o1", "2019-03-01T09:05:00.250+01:00", 72.5, note=[{"text": SECRET}]),
        about("Observation", "o2", status="final", code=concept(LOINC, "85354-9"), component=pressure,
              effectiveDateTime="2019-03-01T08:06:00Z"),
        about("Observation", "o3", status="final", code=concept(LOINC, "72166-2"), effectiveDateTime="2019-03-01",
              valueCodeableConcept=concept(SNOMED, "266919005")),
        about("Observation", "o4", status="final", code=concept(LOINC, "8716-3"), valueString=SECRET,
              effectiveInstant="2019-03-02T00:00:00Z"),
        heart_rate("o5", "2019-03-03T09:00:00Z", status="entered-in-error"),
        about("Condition", "c1", code=concept(SNOMED, "38341003"), onsetDateTime="2019-02"),
        about("Condition", "c2", code={"text": SECRET}, onsetDateTime="2019-02"),
        about("Procedure", "p1", status="completed", code=concept(SNOMED, "171207006"), performedPeriod=stay),
        {"resourceType": "Medication", "id": "m", "code": concept(RXNORM, "197361")},
        about("MedicationRequest", "r1", status="active", intent="order", medicationCodeableConcept=drug,
              authoredOn="2019-03-01T09:20:00+01:00"),
        about("MedicationAdministration", "a1", status="completed", medicationReference={"reference": "Medication/m"},
              effectiveDateTime="2019-03-01T09:25:00-02:00"),
        {"resourceType": "DocumentReference", "id": "d", "content": [{"attachment": {"data": SECRET}}]},
    ]  # fmt: skip


EXPECTED = [
    ("1954-06-30T00:00:00.000", "MEDS_BIRTH", np.nan),
    ("2019-02-01T00:00:00.000", "CONDITION//SNOMED//38341003", np.nan),
    ("2019-03-01T00:00:00.000", "LOINC//72166-2//SNOMED//266919005", np.nan),
    ("2019-03-01T08:00:00.000", "ADMISSION//ACT//AMB", np.nan),
    ("2019-03-01T08:00:00.000", "PROCEDURE//SNOMED//171207006", np.nan),
    ("2019-03-01T08:05:00.250", "LOINC//8867-4///min", 72.5),
    ("2019-03-01T08:06:00.000", "LOINC//8462-4//mm[Hg]", 81),
    ("2019-03-01T08:06:00.000", "LOINC//8480-6//mm[Hg]", 122),
    ("2019-03-01T08:20:00.000", "MEDICATION_REQUEST//RXNORM//314076", np.nan),
    ("2019-03-01T09:30:00.000", "DISCHARGE//ACT//AMB", np.nan),
    ("2019-03-01T11:25:00.000", "MEDICATION_ADMINISTRATION//RXNORM//197361", np.nan),
    ("2019-03-02T00:00:00.000", "LOINC//8716-3", np.nan),
]


def bundle(path: Path, resources: list[Any], **elements: Any) -> Path:
    entries = [
        {"resource": item, **({"fullUrl": PATIENT} if isinstance(item, dict) and item.get("id") == "4f1c" else {})}
        for item in resources
    ]
    path.write_text(json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entries, **elements}))
    return path


def lines(path: Path, resources: list[dict[str, Any]]) -> Path:
    """As a bulk export writes it: references by type and id."""
    path.write_text("\n".join(map(json.dumps, resources)).replace(PATIENT, "https://ehr.example/Patient/4f1c") + "\n")
    return path


@pytest.mark.parametrize(("write", "name"), [(bundle, "one.json"), (lines, "one.ndjson")])
def test_codes_and_times_survive_the_way_through_meds(tmp_path: Path, write: Callable[..., Path], name: str) -> None:
    pytest.importorskip("meds")
    found = read_fhir(write(tmp_path / name, record()), subject_id=3)
    unread = "of a type that is not read (DocumentReference)"
    assert found.left_out == {"void or about something else": 1, "without a code or a time": 1, unread: 1}
    write_meds(found.rows, tmp_path / "meds")
    back = pd.read_parquet(tmp_path / "meds" / "data" / "0.parquet")
    assert back["subject_id"].eq(3).all() and SECRET not in back.to_csv()
    assert back[back["time"].isna()]["code"].tolist() == ["GENDER//female"]
    timed = back[back["time"].notna()]
    expected = pd.DataFrame(EXPECTED, columns=["time", "code", "numeric_value"])
    assert timed["time"].to_numpy("datetime64[ms]").astype(str).tolist() == expected["time"].tolist()
    assert timed["code"].tolist() == expected["code"].tolist()
    np.testing.assert_array_equal(timed["numeric_value"], expected["numeric_value"].astype(np.float32))
    events, table = EventReader().read(tmp_path / name), read_meds(tmp_path / "meds")
    assert events.hours.tolist() == table["hours"].tolist() and events.codes.tolist() == table["code"].tolist()
    assert events.codes[0] == "MEDS_BIRTH" and events.hours[1] == 0


def test_the_order_of_the_entries_changes_nothing(tmp_path: Path) -> None:
    one = read_fhir(bundle(tmp_path / "a.json", record())).rows
    pd.testing.assert_frame_equal(one, read_fhir(bundle(tmp_path / "b.json", record()[::-1])).rows)
    pd.testing.assert_frame_equal(one, read_fhir(lines(tmp_path / "c.ndjson", [*record(), record()[2]])).rows)


@pytest.mark.parametrize(
    ("birth", "when", "expected"),
    [
        ("1954-06-30", "1954", "1954-06-30"),  # the year of birth does not lie before it
        ("1954-06-30", "1954-06", "1954-06-30"),
        ("1954-06-30", "1954-07", "1954-07-01"),
        ("1954", "1954-12-31T23:30:00-05:00", "1955-01-01T04:30:00"),
        ("1954-06-30", "1954-06-30T01:00:00+10:00", "1954-06-30"),  # born on that day, east of Greenwich
        ("1954-06-30", "2020-02-29T23:59:59-01:00", "2020-03-01T00:59:59"),
        ("1954-06-30", "2020-12", "2020-12-01"),
    ],
)
def test_partial_dates_and_offsets(tmp_path: Path, birth: str, when: str, expected: str) -> None:
    rows = read_fhir(bundle(tmp_path / "a.json", [patient(birthDate=birth), heart_rate("o", when)])).rows
    assert rows.loc[rows["code"].str.startswith("LOINC"), "time"].tolist() == [pd.Timestamp(expected)]
    EventReader().read(tmp_path / "a.json")


def _without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in names}


OTHER = {"reference": f"Patient/{SECRET}"}
GOOD = heart_rate("o", "2020-01-01")
NESTED: Any = {"url": "x"}
for _ in range(60):
    NESTED = {"url": "x", "extension": [NESTED]}


@pytest.mark.parametrize(
    ("resources", "said"),
    [
        ([patient(), patient(id=SECRET)], "several patients"),
        ([patient(), {**GOOD, "subject": OTHER}], "another patient"),
        ([{**GOOD, "id": "a"}, {**GOOD, "id": "b", "subject": OTHER}], "another patient"),
        ([patient(), {**GOOD, "effectiveDateTime": "2020-02-30"}], "not FHIR R4: effectiveDateTime"),
        ([patient(), {**GOOD, "effectiveDateTime": SECRET}], "not FHIR R4: effectiveDateTime"),
        ([patient(), {**GOOD, "effectiveDateTime": "2020-01-01T10:00:00"}], "not FHIR R4: effectiveDateTime"),
        ([patient(), {**GOOD, "effectiveDateTime": 20200101}], "date is not one of FHIR"),
        ([patient(birthDate="1954-13"), GOOD], "not FHIR R4: birthDate"),
        ([patient(birthDate="2021-01-01"), GOOD], "before the birth"),
        ([patient(birthDate="2020-02"), {**GOOD, "effectiveDateTime": "2020-01"}], "before the birth"),
        ([patient(), _without(GOOD, "code")], "not FHIR R4"),
        ([patient(), about("Condition", "c", onsetDateTime="2020")], "Condition has no code"),
        ([patient(), {**GOOD, "code": SECRET}], "not FHIR R4: code"),
        ([patient(), {**GOOD, "code": NESTED}], "nested too deeply"),
        ([patient(), {**GOOD, "valueQuantity": {"value": SECRET}}], "not FHIR R4: valueQuantity"),
        ([patient(), {**GOOD, "valueQuantity": {"value": 1e39, "unit": "x"}}], "infinite"),
        ([patient(), {**GOOD, "code": {"coding": None, "text": SECRET}}], "no events"),
        ([patient(), {SECRET: SECRET}], "no resourceType"),
        ([patient(), [SECRET]], "no resourceType"),
        ([patient(), {"resourceType": "Bundle", "entry": []}], "Bundle stands inside"),
        ([patient(), GOOD, {**GOOD, "status": "amended"}], "same id"),
        ([patient()], "no events"),
        ([], "no events"),
        ([patient(), {**GOOD, "code": concept(LOINC, "x" * 300)}], "longer than 256"),
    ],
)
def test_bundles_that_are_refused(tmp_path: Path, resources: list[Any], said: str) -> None:
    refused(bundle(tmp_path / f"{SECRET}.json", resources), said)


def refused(path: Path, said: str, limits: Limits = LIMITS) -> None:
    with pytest.raises(ReadError, match=said) as caught:
        EventReader().read(path, limits)
    assert SECRET not in str(caught.value) and str(path.parent) not in str(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not JSON at all " + SECRET.encode(), "not JSON"),
        (b"\x80\x81\xff", "not JSON"),
        (b'{"resourceType": "Bundle", "entry": [', "not JSON"),
        (b'{"resourceType": "Bundle", "entry": [NaN]}', "not JSON"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b"[" * 100_000, "nested too deeply"),
        (b"9" * 10_000, "not JSON"),
        (b"[1, 2]", "not an object"),
        (b'{"resourceType": "Patient"}', "not a FHIR Bundle"),
        (b'{"resourceType": "Bundle", "entry": {"a": 1}}', "not a FHIR Bundle"),
        (b'{"resourceType": "Bundle", "entry": [7]}', "not an object"),
        (b'{"resourceType": "Bundle", "type": "history"}', "history"),
        (b'{"resourceType": "Bundle", "link": [{"relation": "next", "url": "https://x"}]}', "one page"),
    ],
)
def test_files_that_are_no_bundle(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / f"{SECRET}.json"
    path.write_bytes(content)
    refused(path, said)


def test_a_bad_line_is_named_by_its_number(tmp_path: Path) -> None:
    path = lines(tmp_path / f"{SECRET}.ndjson", record())
    path.write_text(path.read_text() + "\n\n" + json.dumps(GOOD)[:-20] + SECRET)
    refused(path, f"line {len(record()) + 3}: the text is not JSON")


def test_what_is_too_large_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle(tmp_path / "a.json", record())
    refused(path, "over the limit", Limits(bytes=100))
    refused(path, "too many events", Limits(characters=5))
    monkeypatch.setattr(fhir_files, "BUNDLE_BYTES", 1000)
    refused(path, "write it as .ndjson")
    monkeypatch.setattr(fhir_files, "LINE_BYTES", 10_000)
    long = tmp_path / "b.ndjson"
    long.write_bytes(b'{"resourceType": "' + b"x" * 30_000_000)
    tracemalloc.start()
    refused(long, "line 1 is over")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_damaged_files_give_a_value_or_a_read_error(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    start = time.process_time()
    for write, name in ((bundle, f"{SECRET}.json"), (lines, f"{SECRET}.ndjson")):
        path = write(tmp_path / name, [patient(), *record()[1:9]])
        whole, refusals = path.read_bytes(), 0
        spoilt = [random.bytes(200)] + [whole[: random.integers(1, len(whole) - 2)] for _ in range(20)]
        for _ in range(50):
            flipped = bytearray(whole)
            flipped[random.integers(len(whole))] ^= 1 << random.integers(7)
            spoilt.append(bytes(flipped))
        for content in spoilt:
            path.write_bytes(content)
            try:
                EventReader().read(path)
            except ReadError as error:
                refusals += 1
                assert SECRET not in str(error)
        assert refusals > 20
    assert time.process_time() - start < 20


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fhir.resources.R4B", None)
    with pytest.raises(Unsupported, match=r'pip install "chiasm\[ehr\]"'):
        EventReader().read(bundle(tmp_path / "one.json", record()))
