"""A DICOM series at the page: opened as files or one .zip, its map saved as a DICOM SEG that lies on it, and read."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from chiasm.cohort.mask_files import read_masks
from chiasm.targets.mask_cells import ReadMap
from made_series import written_series
from outlined_images import codes_of, model_of_series, open_images
from served_models import asked

pydicom = pytest.importorskip("pydicom")
highdicom = pytest.importorskip("highdicom")
pytest.importorskip("nibabel")
LIFTED = {"plane": "slices", "slice": 1, "row": 3, "column": 5, "inside": True, "label": "organ", "reach": 40}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model_of_series(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="module")
def client(model: Path) -> Iterator[TestClient]:
    with asked([model]) as own:
        yield own


def test_a_series_is_opened_and_its_map_saved_beside_it(client: TestClient, model: Path, tmp_path: Path) -> None:
    files = sorted((model.parent / "p3").iterdir())
    told = open_images(client, {"ct": files})
    at, own = f"/outline/{told['id']}", told["images"]["ct"]
    assert told["shape"] == [4, 9, 11] and told["forms"] == ["dcm", "nii.gz"] and own["unit"] == "HU"
    assert own["window"] == [-160.0, 240.0] and np.allclose(told["spacing"], [2.5, 0.5, 0.8])
    assert client.post(f"{at}/click", json={**LIFTED, "through": True}).json()["many"] == [2 * 5 * 5]
    content = client.get(f"{at}/save/dcm").content
    (tmp_path / "mask.dcm").write_bytes(content)
    seg = highdicom.seg.segread(tmp_path / "mask.dcm")
    first = pydicom.dcmread(files[0], stop_before_pixels=True)
    assert seg.StudyInstanceUID == first.StudyInstanceUID and seg.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert seg.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC" and len(content) < 20_000
    (read,) = read_masks(tmp_path, ["mask.dcm"], ())
    assert isinstance(read, ReadMap) and read.runs.codes.sum() == 50 and read.runs.codes[1:3, 2:7, 3:8].all()
    client.post(f"{at}/undo")
    files_of = {"request": (None, "{}", "application/json"), "a": ("mask.dcm", content)}
    assert client.post(f"{at}/mask", files=files_of).json()["many"] == [50]
    assert codes_of(client.get(f"{at}/mask/slices/1").json()).sum() == 25


def test_a_mask_of_a_series_elsewhere_is_refused(client: TestClient, model: Path, tmp_path: Path) -> None:
    written_series(tmp_path / "ct", np.zeros((4, 9, 11)), corner=(-10.0, 20.0, 7.0))
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as packed:
        for path in (tmp_path / "ct").iterdir():
            packed.write(path, f"study/{path.name}")
    aside = open_images(client, {"ct": [tmp_path / "ct.zip"]})
    assert aside["shape"] == [4, 9, 11]
    client.put(f"/outline/{aside['id']}/mask/slices/0", json={"shape": [9, 11], "runs": [0, 3, 1]})
    content = client.get(f"/outline/{aside['id']}/save/nii.gz").content
    told = open_images(client, {"ct": sorted((model.parent / "p3").iterdir())})
    files = {"request": (None, "{}", "application/json"), "a": ("mask.nii.gz", io.BytesIO(content))}
    found = client.post(f"/outline/{told['id']}/mask", files=files)
    assert found.status_code == 422 and "does not lie where the image does" in found.json()["error"]["message"]
    assert client.post(f"/outline/{aside['id']}/mask", files=files).json()["many"] == [3]
