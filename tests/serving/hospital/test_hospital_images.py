"""A study of Orthanc is predicted as its files are offline, and the answer stands beside it as a structured report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

import chiasm
from hospital_messages import mapping_file, probabilities
from lighter_trials import only_ridges
from orthanc_server import needs_orthanc, running_orthanc
from served_models import asked

httpx = pytest.importorskip("httpx")
pydicom = pytest.importorskip("pydicom")
pytest.importorskip("highdicom")
pytestmark = needs_orthanc
STUDY, SERIES = "1.2.826.0.1.3680043.8.498.1", "1.2.826.0.1.3680043.8.498.2"


def picture(path: Path, value: float, number: int = 1, study: str = STUDY, series: str = SERIES) -> Path:
    """An image of computed radiography whose grey is `value`."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    meta.MediaStorageSOPInstanceUID = f"{series}.{number}"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    own = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    own.SOPClassUID, own.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
    own.StudyInstanceUID, own.SeriesInstanceUID, own.Modality = study, series, "CR"
    own.PatientID, own.PatientName, own.PatientBirthDate, own.PatientSex = "P-77", "PLANTED^NAME", "19610203", "F"
    own.StudyDate, own.StudyTime, own.StudyID, own.AccessionNumber = "20260301", "080000", "1", "A1"
    own.ReferringPhysicianName, own.SeriesNumber, own.InstanceNumber = "", 1, number
    own.Rows = own.Columns = 16
    own.SamplesPerPixel, own.PhotometricInterpretation = 1, "MONOCHROME2"
    own.BitsAllocated = own.BitsStored = 16
    own.HighBit, own.PixelRepresentation, own.PixelSpacing = 15, 0, [0.5, 0.5]
    rng = np.random.default_rng(number)
    own.PixelData = (value + rng.integers(0, 50, (16, 16))).astype(np.uint16).tobytes()
    own.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of images alone, whose outcome is their grey."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    grey = rng.uniform(500, 3000, 40)
    rows = ["id,bright"]
    for k, value in enumerate(grey):
        picture(folder / f"p{k}.dcm", value, k + 1, f"{STUDY}.{k}", f"{SERIES}.{k}")
        rows.append(f"p{k},{'yes' if value > 1750 else 'no'}")
    (folder / "patients.csv").write_text("\n".join(rows) + "\n")
    (folder / "cohort.toml").write_text(
        'name = "grey"\n[patients]\ntable = "patients.csv"\nid = "id"\n'
        '[target]\nkind = "classification"\ncolumn = "bright"\n'
        '[modalities.xray]\nkind = "dicom"\npath = "{id}.dcm"\n'
    )
    with only_ridges():
        chiasm.fit(folder / "cohort.toml", "single:xray", seed=0).save(folder / "model")
    return folder / "model"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("orthanc")
    with running_orthanc(folder) as base:
        yield base


@pytest.fixture(scope="module")
def client(model: Path, orthanc: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    text = f'[dicomweb]\nserver = "{orthanc}/dicom-web"\n[[images]]\nmodality = "xray"\ndicom = "CR"\n'
    path = mapping_file(tmp_path_factory.mktemp("hospital"), text)
    with asked([model], hospital=path) as own:
        yield own


def test_a_study_is_answered_as_its_file_is_and_the_report_stands_beside_it(
    client: TestClient, orthanc: str, model: Path, tmp_path: Path
) -> None:
    file = picture(tmp_path / "new.dcm", 2500.0, 900)
    assert httpx.post(f"{orthanc}/instances", content=file.read_bytes()).status_code == 200
    found = client.post("/dicomweb/$predict", json={"study": STUDY})
    assert found.status_code == 200, found.text
    offline = chiasm.load_model(model).predict({"xray": str(file)}).iloc[0]
    told = probabilities(found.json())
    assert told == pytest.approx({name: offline[name] for name in told}, abs=1e-6)
    (report,) = httpx.get(f"{orthanc}/dicom-web/studies/{STUDY}/series", params={"Modality": "SR"}).json()
    uid = report["0020000E"]["Value"][0]
    (instance,) = httpx.get(f"{orthanc}/dicom-web/studies/{STUDY}/series/{uid}/metadata").json()
    content = json.dumps(instance["0040A730"])
    assert "Probability of bright: yes" in content and instance["0040A493"]["Value"] == ["UNVERIFIED"]
    number = next(own for own in instance["0040A730"]["Value"] if "Probability of bright: yes" in json.dumps(own))
    assert float(number["0040A300"]["Value"][0]["0040A30A"]["Value"][0]) == pytest.approx(told["p_yes"], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"study": "1.2.3.4"}, 404, "no-series"),
        ({"study": "../../instances"}, 422, "not-a-uid"),
        ({"study": STUDY, "series": {"xray": "1.2.3"}}, 404, "no-series"),
        ({"study": STUDY, "colour": 1}, 422, "unknown-field"),
        ({}, 422, "not-a-uid"),
        ([], 422, "not-an-object"),
    ],
)
def test_a_study_that_cannot_be_read_is_refused(client: TestClient, body: Any, status: int, code: str) -> None:
    found = client.post("/dicomweb/$predict", json=body)
    assert (found.status_code, found.json()["error"]["code"]) == (status, code), found.text
    assert "PLANTED" not in found.text


def test_two_series_are_told_and_one_may_be_named(client: TestClient, orthanc: str, tmp_path: Path) -> None:
    study = "1.2.826.0.1.3680043.8.498.7"
    for k in (1, 2):
        file = picture(tmp_path / f"{k}.dcm", 900.0, k, study, f"{study}.{k}")
        httpx.post(f"{orthanc}/instances", content=file.read_bytes())
    assert client.post("/dicomweb/$predict", json={"study": study}).json()["error"]["code"] == "several-series"
    named = {"study": study, "series": {"xray": f"{study}.2"}, "store": False}
    assert client.post("/dicomweb/$predict", json=named).status_code == 200
    assert httpx.get(f"{orthanc}/dicom-web/studies/{study}/series", params={"Modality": "SR"}).json() == []
